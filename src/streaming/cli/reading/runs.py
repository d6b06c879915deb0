"""The run that a command is asked about: a dataset, opened for its index alone, and the machines."""

from __future__ import annotations

import inspect
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming.cli.reading.files import read_json, read_yaml
from streaming.core.errors import ConfigError
from streaming.storage.location import Location

if TYPE_CHECKING:
    from streaming.dataset.dataset import StreamingDataset
    from streaming.dataset.mixing.schedule import Phase, Ramp, Schedule

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

        if args.mix is not None or args.proportions is not None:
            raise ConfigError(f"{urls[0].path} says the streams' shares: --mix and --proportions are for URLs.")
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
    mix = {} if args.mix is None else {"mix": _schedule(args.mix, list(streams), args.proportions is not None)}
    names = (*map(str, urls), *(f"{text} (estimated)" for text in estimates.values()))
    return Request(
        names,
        streams,
        {"shuffle": not args.no_shuffle, "batch_size": args.batch_size or _BATCH_SIZE, **mix, **settings_of(args)},
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
    from streaming.cli.reading.estimated import EstimatedStream, write_estimate
    from streaming.dataset.dataset import StreamingDataset
    from streaming.dataset.stream import Stream

    with tempfile.TemporaryDirectory(prefix="streaming-plan-", ignore_cleanup_errors=True) as scratch:
        streams: dict[str, Stream] = {}
        for number, (name, arguments) in enumerate(request.streams.items()):
            more: dict[str, Any] = {**arguments, "local": f"{scratch}/{number}"}
            if request.estimates and name in request.estimates:
                more["remote"] = write_estimate(request.estimates[name], Path(scratch, f"estimated-{number}"))
                streams[name] = EstimatedStream(**more)
            else:
                streams[name] = Stream(**more)
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


def _schedule(text: str, names: list[str], has_proportions: bool = False) -> Schedule:
    """Return the schedule that ``--mix`` says.

    Args:
        text: Phases, joined by semicolons: where one begins, or from where to where a ramp goes; a colon; and a share for
            each stream.
        names: Names of the streams, in their order.
        has_proportions: Whether shares that stay are given as well.

    Raises:
        ConfigError: It says none.

    Example:
        >>> _schedule('0:3,1; 10ba:1,1', ['web', 'code']).unit
        'batches'
    """
    from streaming.dataset.mixing.schedule import Phase, Ramp, Schedule

    if has_proportions:
        raise ConfigError("--proportions are shares that stay, --mix such that change: give one of them.")
    phases: list[Phase | Ramp] = []
    units: set[str] = set()
    for part in filter(None, (part.strip() for part in text.split(";"))):
        where, _, said = part.partition(":")
        try:
            shares = [float(word) for word in said.split(",")]
        except ValueError:
            shares = []
        if len(shares) != len(names):
            raise ConfigError(f"--mix: expected AT:SHARES with {len(names)} shares, such as 2b:0.5,0.5, got {part!r}.")
        places = [place.strip() for place in where.split("-")]
        units |= {"batches" if place.endswith("ba") else "samples" for place in places if place != "0"}
        begin, *end = [place.removesuffix("ba") for place in places]
        weights: dict[str | int, float] = dict(zip(names, shares, strict=True))
        if len(end) > 1:
            raise ConfigError(f"--mix: a ramp goes FROM-TO, got {where!r}.")
        phases.append(Ramp(begin, end[0], to=weights) if end else Phase(begin, weights))
    if len(units) > 1:
        raise ConfigError("--mix: either all places are batches, as 2000ba, or none is.")
    return Schedule(phases, unit="batches" if units == {"batches"} else "samples")
