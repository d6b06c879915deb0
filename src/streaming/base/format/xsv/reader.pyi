# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.format.readers import CSVReader as CSVReader
from streaming.format.readers import TSVReader as TSVReader
from streaming.format.readers import XSVReader as XSVReader
