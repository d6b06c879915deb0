# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.orders import get_shuffle_py2s as get_shuffle_py2s
