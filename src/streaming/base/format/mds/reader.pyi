# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.format.readers import MDSReader as MDSReader
