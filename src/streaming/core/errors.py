"""Every exception that this package raises on purpose.

Each class also inherits the builtin that users of the original library already catch::

    StreamingError
    ├── ConfigError (ValueError)                an argument is wrong
    │   ├── UnknownNameError (KeyError)         no such algorithm, encoding, scheme ...
    │   └── EndlessError (TypeError)            the length of what has no end
    ├── MissingDependencyError (ImportError)    an optional package is not installed
    ├── IndexFormatError (ValueError)           index.json is not what it should be
    │   └── IndexNotJSONError (JSONDecodeError)
    ├── ShardFormatError (ValueError)           the bytes of a shard contradict themselves or the index
    ├── ChecksumError (ValueError)              a file's hash or size is not the recorded one
    ├── UnsafeTypeError (ValueError)            decoding would run code from the data
    ├── EmptyDatasetError (RuntimeError)        nothing to read
    ├── SampleError                             a sample cannot be encoded
    │   ├── MissingColumnError (KeyError)
    │   ├── ColumnSizeError (KeyError, ValueError)
    │   ├── ColumnTypeError (AttributeError, TypeError)
    │   ├── ColumnValueError (ValueError)
    │   └── SeparatorInValueError (AssertionError, ValueError)
    ├── ShardTooLargeError (ValueError)         a shard would pass what its format can address
    ├── StorageError (OSError)                  an operation on a store failed
    │   ├── ObjectNotFoundError (FileNotFoundError)
    │   ├── ObjectChangedError                  another version of an object is there now
    │   ├── AccessDeniedError (PermissionError)
    │   ├── ThrottledError
    │   └── UnavailableError (ConnectionError)
    │       └── StalledError (TimeoutError)
    ├── ShardUnavailableError (RuntimeError)    a shard could not be made present
    ├── UploadError (RuntimeError)              a shard could not be uploaded
    ├── CheckpointError (ValueError)            a checkpoint does not fit
    ├── LockedError (TimeoutError)              another process keeps what this one needs to itself
    ├── SharedMemoryError (OSError)             no room for what processes share
    ├── CollateError (KeyError, RuntimeError, TypeError)  samples do not make a batch
    └── WorkerError (RuntimeError)              a background part failed
"""

from __future__ import annotations

import json

from streaming.core.text import printable

__all__ = [
    "AccessDeniedError",
    "CheckpointError",
    "ChecksumError",
    "CollateError",
    "ColumnSizeError",
    "ColumnTypeError",
    "ColumnValueError",
    "ConfigError",
    "EmptyDatasetError",
    "EndlessError",
    "IndexFormatError",
    "IndexNotJSONError",
    "LockedError",
    "MissingColumnError",
    "MissingDependencyError",
    "ObjectChangedError",
    "ObjectNotFoundError",
    "SampleError",
    "SeparatorInValueError",
    "ShardFormatError",
    "ShardTooLargeError",
    "ShardUnavailableError",
    "SharedMemoryError",
    "SourceError",
    "StalledError",
    "StorageError",
    "StreamingError",
    "ThrottledError",
    "UnavailableError",
    "UnknownNameError",
    "UnsafeTypeError",
    "UploadError",
    "WorkerError",
]


class StreamingError(Exception):
    """Base of all exceptions of this package. Its text says what, the value, and what to do next."""

    def __str__(self) -> str:
        """Return the message itself (``KeyError`` would return its repr), fit for a terminal."""
        return printable(str(self.args[0]), lines=True) if self.args else ""


class ConfigError(StreamingError, ValueError):
    """An argument is wrong, alone or together with the others."""


class UnknownNameError(ConfigError, KeyError):
    """A name that no registry knows."""


class EndlessError(ConfigError, TypeError):
    """The length of what has no end was asked for."""


class MissingDependencyError(StreamingError, ImportError):
    """An optional package is needed and not installed."""


class IndexFormatError(StreamingError, ValueError):
    """An ``index.json`` is not a valid version 2 index."""


class IndexNotJSONError(IndexFormatError, json.JSONDecodeError):
    """An ``index.json`` is not JSON at all."""

    def __init__(self, message: str, doc: str = "", pos: int = 0) -> None:
        ValueError.__init__(self, message)
        self.msg = message
        self.doc = doc
        self.pos = pos
        self.lineno: int = doc.count("\n", 0, pos) + 1
        self.colno: int = pos - doc.rfind("\n", 0, pos)

    def __reduce__(self) -> tuple[type[IndexNotJSONError], tuple[str]]:
        """Pickle without the document."""
        return type(self), (self.msg,)


class ShardFormatError(StreamingError, ValueError):
    """The bytes of a shard contradict themselves or the index."""


class SourceError(ShardFormatError):
    """A file of another format, read where it lies, is damaged or not what the others are."""


class ChecksumError(StreamingError, ValueError):
    """A file's hash or size is not the one the index records."""


class UnsafeTypeError(StreamingError, ValueError):
    """Decoding the data could run code that the data brings."""


class EmptyDatasetError(StreamingError, RuntimeError):
    """A stream holds no samples."""


class SampleError(StreamingError):
    """A sample cannot be encoded."""


class MissingColumnError(SampleError, KeyError):
    """A sample lacks a declared column."""


class ColumnSizeError(SampleError, KeyError, ValueError):
    """A value of a fixed-size column has another size."""


class ColumnTypeError(SampleError, AttributeError, TypeError):
    """A value has a type that its column's encoding does not take."""


class ColumnValueError(SampleError, ValueError):
    """A value has the right type but cannot be stored by its column's encoding."""


class SeparatorInValueError(SampleError, AssertionError, ValueError):
    """A value of a separated-values shard holds the separator or the newline."""


class ShardTooLargeError(StreamingError, ValueError):
    """A shard would pass the size that its format can address."""


class StorageError(StreamingError, OSError):
    """An operation on a store failed."""


class ObjectNotFoundError(StorageError, FileNotFoundError):
    """There is no such object, bucket or directory."""


class ObjectChangedError(StorageError):
    """An object in a store is not the version that was asked for: it was replaced meanwhile."""


class AccessDeniedError(StorageError, PermissionError):
    """Credentials are missing, expired, or not allowed to do this."""


class ThrottledError(StorageError):
    """The store asks to slow down (429, 503)."""


class UnavailableError(StorageError, ConnectionError):
    """The store could not be reached, or broke off."""


class StalledError(UnavailableError, TimeoutError):
    """No bytes came for longer than allowed."""


class ShardUnavailableError(StreamingError, RuntimeError):
    """A shard could not be made present on this node."""


class UploadError(StreamingError, RuntimeError):
    """A file of a dataset could not be uploaded."""


class CheckpointError(StreamingError, ValueError):
    """A checkpoint does not fit the dataset or its arguments."""


class LockedError(StreamingError, TimeoutError):
    """Another process, which makes no progress, keeps what this one needs to itself."""


class SharedMemoryError(StreamingError, OSError):
    """The system has no room for memory that processes share."""


class CollateError(StreamingError, KeyError, RuntimeError, TypeError):
    """Samples do not make a batch by PyTorch's default."""


class WorkerError(StreamingError, RuntimeError):
    """A worker or a background thread failed."""
