# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.orders import generate_work_per_stream_batching as generate_work_per_stream_batching
