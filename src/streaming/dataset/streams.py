"""The streams that a dataset is made of, from its arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from streaming.core.arguments import as_path, as_text
from streaming.core.errors import ConfigError
from streaming.core.names import Where
from streaming.dataset.config import StreamDefaults
from streaming.dataset.registry import make_stream
from streaming.dataset.stream import Stream

__all__ = ["names_of", "resolve_streams"]

#: Streams in order, or by name.
Streams = Sequence[Stream] | Mapping[str, Stream]


def resolve_streams(
    streams: Streams | None,
    where: Mapping[str, Where | None],
    defaults: StreamDefaults,
    stream_name: str,
    stream_config: Mapping[str, Any] | None,
) -> list[Stream]:
    """Return a dataset's streams, with what they leave open filled in; those that were given stay as they are.

    Args:
        streams: The streams, by name or not, or nothing for the one at ``where``.
        where: ``remote`` and ``local`` of the only stream.
        defaults: What every stream takes that does not say it itself.
        stream_name: Name of the registered class of the only stream.
        stream_config: Further arguments of that class.

    Raises:
        ConfigError: They are no streams, both or neither are given, or two different ones share a directory.
    """
    texts = [as_path(name, place) for name, place in where.items() if place is not None]
    given = _check_streams(streams, any(texts))
    if not given:
        if stream_config is not None and not isinstance(stream_config, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"stream_config must be a mapping of arguments by name, got {stream_config!r}.")
        arguments = {**(stream_config or {}), **where, **defaults.of_any_class()}
        given = [make_stream(stream_name, arguments)]
    filled = [stream.with_defaults(dict(vars(defaults))) for stream in given]
    _check_local_directories(filled)
    return filled


def names_of(streams: Streams | None, count: int) -> tuple[str, ...]:
    """Return the names of ``count`` streams: those of a mapping, else their places.

    Raises:
        ConfigError: A name is no text.
    """
    if isinstance(streams, Mapping):
        return tuple(as_text("a stream's name", name) for name in streams)
    return tuple(map(str, range(count)))


def _check_streams(streams: Streams | None, is_one: bool) -> list[Stream]:
    """Return streams as a list: none where ``remote`` or ``local`` says where one lies.

    Raises:
        ConfigError: They are something else, or both or neither are given.
    """
    is_given = streams is not None and not (isinstance(streams, (Sequence, Mapping)) and not len(streams))  # pyright: ignore[reportUnnecessaryIsInstance]
    if is_given == is_one:
        raise ConfigError(
            "Give either `streams`, or `remote` and/or `local`; "
            + ("both were given." if is_one else "neither was given.")
        )
    given: Any = [] if streams is None else list(streams.values()) if isinstance(streams, Mapping) else streams
    wrong = given
    if not isinstance(given, (Stream, str, bytes, Mapping)) and hasattr(given, "__iter__"):
        listed: list[Any] = list(given)
        if all(isinstance(stream, Stream) for stream in listed):
            return listed
        wrong = next(stream for stream in listed if not isinstance(stream, Stream))
    raise ConfigError(
        f"streams must be a list of Stream objects, got {wrong!r}. Pass streams=[Stream(remote=...), ...], or "
        "streams={'name': Stream(remote=...), ...}."
    )


def _check_local_directories(streams: Sequence[Stream]) -> None:
    """Refuse two different datasets in one directory.

    Raises:
        ConfigError: Two streams with different remotes share a directory.
    """
    seen: dict[str, str | None] = {}
    sides = [side.stream for stream in streams for side in stream.join]
    for stream in (*streams, *sides):
        if not (stream.remote or stream.local):
            continue  # which opening it will say
        directory = os.path.abspath(stream.directory)
        if directory in seen and seen[directory] != stream.remote:
            raise ConfigError(
                f"Two streams use the local directory {directory} for different remotes. Give each its own `local`."
            )
        seen[directory] = stream.remote
