# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.format.readers import JSONReader as JSONReader
from streaming.writing.writers import JSONWriter as JSONWriter
