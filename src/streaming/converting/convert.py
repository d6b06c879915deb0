"""``streaming.convert``: what other programs have written, to shards, by many processes, and restartable."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from streaming.converting.estimate import estimate
from streaming.converting.grouping import grouped
from streaming.converting.reading import Call, Reader, Step, choose_columns, peek
from streaming.converting.tokens import TOKENS, Tokens
from streaming.core.arguments import as_path, as_text
from streaming.core.errors import ConfigError, EmptyDatasetError
from streaming.core.names import Compression, HashName, Out, Where
from streaming.format.metadata import joined_metadata
from streaming.inplace.settings import split_off_table
from streaming.inplace.tables import open_rows
from streaming.sources.contract import Row, versioned
from streaming.storage.location import Location
from streaming.storage.options import StorageOptions
from streaming.writing.bulk.report import WriteReport
from streaming.writing.bulk.write import checked_metadata, write
from streaming.writing.partitions import check_not_replaced
from streaming.writing.parts.engines import get_engine
from streaming.writing.parts.write import write_parts
from streaming.writing.publish.places import Place

__all__ = ["Preview", "convert", "preview"]

_SHOWN = 3


@dataclass(frozen=True)
class Preview:
    """What a conversion would write.

    Attributes:
        format: Format of the source.
        files: Number of its files.
        bytes: Bytes of them.
        samples: Number of samples, ``None`` if nothing tells.
        raw_bytes: Size of the shards without compression, ``None`` if nothing tells.
        seconds: How long one process takes to read and encode them, ``None`` if nothing tells.
        is_exact: Whether ``samples`` is known, not estimated.
        columns: Encoding of each column.
        first: The first samples.
    """

    format: str
    files: int
    bytes: int
    samples: int | None
    raw_bytes: int | None
    seconds: float | None
    is_exact: bool
    columns: dict[str, str]
    first: list[Row]


def convert(
    source: Where | Location,
    out: Out,
    *,
    columns: Mapping[str, str | None] | Sequence[str] | None = None,
    fn: Callable[[Row], Row | Iterable[Row] | None] | None = None,
    tokenizer: str | os.PathLike[str] | Callable[[str], Any] | None = None,
    text: str = "text",
    format: str | None = None,
    schema: Literal["same", "union"] | None = None,
    split: str | None = None,
    config: str | None = None,
    version: int | str | None = None,
    labels: str | None = None,
    sort: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    engine: Literal["local", "ray", "dask", "spark"] = "local",
    metadata: Mapping[str, Any] | None = None,
    compatible: bool = False,
    workers: int | None = None,
    compression: Compression | None = None,
    hashes: Sequence[HashName] | None = None,
    size_limit: int | str | None = 1 << 26,
    keep_local: bool = False,
    exist_ok: bool = False,
    append: bool = False,
    resume: bool = True,
    retry: int = 2,
    progress_bar: bool = True,
    storage_options: StorageOptions | None = None,
) -> WriteReport:
    """Write what another program has written to an MDS dataset, in worker processes.

    Takes Parquet, Arrow (a dataset that Hugging Face's ``save_to_disk`` wrote), JSON lines and arrays (plain, ``.gz``,
    ``.zst``), CSV, text, WebDataset's tars, folders of images, sounds or videos, datasets of the Hugging Face Hub, litdata's
    chunks, TFRecords, NumPy's files, tables of Delta Lake, Iceberg and Lance, and MDS itself, to cut, compress, hash or sort
    it anew. Samples keep the order of the source, and the files are the same whatever the number of workers. A call that was
    killed continues when it is made again, as :func:`streaming.write` does.

    Args:
        source: A file, a directory, a pattern of names (``*``, ``**``, ``{a,b}``, ``{000..099}``), on disk or in a store;
            ``hf://datasets/owner/name``; or a table: ``delta+s3://...``, ``iceberg+s3://...``.
        out: Where to write: a local directory, a URL, or a pair ``(local, remote)``.
        columns: Names of the columns to keep, or their encodings by name (``None``: as it is). Default: all, as they are;
            where the source does not say what they are, by its first rows.
        fn: Called with each row, in the worker processes: returns a row, ``None`` to leave it out, or many.
        tokenizer: Makes token ids of the column ``text``, which ``input_ids`` takes the place of: a ``tokenizer.json``, a
            directory with one, a name at the Hugging Face Hub, or a function from a text to its ids.
        text: The column of text.
        format: Format of the source. Default: by names and contents.
        schema: For tables: ``'same'`` (default), files must have the same columns; ``'union'``, what a file lacks is
            ``None``.
        split: Which split, of a source that has several.
        config: Which configuration, of a dataset of the Hub that has several.
        version: Of a table: the number of a version, for Iceberg of a snapshot; for Lance also a tag. Default: the newest.
        labels: For folders: the table that holds what is known of each file.
        sort: For MDS: the column by whose values the samples are sorted; those that are equal stay in their order.
        on_error: ``'skip'`` leaves out files and rows that cannot be read; the report lists them.
        engine: What converts: ``'local'``, processes of this machine; ``'ray'``, ``'dask'`` or ``'spark'``, the cluster that
            this process is connected to, or one that is begun here. A cluster writes parts of the source into directories of
            their own, under one index, in the source's order. It needs a source and an ``out`` that all its machines reach:
            URLs, or directories that they share; and has no ``append``, ``keep_local`` or pair of places.
        metadata: As for :func:`streaming.write`, like all arguments below; what the source says (names of classes, sampling
            rates) is added, and the tokenizer's name and print.
        compatible: Refuse columns that ``mosaicml-streaming`` cannot read.
        workers: Number of processes; default: one for each core.
        compression: As for :class:`MDSWriter`.
        hashes: Hash algorithms to record for every file.
        size_limit: Largest raw size of a shard in bytes.
        keep_local: Keep local copies of what is uploaded.
        exist_ok: Replace the dataset that is there.
        append: Add to the dataset that is there, or begin one.
        resume: Continue an unfinished call.
        retry: Further attempts after a failed upload.
        progress_bar: Show one, if standard error is a terminal.
        storage_options: Settings of the stores of ``source`` and ``out``.

    Returns:
        What was written.

    Raises:
        ConfigError: Nothing tells the format, there is no such column, or an argument is wrong.
        EmptyDatasetError: There are no files or no rows.
        SourceError: A file is damaged, or files do not go together; the text names file, row and column.
        MissingDependencyError: A package that reads the format is not installed.

    Example:
        >>> import json
        >>> with open('texts.jsonl', 'w') as file:
        ...     for i in range(100):
        ...         print(json.dumps({'id': i, 'text': f'text {i}'}), file=file)
        >>> streaming.convert('texts.jsonl', 'converted', workers=0).samples
        100
        >>> StreamingDataset(local='converted')[7]
        {'id': 7, 'text': 'text 7'}
    """
    options = {"schema": schema, "split": split, "config": config, "labels": labels, "sort": sort}
    options["version"] = None if version is None else str(version)
    cluster = None if engine == "local" else get_engine(engine)
    if cluster is not None and (append or keep_local):
        raise ConfigError(
            f"append and keep_local are not for engine={engine!r}. Convert to a directory beside, and join both by "
            "merge_index."
        )
    place, format = _located(source, format, storage_options)
    place = place if cluster is None else place.absolute(os.getcwd())
    reader, encodings, known = _prepared(place, columns, fn, tokenizer, text, format, on_error, options)
    if exist_ok and reader.source.files.format in ("mds", "litdata"):
        check_not_replaced(place.above("index.json"), Place.parse(out, storage_options))
    read: Any = reader  # which also gives rows that are encoded, and errors in place of rows
    given: dict[str, Any] = {
        "fn": read,
        "on_error": on_error,
        "metadata": joined_metadata(checked_metadata(metadata), known),
        "compatible": compatible,
        "workers": workers,
        "compression": compression,
        "hashes": hashes,
        "size_limit": size_limit,
        "exist_ok": exist_ok,
        "resume": resume,
        "retry": retry,
        "progress_bar": progress_bar,
        "storage_options": storage_options,
    }
    if cluster is not None:
        return write_parts(cluster, grouped(reader.source, size_limit), out, encodings, **given)
    return write(versioned(reader.source), out, encodings, keep_local=keep_local, append=append, **given)


def preview(
    source: Where | Location,
    *,
    columns: Mapping[str, str | None] | Sequence[str] | None = None,
    fn: Callable[[Row], Row | Iterable[Row] | None] | None = None,
    tokenizer: str | os.PathLike[str] | Callable[[str], Any] | None = None,
    text: str = "text",
    format: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    storage_options: StorageOptions | None = None,
    **options: str | None,
) -> Preview:
    """Tell what :func:`convert` would write, without writing anything: number, size and time by reading for two seconds.

    Args:
        source: As for :func:`convert`, like the arguments below.
        columns: Names or encodings of the columns.
        fn: Called with each row.
        tokenizer: Makes tokens of text.
        text: The column of text.
        format: Format of the source.
        on_error: ``'skip'`` leaves out files and rows that cannot be read.
        storage_options: Settings of its store.
        options: ``schema``, ``split``, ``config``, ``version``, ``labels``, ``sort``.

    Raises:
        StreamingError: What :func:`convert` would raise by then.

    Example:
        >>> import json
        >>> with open('texts.jsonl', 'w') as file:
        ...     print(json.dumps({'id': 1, 'text': 'a'}), file=file)
        >>> from streaming.converting.convert import preview
        >>> preview('texts.jsonl').columns
        {'id': 'int', 'text': 'str'}
    """
    place, format = _located(source, format, storage_options)
    reader, encodings, _ = _prepared(place, columns, fn, tokenizer, text, format, on_error, options)
    files, parts = reader.source.files, reader.source.parts
    first: list[Row] = [{name: row.get(name) for name in encodings} for row in peek(reader, _SHOWN)]
    found = estimate(reader)
    is_known = all(part.rows >= 0 for part in parts) and not reader.steps
    samples = sum(part.rows for part in parts) if is_known else found.samples
    size = sum(info.bytes for info in files.infos)
    is_exact = is_known or found.is_all
    return Preview(files.format, len(files), size, samples, found.raw_bytes, found.seconds, is_exact, encodings, first)


def _located(
    source: Where | Location, format: str | None, storage_options: StorageOptions | None
) -> tuple[Location, str | None]:
    """Return where the source is, and its format, if that is given or a URL such as ``delta+s3://...`` names it."""
    if isinstance(source, Location):
        return source, format
    text, table = split_off_table(as_path("source", source))
    found = table or format
    return Location.parse(text, storage_options), None if found is None else as_text("format", found)


def _prepared(
    place: Location,
    columns: Mapping[str, str | None] | Sequence[str] | None,
    fn: Callable[[Row], Any] | None,
    tokenizer: str | os.PathLike[str] | Callable[[str], Any] | None,
    text: str,
    format: str | None,
    on_error: str,
    options: Mapping[str, str | None],
) -> tuple[Reader, dict[str, str], dict[str, Any]]:
    """Return what reads, the encodings, and what is known of the source."""
    if as_text("on_error", on_error) not in ("raise", "skip"):
        raise ConfigError(f"on_error must be 'raise' or 'skip', got {on_error!r}.")
    if isinstance(columns, str) or (columns is not None and not isinstance(columns, (Mapping, Sequence))):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"columns must be a list of names, or their encodings by name; got {columns!r}.")
    if tokenizer is None and as_text("text", text) != "text":
        raise ConfigError(f"text={text!r} is the column that a tokenizer reads, and none is given. Pass `tokenizer`.")
    chosen = columns if isinstance(columns, Mapping) and fn is None and tokenizer is None else None
    opened = open_rows(place, format, skips=on_error == "skip", encodings=chosen, **options)
    if not opened.parts:
        raise EmptyDatasetError(f"There are no rows at {place}.")
    steps: list[Step] = []
    known = opened.metadata
    if fn is not None:
        steps.append(Call(fn))
    if tokenizer is not None:
        tokens = Tokens(tokenizer, text)
        steps.append(tokens)
        known = {**known, **tokens.metadata}
    names = None if columns is None or steps else tuple(columns)
    reader = Reader(opened, names, {}, tuple(steps))
    encodings = choose_columns(reader, columns)
    facts = {name: fact for name, fact in known.get("columns", {}).items() if name in encodings}
    known = {
        **{name: fact for name, fact in known.items() if name != "columns"},
        **({"columns": facts} if facts else {}),
    }
    if tokenizer is not None and TOKENS in encodings and not isinstance(columns, Mapping):
        encodings[TOKENS] = f"ndarray:{Tokens(tokenizer, text).dtype}"
    return replace(reader, encodings=encodings), encodings, known
