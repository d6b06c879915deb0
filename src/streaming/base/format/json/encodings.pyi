# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py.
from streaming.base.text_encodings import is_json_encoded as is_json_encoded
from streaming.base.text_encodings import is_json_encoding as is_json_encoding
