# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.format.index.files import FileInfo as FileInfo
from streaming.format.reader import Reader as Reader
