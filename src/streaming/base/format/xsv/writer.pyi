# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.writing.writer import CSVWriter as CSVWriter
from streaming.writing.writer import TSVWriter as TSVWriter
from streaming.writing.writer import XSVWriter as XSVWriter
