# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.order.classic.sampling import get_sampling as get_sampling
