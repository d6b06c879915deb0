# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.text_encodings import is_xsv_encoding as is_xsv_encoding
from streaming.base.text_encodings import xsv_decode as xsv_decode
from streaming.base.text_encodings import xsv_encode as xsv_encode
