"""``index.json``: which shards a dataset has, checked, held as columns, and mapped where it was parsed before.

``table`` is the index itself, of the columns in ``files``. ``parse`` reads one: ``fast`` where its entries are
written alike, else ``json_stream`` object by object, each checked by ``entry``. ``mapped`` keeps a parsed index for
the next process.
"""

from streaming.format.index.files import FileInfo, FileTable, StringColumn
from streaming.format.index.table import Index, ShardInfo, digest_of, dump_index

__all__ = ["FileInfo", "FileTable", "Index", "ShardInfo", "StringColumn", "digest_of", "dump_index"]
