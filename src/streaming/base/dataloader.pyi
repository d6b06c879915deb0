# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.loader.loader import StreamingDataLoader as StreamingDataLoader
