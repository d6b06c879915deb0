"""The run that a command is asked about: a dataset, opened for its index alone, and the machines."""

from __future__ import annotations

import inspect
import json
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming.cli.reading.files import read_json, read_yaml
from streaming.core.errors import ConfigError
from streaming.core.units import bytes_to_int
from streaming.storage.location import Location

if TYPE_CHECKING:
    from streaming.dataset.dataset import StreamingDataset

__all__ = ["Request", "opened", "request_of"]

_BATCH_SIZE = 32


@dataclass(frozen=True)
class Request:
    """What a command is asked about.

    Attributes:
        names: What is read, to be shown.
        streams: Arguments of each stream, by its name.
        settings: Further arguments of the dataset.
        nodes: Nodes.
        ranks: Ranks of each.
        workers: Workers of each rank.
        replication: Consecutive ranks that get the same samples.
        epochs: Epochs of the run, if it is counted so.
        steps: Steps of the run, if it is counted so.
        state: A checkpoint from which it goes on.
        estimates: Datasets that are not there yet, by the names of their streams.
    """

    names: tuple[str, ...]
    streams: dict[str, dict[str, Any]]
    settings: dict[str, Any]
    nodes: int
    ranks: int
    workers: int
    replication: int | None = None
    epochs: int | None = None
    steps: int | None = None
    state: dict[str, Any] | None = None
    estimates: dict[str, str] | None = None


def request_of(args: Namespace) -> Request:
    """Return what the arguments of a command ask about.

    Raises:
        ConfigError: They name no dataset, or a file that cannot be understood.
    """
    urls: list[Location] = args.urls
    if len(urls) == 1 and urls[0].is_local and Path(urls[0].path).suffix in (".yaml", ".yml"):
        from streaming.cli.reading.simulated import request_of_yaml

        return request_of_yaml(read_yaml(urls[0].path), urls[0].path, args)
    if not urls and args.estimate is None:
        raise ConfigError("Say which dataset: a URL, or --estimate SHARDSxSAMPLESxSIZE for one that is not there yet.")
    streams = {
        str(i): {"remote": _remote(place), "storage_options": place.options.reveal() or None}
        for i, place in enumerate(urls)
    }
    estimates = {} if args.estimate is None else {str(len(urls)): args.estimate}
    streams |= {name: {} for name in estimates}
    if args.proportions is not None:
        _weigh(streams, args.proportions)
    names = (*map(str, urls), *(f"{text} (estimated)" for text in estimates.values()))
    return Request(
        names,
        streams,
        {"shuffle": not args.no_shuffle, "batch_size": args.batch_size or _BATCH_SIZE, **settings_of(args)},
        args.nodes or 1,
        args.ranks or 1,
        args.workers or 0,
        args.replication,
        args.epochs,
        args.steps,
        None if args.resume is None else read_json(args.resume),
        estimates,
    )


def settings_of(args: Namespace) -> dict[str, Any]:
    """Return the arguments of a dataset that options of a command say."""
    from streaming.dataset.dataset import StreamingDataset

    known = inspect.signature(StreamingDataset.__init__).parameters
    unknown = [name for name in args.settings if name not in known]
    if unknown:
        raise ConfigError(f"--set {unknown[0]}: StreamingDataset has no such argument.")
    return {**({} if args.cache_limit is None else {"cache_limit": args.cache_limit}), **args.settings}


@contextmanager
def opened(request: Request) -> Iterator[StreamingDataset]:
    """Open the dataset of a request, with nothing in its cache, which is removed afterwards."""
    from streaming.dataset.dataset import StreamingDataset
    from streaming.dataset.stream import Stream

    with tempfile.TemporaryDirectory(prefix="streaming-plan-", ignore_cleanup_errors=True) as scratch:
        streams: dict[str, Stream] = {}
        for number, (name, arguments) in enumerate(request.streams.items()):
            more: dict[str, Any] = {"local": f"{scratch}/{number}"}
            if request.estimates and name in request.estimates:
                more["remote"] = _estimated(request.estimates[name], Path(scratch, f"estimated-{number}"))
            streams[name] = Stream(**{**arguments, **more})
        settings: dict[str, Any] = {
            "allow_unsafe_types": True,
            **request.settings,
        }  # no sample is read: none is unpickled
        dataset = StreamingDataset(streams=streams, **settings)
        try:
            if request.state is not None:
                dataset.load_state_dict(request.state)
            yield dataset
        finally:
            dataset.close()


def _remote(place: Location) -> str | None:
    return place.path if place.is_local else place.url


def _weigh(streams: dict[str, dict[str, Any]], text: str) -> None:
    try:
        shares = [float(word) for word in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--proportions: {error}") from error
    if len(shares) != len(streams):
        raise ConfigError(f"--proportions has {len(shares)} shares for {len(streams)} streams.")
    for stream, share in zip(streams.values(), shares, strict=True):
        stream["proportion"] = share


def _estimated(text: str, folder: Path) -> str:
    """Write the index of a dataset that is not there, and return where."""
    try:
        shards, samples, *sizes = text.lower().split("x")
        counts, (raw, *zipped) = (int(shards), int(samples)), [bytes_to_int(size) for size in sizes]
        if min(*counts, raw) < 1 or len(zipped) > 1:
            raise ValueError(text)
    except ValueError as error:
        raise ConfigError(f"--estimate must be SHARDSxSAMPLESxSIZE, such as 2000x4000x60mb, got {text!r}.") from error
    entry: dict[str, Any] = {
        "version": 2,
        "format": "mds",
        "compression": "zstd" if zipped else None,
        "hashes": [],
        "size_limit": raw,
        "samples": counts[1],
        "column_names": ["sample"],
        "column_encodings": ["bytes"],
        "column_sizes": [None],
        "raw_data": {"basename": "NAME.mds", "bytes": raw, "hashes": {}},
        "zip_data": {"basename": "NAME.mds.zstd", "bytes": zipped[0], "hashes": {}} if zipped else None,
    }
    folder.mkdir()
    before, *parts = json.dumps(entry).split("NAME")
    with open(folder / "index.json", "w", encoding="utf-8") as file:
        file.write('{"version": 2, "shards": [')
        for i in range(counts[0]):
            file.write(("," if i else "") + f"shard.{i:05}".join([before, *parts]))
        file.write("]}")
    return str(folder)
