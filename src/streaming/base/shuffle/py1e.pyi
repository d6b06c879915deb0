# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.orders import divide_spans as divide_spans
from streaming.base.orders import get_shuffle_py1e as get_shuffle_py1e
