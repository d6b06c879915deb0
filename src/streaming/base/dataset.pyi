# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.constant import NEVER as NEVER
from streaming.base.constant import TICK as TICK
from streaming.dataset.dataset import StreamingDataset as StreamingDataset
