# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.converters.spark import SPARK_TO_MDS as SPARK_TO_MDS
from streaming.converters.spark import dataframe_to_mds as dataframe_to_mds
from streaming.converters.spark import infer_dataframe_schema as infer_dataframe_schema
from streaming.converters.spark import is_json_compatible as is_json_compatible
