# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.orders import get_shuffle_naive as get_shuffle_naive
from streaming.base.orders import get_shuffle_py1br as get_shuffle_py1br
from streaming.base.orders import get_shuffle_py1e as get_shuffle_py1e
from streaming.base.orders import get_shuffle_py1s as get_shuffle_py1s
from streaming.base.orders import get_shuffle_py2s as get_shuffle_py2s
from streaming.order.classic.shuffle import get_shuffle as get_shuffle
from streaming.order.registry import shuffle_algos as _shuffle_algos
algos = _shuffle_algos
