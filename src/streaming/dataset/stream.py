"""A stream: one dataset as it lies on disk and in the store, and its weight in a mixture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from typing import Any, Protocol

from streaming.cache.fetching.config import FetchConfig
from streaming.cache.fetching.directory import ShardDirectory
from streaming.cache.fetching.objects import ObjectDirectory
from streaming.cache.index_source import load_index
from streaming.cache.private import default_local, make_private
from streaming.core.arguments import as_directory, as_flag, as_integer, as_number, as_path, as_text
from streaming.core.errors import ConfigError, EmptyDatasetError, IndexFormatError, StorageError
from streaming.core.names import HashName, Where
from streaming.dataset.projection import as_columns, check_columns
from streaming.dataset.sources import COLUMNS_NAME, Source
from streaming.dataset.stream_details import ARGUMENTS, StreamDetails
from streaming.dataset.views.choosing import by_condition
from streaming.dataset.views.saved import load_view, view_instead
from streaming.format.codecs.hashing import get_hashes, is_hash
from streaming.inplace.settings import InPlace, is_data_without_index, split_off_table
from streaming.sources.finding import found_instead
from streaming.sources.listing import is_source
from streaming.storage.location import Location, working_directory
from streaming.storage.options import StorageOptions, seal
from streaming.storage.providers.local import LocalStore
from streaming.storage.registry import open_store
from streaming.storage.store import Store
from streaming.storage.url import redact, scheme_of
from streaming.units.parts import choose

__all__ = ["Stream", "open_streams"]

_OPEN_AT_ONCE = 16
_DEFAULTS = (
    *("download_retry", "download_timeout", "validate_hash", "keep_zip"),
    *("columns", "format", "schema", "config", "version", "index"),
)
_SETTLED = frozenset({*ARGUMENTS, *_DEFAULTS, "side_columns", "where", "view", "join", "source"})
_INDEX_NAME = "index.json"


class Joining(Protocol):
    """What a stream asks of a :class:`streaming.Side`.

    Attributes:
        stream: Where its data are.
    """

    stream: Stream

    def joined_to(self, source: Source, defaults: dict[str, Any], allow_unsafe_types: bool) -> Source:
        """Return an opened stream with this side."""
        ...


class Stream(StreamDetails):
    """One source of samples.

    Args:
        remote: Where the dataset is: a URL or a path of a file system that every node sees; its ``index.json`` may be
            named too. ``None`` for a dataset that is only in ``local``.
        local: Directory for downloaded shards. Default: a directory under the system's temporary directory, named
            after the remote, shared by every process that reads it.
        split: Sub-directory of ``remote`` and ``local`` that holds the dataset.
        proportion: Share of the epoch's samples, relative to the other streams' proportions.
        repeat: How many times an epoch draws each sample of the stream, fractions allowed.
        choose: How many samples an epoch draws from the stream.
        download_retry: Further attempts after a failed download.
        download_timeout: Longest time in seconds without a byte before a download counts as stalled.
        validate_hash: Hash algorithm that every downloaded file must have recorded and match.
        keep_zip: Keep compressed files beside the raw ones.
        storage_options: Settings of the remote's store that go before the environment (credentials, endpoint, region
            ...): a mapping; a function that returns one, called again when the store refuses what it returned; or a
            store object of ``obstore``. They are never shown, and pickled only to be sent to another process by
            ``multiprocessing``.
        columns: Names of the columns that samples have, in that order; the others are not decoded. Default: all, as they
            are stored.
        side_columns: Where the dataset's side columns are. Default: ``columns.parquet`` beside its index.
        where: Serve only the samples for which this is true: SQL over the side columns, as for
            :meth:`StreamingDataset.filter`.
        view: Serve only the samples that a view keeps: where :meth:`StreamingDataset.save` wrote it. With ``where`` too,
            those for which both hold.
        join: Other datasets whose columns samples get too, as :class:`streaming.Side`.
        format: Format of the files at ``remote``, where they are no shards with an index but are read in place:
            ``'parquet'``, ``'arrow'``, ``'webdataset'``, ``'jsonl'``, ``'text'``, ``'csv'``, ``'folder'``, ``'numpy'``,
            ``'megatron'``, ``'delta'`` and so on. Default: by what ``remote`` says, a pattern of names, one with a suffix, a
            dataset of the Hugging Face Hub (``hf://datasets/owner/name``), or a table (``delta+s3://bucket/table``).
        schema: For such files: ``'same'`` (default), they must have the same columns; ``'union'``, a column that a file
            lacks is missing (``None``) in its rows.
        config: Which configuration, of a dataset of the Hub that has several; ``split`` says which split.
        version: Which version of a table: a number, or, of Iceberg, the number of a snapshot. Default: the newest.
        index: Where ``streaming index --out`` keeps what it found in such files, so that nobody looks into them again.
        source: An object in memory whose samples are served, instead of ``remote`` and ``local``: it has ``__len__``, and
            ``__getitem__`` or ``__getitems__``, as a list or a map-style dataset has. Workers ask it for each sample by its
            number, so where they are spawned it must be possible to pickle it.

    Raises:
        ConfigError: An argument is out of range, more than one of ``proportion``, ``repeat`` and ``choose`` is given, or
            ``columns`` names none, or one twice.
        UnknownNameError: The scheme of ``remote`` is not known.

    A stream object is only configuration: it can serve any number of datasets.

    Example:
        >>> streams = [Stream(remote='data', local='cache', proportion=3), Stream(local='wiki', proportion=1)]
        >>> StreamingDataset(streams=streams, epoch_size=80).samples_per_stream
        array([64,  1])
    """

    def __init__(
        self,
        *,
        remote: Where | None = None,
        local: Where | None = None,
        split: Where | None = None,
        proportion: float | None = None,
        repeat: float | None = None,
        choose: int | None = None,
        download_retry: int | None = None,
        download_timeout: float | None = None,
        validate_hash: HashName | None = None,
        keep_zip: bool | None = None,
        storage_options: StorageOptions | None = None,
        columns: Sequence[str] | None = None,
        side_columns: Where | None = None,
        where: str | None = None,
        view: Where | None = None,
        join: Sequence[Joining] | None = None,
        format: str | None = None,
        schema: str | None = None,
        config: str | None = None,
        version: int | str | None = None,
        index: Where | None = None,
        source: Any = None,
    ) -> None:
        weights = {"proportion": proportion, "repeat": repeat, "choose": choose}
        given = {name: value for name, value in weights.items() if value is not None}
        if len(given) > 1:
            raise ConfigError(f"Give at most one of proportion, repeat and choose, not {given}.")
        for name, value in given.items():
            as_number(name, value, 0)
        self._storage_options = None if storage_options is None else seal(storage_options)
        self.format = format
        self.remote = remote
        self._local = _path_text("local", local) and as_directory("local", local)
        self.local = self._local
        self.split = _path_text("split", split) or ""
        # Relative paths are meant from where the process is now, wherever it goes later.
        self._base = working_directory()
        self.proportion = proportion
        self.repeat = repeat
        self.choose: int | None = None if choose is None else as_integer("choose", _whole(choose))
        self.download_retry = download_retry
        self.download_timeout = download_timeout
        self.validate_hash = validate_hash
        self.keep_zip = keep_zip
        self.columns: tuple[str, ...] | None = as_columns(columns)
        self.side_columns: str | None = _path_text("side_columns", side_columns)
        self.where: str | None = None if where is None else as_text("where", where)
        self.view: str | None = _path_text("view", view)
        if join is not None and not (isinstance(join, (list, tuple)) and all(hasattr(s, "joined_to") for s in join)):
            raise ConfigError(f"join must be a list of Side objects, got {join!r}.")
        self.join: tuple[Joining, ...] = tuple(join or ())
        self.schema = schema
        self.config = config
        self.version: str | None = _version_text(version)
        self.index: str | None = _path_text("index", index)
        self.source: Any = source
        if source is not None and (remote or local):
            raise ConfigError("Give either `source`, or `remote` and/or `local`; both were given.")
        self._check()
        if self.local is None and self._remote is not None:
            self.local = self._default_local(self._remote)

    @property
    def remote(self) -> str | None:
        """The URL or path that was given, without an ``index.json`` at its end. It may hold secrets."""
        return self._remote.url if self._remote else None

    @remote.setter
    def remote(self, remote: Where | None) -> None:
        text = _path_text("remote", remote)
        if text is not None:
            text, table = split_off_table(text)
            self.format = table or self.format
        given = None if text is None else Location.parse(text, self._storage_options)
        self._remote = given and given.above(_INDEX_NAME)
        self._is_index_named = given != self._remote

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, unless it is an argument and a dataset serves this stream as it is.

        Raises:
            ConfigError: It does, and would not notice.
        """
        if name in _SETTLED and self.__dict__.get("_is_served") and value != getattr(self, name, None):
            raise ConfigError(
                f"{name} was set on a stream of a dataset, which goes by what it was made with. Make a dataset of other "
                "streams; weights that change during a run are a schedule (mix)."
            )
        super().__setattr__(name, value)

    def serve(self) -> None:
        """Be the stream of a dataset: from now on nothing of it can be set."""
        self._is_served = True

    def __copy__(self) -> Stream:
        """Return a stream that no dataset serves yet."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _is_served=False)
        return other

    def __repr__(self) -> str:
        where = str(self._remote) if self._remote else None
        return f"Stream(remote={where!r}, local={self.local!r}, split={self.split!r})"

    def _check(self) -> None:
        for name in ("format", "schema", "config", "validate_hash"):
            if getattr(self, name) is not None:
                as_text(name, getattr(self, name))
        if self.keep_zip is not None:
            self.keep_zip: bool | None = as_flag("keep_zip", self.keep_zip)
        if self.validate_hash and not is_hash(self.validate_hash):
            raise ConfigError(
                f"validate_hash={self.validate_hash!r} is not a known hash. Known: {', '.join(sorted(get_hashes()))}."
            )
        FetchConfig(
            self.download_retry if self.download_retry is not None else 2,
            self.download_timeout if self.download_timeout is not None else 60.0,
        )
        if self._local is not None and scheme_of(self._local):
            raise ConfigError(f"local must be a path, got the URL {redact(self._local)!r}. Give it as remote.")
        if self._remote is not None:
            open_store(self._remote)

    def apply_default(self, default: Mapping[str, Any]) -> None:
        """Fill in what this stream leaves open.

        Args:
            default: Values for ``remote``, ``local``, ``split``, ``download_retry``, ``download_timeout``,
                ``validate_hash``, ``keep_zip``, ``storage_options``, ``columns``, ``format``, ``schema``, ``config``,
                ``version`` and ``index``.

        Raises:
            ConfigError: The stream has neither a remote nor a local directory.
        """
        if not (self.remote or self.local or self.source is not None):
            raise ConfigError("Each stream needs `remote`, `local`, or both.")
        if not self.split:
            self.split: str = _path_text("split", default.get("split")) or ""
        for name in _DEFAULTS:
            if getattr(self, name) is None:
                setattr(self, name, default.get(name))
        self.index, self.version = _path_text("index", self.index), _version_text(self.version)
        if self._storage_options is None and default.get("storage_options") is not None:
            self._storage_options = seal(default["storage_options"])
            self._remote = self._remote and self._remote.with_options(self._storage_options)
        self._check()

    def with_defaults(self, default: Mapping[str, Any]) -> Stream:
        """Return a copy with what this stream leaves open filled in; this one stays as it is."""
        filled = copy(self)
        filled.apply_default(default)
        return filled

    @property
    def directory(self) -> str:
        """The directory that holds this stream's index and shards."""
        if self.source is not None:
            return default_local(f"memory://{type(self.source).__qualname__}")
        if self.local is None:
            raise ConfigError("Each stream needs `remote`, `local`, or both.")
        local = os.path.join(self._base, os.path.expanduser(self.local))
        return os.path.join(local, self.split) if self.split else local

    @property
    def fetch_config(self) -> FetchConfig:
        """How this stream's shards are fetched."""
        return FetchConfig(
            2 if self.download_retry is None else self.download_retry,
            60.0 if self.download_timeout is None else self.download_timeout,
            self.validate_hash,
            bool(self.keep_zip),
        )

    def open_store(self) -> Store | None:
        """Return the store of the remote, or ``None`` for a dataset that is only local."""
        place = self._place()
        if place is None:
            return None
        store = open_store(place.join(self.split))
        return None if _is_same(store, self.directory) else store

    def side_location(self) -> Location:
        """Return where the side columns are, if there are any."""
        if self.side_columns is not None:
            return self._beside(self.side_columns)
        place = self._place()
        if place is None:
            return Location.parse(os.path.join(self.directory, COLUMNS_NAME))
        return place.join(self.split, COLUMNS_NAME)

    def open_source(self, allow_unsafe_types: bool = False) -> Source:
        """Open this stream: its index, the samples of it that ``view`` and ``where`` keep, and what is joined to them.

        Args:
            allow_unsafe_types: Accept columns whose decoding can run code.

        Raises:
            ConfigError: A view is of other data, a condition is none, rows to be joined do not belong together, or nothing
                is left.
        """
        source = Source(
            *self.open(allow_unsafe_types), self.side_location(), is_side_given=self.side_columns is not None
        )
        if self.view is not None:
            place = self._beside(self.view)
            selection, query = load_view(source, place)
            source = replace(source, units=choose(selection, None), chosen=(f"view({place}: {query})",))
        if self.where is not None:
            (selection,) = by_condition([source], self.where)
            words = (*source.chosen, f"filter({self.where})")
            source = replace(source, units=choose(selection, source.units), chosen=words)
        names = ("download_retry", "download_timeout", "validate_hash", "keep_zip")
        defaults: dict[str, Any] = {name: getattr(self, name) for name in names}
        for side in self.join:
            more = {"storage_options": self._storage_options, "remote": self.remote}
            source = side.joined_to(source, {**defaults, **more}, allow_unsafe_types)
        if not source.counts.any():
            raise ConfigError(
                f"{'; '.join(source.chosen)} leaves no sample of {source.directory.origin}. Choose otherwise."
            )
        return source

    def _beside(self, place: str) -> Location:
        """Return another place that goes with this stream, with the same options if it is in the same kind of store."""
        location = Location.parse(place).absolute(self._base)
        same = self._remote is not None and location.scheme == self._remote.scheme
        return location.with_options(self._storage_options) if same else location

    def _place(self) -> Location | None:
        """Return the remote as it is meant here, which is not waited for longer than for its shards."""
        if self._remote is None:
            return None
        return replace(self._remote.absolute(self._base), patience_s=self.fetch_config.download_timeout)

    def _default_local(self, remote: Location) -> str:
        return default_local(remote.absolute(self._base).url)

    def open(self, allow_unsafe_types: bool = False) -> tuple[ShardDirectory, int]:
        """Load the index.

        Args:
            allow_unsafe_types: Accept columns whose decoding can run code.

        Returns:
            The stream's shards, and the size of its index in bytes.

        Raises:
            EmptyDatasetError: There is no index, or it lists no samples.
            ConfigError: A shard lacks one of ``columns``.
            UnsafeTypeError: A column's encoding is unsafe and that is not allowed.
            IndexFormatError: The index is not valid.
        """
        if self.source is not None:
            if self.columns is not None:
                raise ConfigError(f"columns={list(self.columns)}: samples of an object are its own. Choose in it.")
            return ObjectDirectory(self.source, self.directory), 0
        store = self.open_store()
        config = self.fetch_config
        directory = self.directory
        if self._local is None and self._remote is not None:
            private = self._default_local(self._remote)
            if self.local == private:
                make_private(os.path.dirname(private))
        where = str(self._remote or directory)
        place = self._place()
        if place is not None and (self.format is not None or is_source(place)):
            return self._open_in_place(place), 0
        try:
            loaded = load_index(directory, store, config.download_retry, _origin(store))
        except (EmptyDatasetError, IndexFormatError) as error:
            if place is not None and is_data_without_index(place):
                return self._open_in_place(place), 0
            hint = "" if isinstance(error, IndexFormatError) else self._hint(place)
            if not hint:
                raise
            raise type(error)(f"{error} {hint}") from error
        odd = next((name for name in ("config", "version", "index") if getattr(self, name) is not None), None)
        if odd is not None:
            raise ConfigError(
                f"{odd}={getattr(self, odd)!r} is for files of others, and {where} has an index.json. Leave it out."
            )
        index = loaded.index
        if not index.num_samples:
            raise EmptyDatasetError(f"The dataset at {where} contains no samples. Write it again, or check `split`.")
        check_columns(index, self.columns, where, allow_unsafe_types)
        return ShardDirectory(directory, index, store, config, where, loaded.identity, self.columns), loaded.bytes

    def _hint(self, place: Location | None) -> str:
        """Return for people what is where no index is."""
        if place is None and is_source(Location.parse(self.directory)):
            return (
                "Files of other formats are given as `remote`; `local` is where shards are kept that are made of them."
            )
        at = place or Location.parse(self.directory)
        if view := view_instead(at):
            return view
        found = found_instead(at)
        return f"{found} Give it as `remote`." if found and place is None else found

    def _open_in_place(self, place: Location) -> ShardDirectory:
        given = {"split": self.split, "config": self.config, "version": self.version}
        options = {name: value for name, value in given.items() if value}
        if self._is_index_named and self.format == "webdataset":  # which has indexes of its own
            place = place.join(_INDEX_NAME)
        index = None if self.index is None else self._beside(self.index)
        files = InPlace(self.format, self.columns, self.schema, options, index)
        return files.open(place, self.directory, self.fetch_config)


def open_streams(streams: Sequence[Stream], allow_unsafe_types: bool) -> list[Source]:
    """Open streams, several at a time.

    Raises:
        StreamingError: What the first stream that cannot be opened raises.
    """

    def open_one(stream: Stream) -> Source:
        return stream.open_source(allow_unsafe_types)

    if len(streams) == 1:
        return [open_one(streams[0])]
    with ThreadPoolExecutor(min(_OPEN_AT_ONCE, len(streams)), "streaming-open") as threads:
        return list(threads.map(open_one, streams))


def _is_same(store: Store, directory: str) -> bool:
    """Say whether a store is a directory, by whatever name or mount."""
    if not isinstance(store, LocalStore):
        return False
    try:
        return os.path.samefile(store.directory, directory)
    except OSError:
        return os.path.abspath(store.directory) == os.path.abspath(directory)


def _origin(store: Store | None) -> str:
    try:
        return str(getattr(store, "origin", None) or repr(store))
    except StorageError:  # whoever asks for the index is told
        return repr(store)


def _path_text(name: str, path: Any) -> str | None:
    return None if path is None else as_path(name, path) or None


def _version_text(version: int | str | None) -> str | None:
    return None if version is None else str(version)


def _whole(count: Any) -> Any:
    return int(count) if isinstance(count, float) and count.is_integer() else count  # such as 1e6
