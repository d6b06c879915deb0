"""Texts as tokens, by whatever makes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

import numpy as np

from streaming.core.errors import ConfigError, SourceError, StreamingError
from streaming.core.imports import optional_import
from streaming.format.codecs.hashing import get_hash
from streaming.sources.contract import Row
from streaming.writing.rows.encoded import EncodedRows
from streaming.writing.rows.failures import failed_on

__all__ = ["TOKENS", "Tokens"]

#: The column that tokens are written to.
TOKENS = "input_ids"
_AT_ONCE = 512

Made = Row | EncodedRows | StreamingError


@dataclass
class Tokens:
    """Replaces a column of text by one of token ids, ``input_ids``.

    Attributes:
        tokenizer: A function from a text to its ids; or the path of a ``tokenizer.json`` or of the directory that holds
            it, or a name at the Hugging Face Hub.
        column: The column of text.
    """

    tokenizer: str | os.PathLike[str] | Callable[[str], Any]
    column: str = "text"
    _loaded: Any = field(default=None, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the tokenizer that was loaded by its name: each process loads its own."""
        return {**self.__dict__, "_loaded": None}

    def load(self) -> Any:
        """Return the tokenizer of a name.

        Raises:
            ConfigError: There is none.
            MissingDependencyError: The package is not installed.
        """
        if self._loaded is None and not callable(self.tokenizer):
            # Threads of its own would fight with the processes that convert.
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
            tokenizers = optional_import("tokenizers", "text", "A tokenizer by its name")
            name = os.fspath(self.tokenizer)
            path = os.path.join(name, "tokenizer.json") if os.path.isdir(name) else name
            if path.endswith(".json") and not os.path.isfile(path):
                raise ConfigError(f"tokenizer={name!r}: there is no file {path}. Check the path.")
            try:
                kind = tokenizers.Tokenizer
                self._loaded = kind.from_file(path) if os.path.isfile(path) else kind.from_pretrained(name)
            except Exception as error:
                raise ConfigError(
                    f"tokenizer={name!r} is no tokenizer.json, no directory with one, and not to be had from the Hub: "
                    f"{error}"
                ) from error
        return self._loaded

    @property
    def dtype(self) -> str:
        """Type of the ids: 16 bits where they suffice."""
        loaded = self.load()
        small = loaded is not None and loaded.get_vocab_size(with_added_tokens=True) <= 1 << 16
        return "uint16" if small else "uint32"

    @property
    def metadata(self) -> dict[str, Any]:
        """What is noted of the tokenizer: its name and, of one that was loaded, a print of all of it."""
        loaded = self.load()
        if loaded is None:
            return {"tokenizer": {"name": getattr(self.tokenizer, "__qualname__", type(self.tokenizer).__qualname__)}}
        name = os.path.basename(os.path.normpath(os.fspath(self.tokenizer)))  # pyright: ignore[reportArgumentType, reportCallIssue]
        return {"tokenizer": {"name": name, "xxh3_128": get_hash("xxh3_128", loaded.to_str().encode())}}

    def __call__(self, rows: Iterable[Made], at: Callable[[int], str]) -> Iterator[Made]:
        """Yield rows with tokens in place of text; an error in place of one that has none."""
        coming = enumerate(rows)
        while some := list(islice(coming, _AT_ONCE)):
            texts = [row[self.column] for _, row in some if self._has_text(row)]  # pyright: ignore[reportIndexIssue, reportCallIssue, reportArgumentType]
            ids = iter(self._encode(texts))
            for number, row in some:
                if isinstance(row, (StreamingError, EncodedRows)):
                    yield row
                elif not self._has_text(row):
                    names = ", ".join(map(str, row))
                    yield SourceError(
                        f"{at(number)}: there is no text in the column {self.column!r} (it has {names}): give `text`."
                    )
                else:
                    yield self._with_tokens(row, ids, at(number))

    def _with_tokens(self, row: Row, ids: Iterator[Any], where: str) -> Made:
        """Return a row with the next tokens in place of its text; an error if they are none."""
        try:
            found = next(ids)
            tokens = np.asarray(found)
        except (Exception, SystemExit) as error:
            return failed_on(where, cast("Callable[[str], Any]", self.tokenizer), error)
        if not tokens.size:
            return SourceError(f"{where}: no token: the text is {row[self.column]!r}.")
        most = np.iinfo(self.dtype).max
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu" or tokens.min() < 0 or tokens.max() > most:
            return SourceError(f"{where}: the tokenizer gave {found!r:.100}; expected numbers from 0 to {most:,}.")
        rest = {name: value for name, value in row.items() if name != self.column}
        return {**rest, TOKENS: tokens.astype(self.dtype, copy=False)}

    def _has_text(self, row: Made) -> bool:
        return not isinstance(row, (StreamingError, EncodedRows)) and isinstance(row.get(self.column), str)

    def _encode(self, texts: list[str]) -> Iterable[Any]:
        if callable(self.tokenizer):
            return map(self.tokenizer, texts)
        loaded = self.load()
        encode = getattr(loaded, "encode_batch_fast", loaded.encode_batch)
        return (found.ids for found in encode(texts))
