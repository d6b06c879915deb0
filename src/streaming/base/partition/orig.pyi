# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.orders import get_partitions_orig as get_partitions_orig
