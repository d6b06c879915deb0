"""A place, by URL or path, taken apart once: where a user names it. What is below takes the value and asks no text again."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from streaming.storage.options import Sealed, StorageOptions, seal
from streaming.storage.url import file_path, join_names, redact, scheme_of_root, split_query

__all__ = ["Location", "working_directory"]


@dataclass(frozen=True, repr=False)
class Location:
    """A directory of a store. ``str`` and ``repr`` show no secret; two are equal if they name one place.

    Attributes:
        scheme: The URL's scheme in lower case, ``''`` for a plain path.
        base: The URL without its query, or the path, as it was given.
        query: The query with its ``?`` (a shared access signature, say), which stays at the end of whatever is joined;
            ``''`` where the scheme has none (``s3://bucket/what?``).
        options: Settings of the store.
        patience_s: Longest silence of its server that is waited for, in seconds, where a call says no other.

    Example:
        >>> place = Location.parse("https://me:secret@host/data?sig=secret")
        >>> print(place.join("train"))
        https://host/data/train
    """

    scheme: str
    base: str
    query: str
    options: Sealed = field(compare=False)
    patience_s: float = field(default=60.0, compare=False)

    @classmethod
    def parse(cls, url: str, storage_options: StorageOptions | Sealed | None = None) -> Location:
        """Take a URL or path apart.

        Args:
            url: It.
            storage_options: Settings of its store. A local directory takes none, so it does not get those that a user
                gave for several places.

        Raises:
            ConfigError: It is meant to be a URL and is none (``s3:/bucket``), or has white space before or behind it; or
                the options are of another form.
        """
        scheme = scheme_of_root(url)
        return cls(scheme, *split_query(url), seal(None)).with_options(storage_options)

    def with_options(self, storage_options: StorageOptions | Sealed | None) -> Location:
        """Return the place with other settings of its store; a local directory takes none."""
        return self if self.is_local else replace(self, options=seal(storage_options))

    @property
    def url(self) -> str:
        """The text as it was given. It may hold secrets."""
        return self.base + self.query

    @property
    def is_local(self) -> bool:
        """Whether it is a directory of a mounted file system."""
        return self.scheme in ("", "file")

    @property
    def path(self) -> str:
        """The path of a local directory.

        Raises:
            ConfigError: It is on another host.
        """
        return file_path(self.url)

    def join(self, *names: str | None) -> Location:
        """Return a place below; see :func:`streaming.storage.url.join`."""
        return replace(self, base=join_names(self.base, *names, is_path=not self.scheme))

    def above(self, name: str) -> Location:
        """Return the directory of a file of a name where the place is given by that file."""
        directory, slash, last = self.base.rpartition("/")
        if last != name:
            return self
        return replace(self, base=directory or ("/" if slash else "."))

    def expanded(self) -> Location:
        """Return a local directory by its plain path, with ``~`` expanded."""
        return replace(self, scheme="", base=self.path, query="")

    def absolute(self, directory: str) -> Location:
        """Return the place, where it is a relative path, as it is meant from a directory."""
        return self if self.scheme else replace(self, base=os.path.join(directory, os.path.expanduser(self.base)))

    def __str__(self) -> str:
        return redact(self.url)

    def __repr__(self) -> str:
        return f"Location({str(self)!r})"


def working_directory() -> str:
    """Return the current directory, ``''`` if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
