"""The form of the plan page: its fields, and what they ask as arguments of ``streaming plan``."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Mapping
from typing import NamedTuple

from streaming.cli.arguments.all import parse_arguments
from streaming.cli.shell.options import locate
from streaming.core.errors import ConfigError
from streaming.core.units import bytes_to_int
from streaming.planning import read_prices
from streaming.storage.location import Location

__all__ = ["FIELDS", "ORDERS", "Field", "ask", "values_of"]

ORDERS = ("lanes", "py1e", "py1br", "py1s", "py2s", "naive")
_MOST_RANKS = 1 << 14
_MOST_SHARDS = 1_000_000


class Field(NamedTuple):
    """A field of the form.

    Attributes:
        name: In addresses.
        label: What a reader is told.
        option: The option of the command, or the dataset's argument after ``--set``.
        default: What it holds if nobody says anything.
        kind: ``'count'``, ``'size'``, ``'seconds'`` or ``'choice'``.
        least: The smallest number.
        most: The largest one.
        slide: Whether a slider goes with it.
        choices: Of a choice.
    """

    name: str
    label: str
    option: str
    default: str = ""
    kind: str = "count"
    least: int = 1
    most: int = 4096
    slide: bool = False
    choices: tuple[str, ...] = ()


FIELDS = (
    Field("nodes", "nodes", "--nodes", "1", most=1024, slide=True),
    Field("ranks", "ranks a node", "--ranks", "8", most=64, slide=True),
    Field("workers", "workers a rank", "--workers", "8", least=0, most=64, slide=True),
    Field("batch", "samples a rank", "--batch-size", "16", most=4096, slide=True),
    Field("epochs", "epochs", "--epochs", most=100),
    Field("steps", "steps, instead", "--steps", most=10**9),
    Field("cache", "cache limit of a node", "--cache-limit", kind="size"),
    Field("bandwidth", "bandwidth of a node", "--bandwidth", "500mb", kind="size"),
    Field("connection", "bandwidth of a request", "--connection", kind="size"),
    Field("latency", "latency, s", "--latency", "0.03", kind="seconds"),
    Field("decode", "decoding a sample, s", "--decode", kind="seconds"),
    Field("step", "a training step, s", "--step", "0.28", kind="seconds"),
    Field("algo", "order", "shuffle_algo", kind="choice", choices=ORDERS),
    Field("canonical", "canonical nodes", "num_canonical_nodes", most=1024),
    Field("block", "shuffle block", "shuffle_block_size", most=1 << 40),
    Field("ahead", "predownload", "predownload", least=0, most=1 << 30),
    Field("seed", "seed", "shuffle_seed", least=0, most=2**31),
    Field("price", "price", "--price", kind="choice", choices=tuple(read_prices())),
)


def values_of(query: Mapping[str, str], of_file: bool) -> dict[str, str]:
    """Return what each field holds.

    Args:
        query: The parameters of a request; a form that was sent has all of them.
        of_file: Whether a file says what fields do not.
    """
    sent = "nodes" in query
    return {
        field.name: query.get(field.name, "" if sent or of_file else field.default)[:100].replace(" ", "")
        for field in FIELDS
    }


def ask(
    values: Mapping[str, str], places: Mapping[Location, float | None], file: str | None, estimate: str
) -> Namespace:
    """Return the question of a form as arguments of ``streaming plan``.

    Args:
        values: Of the fields.
        places: The datasets, each with its share of what is mixed.
        file: A file of a run, instead.
        estimate: Of a dataset that is not there yet, instead.

    Raises:
        ConfigError: A field holds nothing that it can.
    """
    words = [word for field in FIELDS if values[field.name] for word in _words(field, values[field.name])]
    asked = {name: int(values[name].replace(",", "") or 1) for name in ("nodes", "ranks")}
    if asked["nodes"] * asked["ranks"] > _MOST_RANKS:
        raise ConfigError(f"A page plans up to {_MOST_RANKS:,} ranks; `streaming plan` has no such limit.")
    if not places and file is None:
        shards = estimate.lower().partition("x")[0]
        if shards.isdecimal() and int(shards) > _MOST_SHARDS:
            raise ConfigError(f"A page plans up to {_MOST_SHARDS:,} shards; `streaming plan` has no such limit.")
        words.append(f"--estimate={estimate}")
    shares = [share for share in places.values() if share is not None]
    if shares:
        words.append(f"--proportions={','.join(map(repr, shares))}")
    args = parse_arguments(["plan", *([file] if file else []), *words])
    locate(args)
    if places:
        args.urls = list(places)
    return args


def _words(field: Field, value: str) -> list[str]:
    if field.kind == "count":
        value = value.replace(",", "")
        if not (value.isascii() and value.isdecimal() and field.least <= int(value) <= field.most):
            raise ConfigError(f"{field.label}: a whole number from {field.least} to {field.most:,}, not {value!r}.")
    elif field.kind == "size":
        try:
            bytes_to_int(value)
        except ConfigError as error:
            raise ConfigError(f"{field.label}: {error}") from error
    elif field.kind == "seconds":
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < 1e6:
            raise ConfigError(f"{field.label}: seconds such as 0.03, not {value!r}.")
    elif value not in field.choices:
        raise ConfigError(f"{field.label}: one of {', '.join(field.choices)}, not {value!r}.")
    return [f"{field.option}={value}"] if field.option.startswith("--") else ["--set", f"{field.option}={value}"]
