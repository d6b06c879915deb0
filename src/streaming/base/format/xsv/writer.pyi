# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.write.writer import CSVWriter as CSVWriter
from streaming.write.writer import TSVWriter as TSVWriter
from streaming.write.writer import XSVWriter as XSVWriter
