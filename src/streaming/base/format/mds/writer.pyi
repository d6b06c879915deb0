# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.write.writer import MDSWriter as MDSWriter
