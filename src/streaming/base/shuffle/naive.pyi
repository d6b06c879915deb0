# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.orders import get_shuffle_naive as get_shuffle_naive
