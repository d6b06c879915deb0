# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.names import get_index_basename as get_index_basename
