# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.core.world import World as World
