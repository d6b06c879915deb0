"""``streaming view``: what a saved view keeps, or which views there are."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import Any

from streaming.cli.shell.output import print_json, print_line, print_note, print_table
from streaming.cli.shell.parallel import in_parallel
from streaming.columns.opening import split_file
from streaming.columns.shards import with_retries
from streaming.core.errors import ConfigError, ObjectNotFoundError
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.store import Store
from streaming.units.parts import choose
from streaming.units.units import joint_fingerprint
from streaming.units.view_file import ViewFile
from streaming.writing.bulk.report import show_bytes

__all__ = ["describe", "is_directory", "run"]

#: By which views are known among other files: only these are read when a directory is listed.
_ENDING = ".view"

_JOBS = 8


def run(args: Namespace) -> int:
    """Print the facts of a view, or of all below a directory."""
    place: Location = args.url
    facts = None if is_directory(place) else _facts_of_file(place)
    if facts is None:
        _list(place, args.json)
    elif args.json:
        print_json(facts)
    else:
        _print(facts)
    return 0


def describe(name: str, data: bytes) -> dict[str, Any]:
    """Return the facts of a view as JSON.

    Args:
        name: Where it is.
        data: What the file holds.

    Raises:
        ConfigError: That is no view, or a damaged one.
    """
    view = ViewFile.parse(data, name)
    datasets: list[dict[str, Any]] = [
        {
            "origin": origin,
            "digest": digest,
            "samples": selection.num_units,
            "of": int(selection.sizes.sum()),
            "shards": int((selection.counts > 0).sum()),
            "of_shards": len(selection.sizes),
        }
        for origin, digest, selection in zip(view.origins, view.datasets, view.selections, strict=True)
    ]
    totals = {key: sum(int(dataset[key]) for dataset in datasets) for key in ("samples", "of", "shards", "of_shards")}
    fingerprint = joint_fingerprint([choose(selection, None) for selection in view.selections])
    return {
        "url": name,
        "query": view.query,
        **totals,
        "fingerprint": fingerprint,
        "bytes": len(data),
        "datasets": datasets,
    }


def _print(facts: dict[str, Any]) -> None:
    print_line(facts["url"])
    rows = [
        ["query", facts["query"]],
        ["samples", _share(facts, "samples", "of")],
        ["shards", _share(facts, "shards", "of_shards")],
        ["fingerprint", facts["fingerprint"]],
        ["size", show_bytes(facts["bytes"])],
    ]
    print_table(rows, indent=2)
    for dataset in facts["datasets"]:
        print_line()
        print_line(f"  {dataset['origin']}")
        print_table([["digest", dataset["digest"]], ["samples", _share(dataset, "samples", "of")]], indent=4)


def is_directory(place: Location) -> bool:
    """Say whether a place can be nothing but a directory."""
    if place.is_local:
        return os.path.isdir(place.path)
    return place.base.endswith("/") or place.base.count("/") < 3  # a bucket alone


def _facts_of_file(place: Location) -> dict[str, Any] | None:
    root, name = split_file(place)
    store = open_store(root)
    try:
        return describe(str(place), with_retries(lambda: store.get(name)))
    except ObjectNotFoundError:
        return None


def _list(place: Location, as_json: bool) -> None:
    store = open_store(place)
    infos = [info for info in with_retries(lambda: list(store.list())) if info.path.endswith(_ENDING)]
    if not infos and not store.exists_root():
        raise ObjectNotFoundError(f"There is no view at {place}, and nothing below it. Check the path.")
    paths = [info.path for info in infos]
    found = list(in_parallel(lambda path: _facts_in(store, path, str(place.join(path))), paths, _JOBS))
    if as_json:
        print_json(found)
    elif found:
        print_table([[path, *_cells(facts)] for path, facts in zip(paths, found, strict=True)])
    else:
        print_note(f"no file below {place} ends with {_ENDING}.")


def _facts_in(store: Store, path: str, name: str) -> dict[str, Any]:
    """Return the facts of one of several views; of one that cannot be read, why not."""
    try:
        return describe(name, with_retries(lambda: store.get(path)))
    except (ConfigError, ObjectNotFoundError) as error:
        return {"url": name, "error": str(error)}


def _cells(facts: dict[str, Any]) -> list[str]:
    return ["", facts["error"]] if "error" in facts else [_share(facts, "samples", "of"), facts["query"]]


def _share(facts: dict[str, Any], part: str, whole: str) -> str:
    return f"{facts[part]:,} of {facts[whole]:,}"
