"""The pages, each a function from a request to what its template lays out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from starlette.requests import Request

from streaming.cli.serving.bins import METHODS, number, pack_of, parameters_of, tokens_of
from streaming.cli.serving.catalog import MOST_COLUMNS, Catalog, Opened
from streaming.cli.serving.plots import bars
from streaming.cli.serving.question import ORDERS
from streaming.cli.serving.show import Shown, show
from streaming.core.errors import ConfigError, ObjectNotFoundError

__all__ = ["Pages"]

_ROWS = 20
_SHARDS = 50
_NAMES = 500
_MOST_BATCH = 4_096


class _Chosen(NamedTuple):
    """Samples that fit a condition: their numbers, ascending; ``None`` for all."""

    condition: str
    numbers: Any


class Pages:
    """Makes the pages of a catalog.

    Args:
        catalog: What is shown.
        decode: From token ids to text, if a tokenizer was given.
    """

    def __init__(self, catalog: Catalog, decode: Callable[[Sequence[int]], str] | None = None) -> None:
        self.catalog = catalog
        self._decode = decode

    def home(self, request: Request) -> dict[str, Any]:
        """List the datasets."""
        names, whole = self.catalog.names()
        at = number(request, "at", 0, len(names))
        return {
            "place": str(self.catalog.place), "names": names[at : at + _NAMES], "count": len(names), "whole": whole,
            "at": at, "step": _NAMES,
        }  # fmt: skip

    def dataset(self, request: Request) -> dict[str, Any]:
        """Say what a dataset consists of."""
        opened = self.opened(request)
        index = opened.source.index
        first = number(request, "shard", 0, index.num_shards)
        shards = [index.shard(i) for i in range(first, min(first + _SHARDS, index.num_shards))]
        begins = np.concatenate([[0], np.cumsum(index.samples)])
        rows: list[dict[str, Any]] = []
        for place, info in enumerate(shards, first):
            stored = [zipped or raw for zipped, raw in zip(info.zip, info.raw, strict=True)]
            rows.append(
                {
                    "number": place, "name": stored[-1].basename, "samples": info.samples, "begin": int(begins[place]),
                    "raw": sum(file.bytes for file in info.raw), "stored": sum(file.bytes for file in stored),
                }
            )  # fmt: skip
        known = opened.metadata
        return {
            "opened": opened,
            "facts": opened.facts,
            "encodings": list(islice(opened.encodings.items(), MOST_COLUMNS)),
            "num_columns": len(opened.encodings),
            "of_columns": known.get("columns", {}),
            "known": {name: value for name, value in islice(known.items(), MOST_COLUMNS) if name != "columns"},
            "rows": rows,
            "first": first,
            "step": _SHARDS,
        }

    def samples(self, request: Request) -> dict[str, Any]:
        """Show some samples, those of a condition if there is one."""
        opened = self.opened(request)
        chosen = self._chosen(opened, request)
        count = opened.source.index.num_samples if chosen.numbers is None else len(chosen.numbers)
        at = number(request, "at", 0, count)
        stop = min(at + _ROWS, count)
        numbers = list(range(at, stop)) if chosen.numbers is None else chosen.numbers[at:stop].tolist()
        rows = [
            (place, sample if isinstance(sample, str) else self._brief(sample))
            for place, sample in zip(numbers, opened.samples_or_errors(numbers), strict=True)
        ]
        return {
            "opened": opened, "rows": rows, "at": at, "step": _ROWS, "count": count, "where": chosen.condition,
            "names": opened.columns,
        }  # fmt: skip

    def _brief(self, sample: dict[str, Any]) -> dict[str, Shown]:
        return {name: show(value, brief=True, decode=self._decode) for name, value in sample.items()}

    def sample(self, request: Request) -> dict[str, Any]:
        """Show one sample."""
        opened = self.opened(request)
        values = {name: show(value, brief=False, decode=self._decode) for name, value in self.values(request).items()}
        count = opened.source.index.num_samples
        return {"opened": opened, "number": number(request, "n", 0, count), "count": count, "values": values}

    def values(self, request: Request) -> dict[str, Any]:
        """Return the sample that a request is about.

        Raises:
            ObjectNotFoundError: There is no such sample.
        """
        opened = self.opened(request)
        count = opened.source.index.num_samples
        place = number(request, "n", 0, count)
        if place >= count:
            raise ObjectNotFoundError(f"There is no sample {place:,}; the dataset has {count:,}.")
        (sample,) = opened.samples([place])
        return dict(sample)

    def column(self, request: Request) -> dict[str, Any]:
        """Count the values of a side column."""
        opened = self.opened(request)
        if opened.side is None:
            raise ConfigError(
                f"{opened.source.name} has no side columns. Make them: `streaming index {opened.source.name} --beside "
                "--columns ...`."
            )
        name = request.query_params.get("c") or opened.side.names[0]
        values = opened.side.values(name)
        return {
            "opened": opened,
            "name": name,
            "bars": bars(name, values),
            "type": str(values.type),
            "nulls": values.null_count,
        }

    def order(self, request: Request) -> dict[str, Any]:
        """Say which samples a global batch holds, and where a sample comes."""
        opened = self.opened(request)
        asked = {
            "nodes": number(request, "nodes", 1, 4096, 1), "ranks": number(request, "ranks", 2, 1024, 1),
            "size": number(request, "size", 8, _MOST_BATCH, 1), "epoch": number(request, "epoch", 0, 10**6),
            "batch": number(request, "batch", 0, 10**12), "seed": number(request, "seed", 9176, 2**31),
        }  # fmt: skip
        algo = request.query_params.get("algo", "lanes")
        if algo not in ORDERS:
            raise ConfigError(f"There is no order {algo!r}; there are {', '.join(ORDERS)}.")
        if asked["nodes"] * asked["ranks"] * asked["size"] > 1 << 16:
            raise ConfigError(
                "A global batch of more than 65,536 samples is not shown. Ask for fewer nodes, ranks or samples."
            )
        pack = pack_of(opened, request)
        dataset: Any = opened.ordered(
            batch_size=asked["size"], shuffle=True, shuffle_algo=algo, shuffle_seed=asked["seed"],
            num_canonical_nodes=asked["nodes"], pack=pack,
        )  # fmt: skip
        epoch = dataset.inspect_epoch(asked["epoch"], asked["nodes"], asked["ranks"])
        batch = min(asked["batch"], max(0, epoch.num_batches - 1))
        ids = epoch.batch(batch).tolist() if epoch.num_batches else []
        find = request.query_params.get("find", "")
        wanted = number(request, "find", 0, opened.source.index.num_samples) if find else None
        if wanted is not None and pack is not None:
            found = dataset.find(wanted, epoch=asked["epoch"])
        else:
            found = [] if wanted is None else [wanted]
        places = [place for one in found for place in epoch.find(one)]
        return {
            "opened": opened, "asked": {**asked, "batch": batch}, "algo": algo, "orders": ORDERS, "ids": ids, "find": find,
            "places": places[:100], "num_batches": epoch.num_batches, "found": found, "pack": pack,
            "packs": parameters_of(pack), "methods": METHODS, "columns": tokens_of(opened),
        }  # fmt: skip

    def opened(self, request: Request) -> Opened:
        """Return the dataset that a request is about."""
        return self.catalog.open(request.query_params.get("d", ""))

    @staticmethod
    def _chosen(opened: Opened, request: Request) -> _Chosen:
        condition = request.query_params.get("where", "").strip()
        if not condition:
            return _Chosen("", None)
        if opened.side is None:
            raise ConfigError(f"{opened.source.name} has no side columns, over which a condition could be.")
        return _Chosen(condition, np.flatnonzero(opened.side.where(condition)))
