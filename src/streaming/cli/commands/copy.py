"""``streaming copy``: a dataset to another place, checked on the way, the index last."""

from __future__ import annotations

import hashlib
import os
import tempfile
from argparse import Namespace
from collections.abc import Iterable, Mapping
from functools import partial

from streaming.cli.reading.source import INDEX_NAME, Source, read_source
from streaming.cli.shell.output import print_json, print_line, print_note, progress_bar
from streaming.cli.shell.parallel import in_parallel
from streaming.columns.parquet import COLUMNS_NAME
from streaming.columns.shards import check_file, with_retries
from streaming.core.errors import ConfigError, IndexFormatError, ObjectNotFoundError
from streaming.format.index import FileInfo, Index
from streaming.format.metadata import METADATA_NAME
from streaming.storage.location import Location
from streaming.storage.providers.local import LocalStore
from streaming.storage.registry import open_store
from streaming.storage.store import Store
from streaming.writing.bulk.report import show_bytes
from streaming.writing.publish.places import same_directory
from streaming.writing.publish.stored import check_files

__all__ = ["MARK_NAME", "run"]

#: While a copy is under way, says of which index, so that only what belongs to that is left out when it is repeated.
MARK_NAME = "index.json.copying"


def run(args: Namespace) -> int:
    """Copy and print what was copied."""
    source = read_source(args.source)
    target = open_store(args.target)
    name = str(args.target)
    if _is_same(source.place, args.target):
        raise ConfigError(f"{source.name} and {name} are one place. Copy to another.")
    files = _files(source)
    there = _begin(source, files, target, name, args.force)
    missing = [file for file in files if there.get(file.basename) != file.bytes]
    _copy_all(source, target, name, files, missing, args.jobs)
    check_files(target, [[(file.basename, file.bytes)] for file in files])
    _copy_metadata(source.store, target)
    has_side = _copy_side_columns(source.store, target, args.force)
    with_retries(lambda: target.put(INDEX_NAME, source.data))
    with_retries(lambda: target.delete(MARK_NAME))
    size = sum(file.bytes for file in missing)
    if args.json:
        facts = {"from": source.name, "to": name, "files": len(files)}
        print_json({**facts, "copied_files": len(missing), "copied_bytes": size})
    else:
        left_out = f"; {len(files) - len(missing):,} were there already" if len(missing) < len(files) else ""
        side = "; and the side columns" if has_side else ""
        print_line(f"{name}: copied {len(missing):,} files, {show_bytes(size)}{left_out}{side}")
    return 0


def _copy_metadata(source: Store, target: Store) -> None:
    """Copy what is known of the dataset, or remove what is said of another at the target."""
    known = _get(source, METADATA_NAME)
    if known is not None:
        with_retries(lambda: target.put(METADATA_NAME, known))
    elif _get(target, METADATA_NAME) is not None:
        with_retries(lambda: target.delete(METADATA_NAME))


def _copy_side_columns(source: Store, target: Store, force: bool) -> bool:
    """Copy what lies beside the dataset of its columns, but not in the place of what was made for the copy."""
    size = _bytes_of(source, COLUMNS_NAME)
    if size is None or (not force and _bytes_of(target, COLUMNS_NAME) is not None):
        return False
    with tempfile.TemporaryDirectory(prefix="streaming-copy-", ignore_cleanup_errors=True) as directory:
        _copy(source, target, directory, FileInfo(COLUMNS_NAME, size))
    return True


def _bytes_of(store: Store, path: str) -> int | None:
    try:
        return with_retries(lambda: store.head(path)).bytes
    except ObjectNotFoundError:
        return None


def _is_same(source: Location, target: Location) -> bool:
    if source.is_local and target.is_local:
        return same_directory(source.path, target.path)
    same_options = source.options.reveal() == target.options.reveal()
    return same_options and str(source).rstrip("/") == str(target).rstrip("/")


def _begin(source: Source, files: list[FileInfo], target: Store, name: str, force: bool) -> dict[str, int]:
    """Make the target ready.

    Returns:
        The sizes of the files there that are known to be of this dataset.

    Raises:
        ConfigError: There is another dataset, or there are files that are nobody's, which are not to be replaced.
    """
    with_retries(target.check_writable)
    there = with_retries(lambda: {info.path: info.bytes for info in target.list()})
    index = _get(target, INDEX_NAME) if INDEX_NAME in there else None
    if index == source.data:
        return {} if force else there
    if index is not None:
        _check_index(index, name, force)
    mark = hashlib.sha256(source.data).hexdigest().encode()
    marked = _get(target, MARK_NAME) if MARK_NAME in there else None
    if index is None and not force:
        if marked == mark:
            return there
        if marked is None:
            _check_free(files, there, target, name)
    with_retries(lambda: target.put(MARK_NAME, mark))
    if index is not None:
        # Nobody shall read new shards by the old index.
        with_retries(lambda: target.delete(INDEX_NAME))
    return {}


def _check_index(index: bytes, name: str, force: bool) -> None:
    try:
        Index.parse(index, f"{INDEX_NAME} at {name}")
    except IndexFormatError as error:
        raise ConfigError(
            f"{INDEX_NAME} at {name} is no index of a dataset, so it is not replaced. Move it away, or copy to another "
            f"place. ({error})"
        ) from error
    if not force:
        raise ConfigError(f"There is another dataset at {name}. Copy to another place, or pass --force to replace it.")


def _check_free(files: list[FileInfo], there: Mapping[str, int], target: Store, name: str) -> None:
    """Refuse to replace files of which neither an index nor a mark says whose they are."""
    names = [file.basename for file in files]
    if isinstance(target, LocalStore):  # a link that leads nowhere is not listed
        taken = [path for path in names if os.path.lexists(os.path.join(target.root, path))]
    else:
        taken = [path for path in names if path in there]
    if taken:
        raise ConfigError(
            f"There are {len(taken):,} files at {name} that have names of files of this dataset, such as {taken[0]}, and "
            "nothing says that they are its. Copy to another place, or pass --force to replace them."
        )


def _copy_all(
    source: Source, target: Store, name: str, files: list[FileInfo], missing: list[FileInfo], jobs: int
) -> None:
    total, wanted = _size(files), _size(missing)
    done: list[FileInfo] = []

    def copy(directory: str, file: FileInfo) -> int:
        _copy(source.store, target, directory, file)
        done.append(file)
        return file.bytes

    with tempfile.TemporaryDirectory(prefix="streaming-copy-", ignore_cleanup_errors=True) as directory:
        copied = in_parallel(partial(copy, directory), missing, jobs)
        try:
            with progress_bar("Copying", total, "B", initial=total - wanted) as bar:
                for size in copied:
                    bar.update(size)
        except BaseException:
            copied.close()
            there = len(files) - len(missing) + len(done)
            print_note(f"{there:,} of {len(files):,} files are at {name}. Repeat the command to continue.")
            raise


def _get(store: Store, path: str) -> bytes | None:
    try:
        return with_retries(lambda: store.get(path))
    except ObjectNotFoundError:
        return None


def _files(source: Source) -> list[FileInfo]:
    """Return the files that readers fetch: the compressed one of each where there is one."""
    return [
        zipped or raw
        for shard_id in range(source.index.num_shards)
        for shard in [source.index.shard(shard_id)]
        for raw, zipped in zip(shard.raw, shard.zip, strict=True)
    ]


def _size(files: Iterable[FileInfo]) -> int:
    return sum(file.bytes for file in files)


def _copy(source: Store, target: Store, directory: str, file: FileInfo) -> None:
    if isinstance(source, LocalStore):
        source.head(file.basename)  # tells a missing file in the usual words
        _put(target, file, os.path.join(source.root, file.basename))
        return
    with tempfile.TemporaryDirectory(dir=directory) as own:
        path = os.path.join(own, "file")
        with_retries(lambda: source.download(file.basename, path, offset=_size_of(path)))
        _put(target, file, path)


def _size_of(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def _put(target: Store, file: FileInfo, path: str) -> None:
    check_file(path, file)
    with_retries(lambda: target.put(file.basename, path))
