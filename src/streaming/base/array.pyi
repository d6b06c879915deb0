# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.core.indexing import Array as Array
