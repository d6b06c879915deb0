"""What kind of shard a writer writes, for ``isinstance``: one file, or a data and a meta file."""

from __future__ import annotations

from abc import ABC
from typing import Any

from streaming.core.errors import ConfigError
from streaming.writing.writers import JSONWriter, MDSWriter, XSVWriter

__all__ = ["JointWriter", "SplitWriter"]


class _Kind(ABC):  # noqa: B024 - for isinstance alone
    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__ != __name__:
            raise ConfigError(
                f"{cls.__name__} cannot derive from {cls.__mro__[1].__name__}, which only says what kind a writer is. Write "
                "encodings of your own instead (docs/migration.md)."
            )


class JointWriter(_Kind):
    """A writer of shards of one file each: :class:`streaming.MDSWriter`.

    Example:
        >>> from streaming.base.format.base.writer import JointWriter
        >>> issubclass(MDSWriter, JointWriter)
        True
    """


class SplitWriter(_Kind):
    """A writer of shards of a data and a meta file: JSON lines and separated values.

    Example:
        >>> from streaming.base.format.base.writer import SplitWriter
        >>> issubclass(CSVWriter, SplitWriter)
        True
    """


JointWriter.register(MDSWriter)
SplitWriter.register(JSONWriter)
SplitWriter.register(XSVWriter)
