# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.format.reader import JSONReader as JSONReader
from streaming.writing.writer import JSONWriter as JSONWriter
