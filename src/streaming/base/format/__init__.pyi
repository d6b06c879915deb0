# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.names import get_index_basename as get_index_basename
from streaming.format.index.files import FileInfo as FileInfo
from streaming.format.reader import Reader as Reader
from streaming.format.readers import CSVReader as CSVReader
from streaming.format.readers import JSONReader as JSONReader
from streaming.format.readers import MDSReader as MDSReader
from streaming.format.readers import TSVReader as TSVReader
from streaming.format.readers import XSVReader as XSVReader
from streaming.format.readers import readers as _readers
from streaming.format.readers import reader_from_json as reader_from_json
from streaming.writing.writers import CSVWriter as CSVWriter
from streaming.writing.writers import JSONWriter as JSONWriter
from streaming.writing.writers import MDSWriter as MDSWriter
from streaming.writing.writers import TSVWriter as TSVWriter
from streaming.writing.writers import XSVWriter as XSVWriter
_readers = _readers
