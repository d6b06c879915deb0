# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.orders import algos as algos
from streaming.base.orders import get_partitions as get_partitions
from streaming.base.orders import get_partitions_orig as get_partitions_orig
from streaming.base.orders import get_partitions_relaxed as get_partitions_relaxed
