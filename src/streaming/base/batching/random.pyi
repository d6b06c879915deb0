# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.orders import generate_work_random_batching as generate_work_random_batching
