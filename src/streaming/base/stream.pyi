# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.registries import streams_registry as streams_registry
from streaming.dataset.stream import Stream as Stream
