# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.writers import JointWriter as JointWriter
from streaming.base.writers import SplitWriter as SplitWriter
from streaming.writing.writer import Writer as Writer
