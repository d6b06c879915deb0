# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.dataset.compat.spanner import Spanner as Spanner
