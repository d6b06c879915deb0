# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.format.codecs.hashing import get_hash as get_hash
from streaming.format.codecs.hashing import get_hashes as get_hashes
from streaming.format.codecs.hashing import is_hash as is_hash
