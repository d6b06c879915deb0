"""Which files there are at a place, and of which format."""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from streaming.core.errors import ConfigError, EmptyDatasetError, ObjectNotFoundError
from streaming.sources.contract import Files
from streaming.sources.hub import choose_files, is_hub_dataset, is_split_folder
from streaming.sources.lance.fragments import find_lance, is_lance
from streaming.sources.listing import SAVED_STATE, is_pattern, list_files, root_of, saved_files
from streaming.sources.names import COMPRESSED, SUFFIXES, bare_name, format_of
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.store import ObjectInfo, Store

__all__ = ["check_choice", "chosen", "find", "found_instead", "is_saved", "of_split"]

_SAVED = (SAVED_STATE, "dataset_info.json", "dataset_dict.json")
#: What directories of tables have, as the first names of a store or directory tell.
_TABLE_LOGS = {"_delta_log/": "delta", "metadata/": "iceberg"}
#: How many names are looked at, for a hint.
_MOST_NAMES = 1000
_NOTES = {"json", "md", "yaml", "yml", "txt", "license"}


def find(place: Location, format: str | None, options: Mapping[str, str], skips: bool) -> tuple[str, Files]:
    """Return the format of what lies at a place, and its files.

    Args:
        place: A file, a directory or a pattern.
        format: The format, if it is known.
        options: What else was told.
        skips: Whether files that cannot be read are to be left out.

    Raises:
        ConfigError: Nothing tells the format, or several files contradict each other.
        EmptyDatasetError: There are no files.
        StorageError: They cannot be listed.
    """
    if is_hub_dataset(place):
        store, infos, format = choose_files(place, format, options, format_of)
        return format, Files(str(place), store, _comparable(place, infos), options, skips, format=format)
    if format == "lance" or (format is None and is_lance(place)):
        return "lance", Files(str(place), *find_lance(place, options), options, skips, format="lance")
    root, pattern = root_of(place)
    is_here = place.is_local and os.path.isfile(place.expanded().path)  # whatever its name would stand for
    is_file = is_here or (not pattern and _names_a_file(place))
    if is_file:
        root, _, pattern = _parent(place)
        store = open_store(root)
        infos = [store.head(pattern)]
    else:
        store, _, infos = list_files(place, "any")
    name = str(place)
    if format is None:
        format = _by_contents(store, infos, pattern) or _by_names(infos, name, is_file)
    infos = _of_format(store, infos, format, pattern)
    if is_split_folder(infos):
        infos = of_split(infos, options.get("split"), name)
    else:
        check_choice(options, name, "split")
    if place.scheme != "hf":
        check_choice(options, name, "config")
    if not infos:
        raise EmptyDatasetError(f"There are no files of the format {format!r} at {name}. Check the path.")
    return format, Files(name, store, _comparable(place, infos), options, skips, format=format)


def chosen(
    place: Location, format: str | None, options: Mapping[str, str]
) -> tuple[Location, str | None, dict[str, str]]:
    """Return where data is once a split was chosen, the format that is told, and the options that are left.

    Args:
        place: Where, with all splits; each is a directory, unless it is a dataset of the hub.
        format: The format, if it was given.
        options: What was told.

    Raises:
        ConfigError: A split was chosen where there are none.
    """
    rest = dict(options)
    if rest.get("split") and not is_hub_dataset(place):
        if is_pattern(place) or (place.is_local and os.path.isfile(place.expanded().path)):
            check_choice(rest, str(place), "split")
        if is_saved(place):
            _check_split(rest, place)
        place = place.join(rest.pop("split"))
    return place, "arrow" if format is None and is_saved(place) else format, rest


def _check_split(options: Mapping[str, str], place: Location) -> None:
    """Check that a saved dataset has the split that was chosen.

    Raises:
        ConfigError: It has not.
    """
    with os.scandir(place.expanded().path) as entries:
        splits = sorted(each.name for each in entries if each.is_dir() and is_saved(place.join(each.name)))
    if not splits:
        check_choice(options, str(place), "split")
    if options["split"] not in splits:
        raise ConfigError(f"{place} has no split {options['split']!r}; it has {', '.join(splits)}.")


def is_saved(place: Location) -> bool:
    """Say whether a directory is what Hugging Face's ``save_to_disk`` wrote.

    Args:
        place: It.
    """
    if not place.is_local:
        return False
    path = place.expanded().path
    return any(os.path.exists(os.path.join(path, name)) for name in _SAVED)


def found_instead(place: Location) -> str:
    """Return for people what lies where no dataset of this library is, and how it is opened; ``''`` if nothing tells.

    Args:
        place: A file, or a directory, of which the first names are looked at.
    """
    if place.is_local and os.path.isfile(place.expanded().path):
        if format_of(place.base) == "folder":
            return "That is a file: give the folder that it is in, and format='folder'."
        known = ", ".join(sorted({*SUFFIXES.values()} - {"mds"}))
        return f"That is a file whose name tells no format. If it is one of these, say so by `format`: {known}."
    try:
        names = _first_names(place)
    except Exception:  # a store of somebody else's may not be able to list, and raises what it likes: the error stays
        return ""
    below = [name.rpartition("/")[0] for name in names if name.count("/") == 1 and name.endswith("/index.json")]
    if below:
        return f"Datasets lie below it: {', '.join(below[:5])}. Name one, as by split={below[0]!r}."
    log = next((kind for name, kind in _TABLE_LOGS.items() if any(each.startswith(name) for each in names)), None)
    kinds = Counter(kind for name in names if (kind := format_of(name)) not in (None, "mds", "text"))
    kind = log or next((kind for kind, _ in kinds.most_common(1)), None)
    return f"What lies there looks like {kind}: to train from it, give format={kind!r}." if kind else ""


def _first_names(place: Location) -> list[str]:
    if not place.is_local:
        return [info.path for info in islice(open_store(place).list(), _MOST_NAMES)]
    path = place.expanded().path
    if not os.path.isdir(path):
        return []
    with os.scandir(path) as entries:
        found = [f"{each.name}/" if each.is_dir() else each.name for each in islice(entries, _MOST_NAMES)]
    return [name + "index.json" if os.path.exists(f"{path}/{name}index.json") else name for name in sorted(found)]


def check_choice(options: Mapping[str, str], place: str, name: str) -> None:
    """Refuse to choose where there is no choice.

    Args:
        options: What was told.
        place: Where the data is, for the error's text.
        name: ``'split'`` or ``'config'``.

    Raises:
        ConfigError: That was wanted.
    """
    if name in options:
        what = {"split": "splits", "config": "configurations"}[name]
        raise ConfigError(
            f"{name}={options[name]!r}: {place} has no {what} to choose from. Leave it out, or check the path."
        )


def _comparable(place: Location, infos: list[ObjectInfo]) -> list[ObjectInfo]:
    """Return files without versions where a listing has others than a read; the hub's store reads from one commit anyway."""
    return [info._replace(etag=None) for info in infos] if place.scheme == "hf" else infos


def _names_a_file(place: Location) -> bool:
    if place.is_local:
        path = place.expanded().path
        if not os.path.exists(path):
            raise ObjectNotFoundError(f"There is nothing at {place}. Check the path.")
        return os.path.isfile(path)
    return format_of(place.base.rstrip("/")) is not None and not place.base.endswith("/")


def _parent(place: Location) -> tuple[Location, str, str]:
    directory, slash, name = place.base.rpartition("/")
    return replace(place, base=directory or ("/" if slash else ".")), slash, name


def _by_contents(store: Store, infos: Sequence[ObjectInfo], pattern: str) -> str | None:
    """Return the format of a directory that a file of a fixed name describes."""
    if pattern not in ("", "index.json"):
        return None
    paths = {info.path for info in infos}
    if "index.json" in paths:
        try:
            index: Any = json.loads(store.get("index.json"))
        except ValueError:
            return None
        if isinstance(index, dict):
            return "mds" if "shards" in index else "litdata" if "chunks" in index else None
    notes = ("state.json", "dataset_info.json")
    if any(path.rpartition("/")[2] in notes for path in paths) and any(path.endswith(".arrow") for path in paths):
        return "arrow"
    return None


def _by_names(infos: Sequence[ObjectInfo], place: str, is_file: bool) -> str:
    """Return the format that names of files tell.

    Raises:
        ConfigError: They tell none, or several.
    """
    kinds: Counter[str | None] = Counter(kind for info in infos if (kind := format_of(info.path)))
    if "folder" in kinds:  # with labels in a table beside them, or captions
        return "folder"
    if len(kinds) > 1:  # what is written beside data
        noted: Counter[str | None] = Counter(
            kind
            for info in infos
            if (kind := format_of(info.path)) and info.path.rpartition(".")[2].lower() not in _NOTES
        )
        kinds = noted or kinds
    if len(kinds) == 1:
        return str(next(iter(kinds)))
    if kinds:
        found = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
        raise ConfigError(
            f"{place} has files of several formats ({found}). Name those of one by a pattern, such as {place}/*.parquet, or "
            "say which by `format`."
        )
    seen = ", ".join(info.path for info in infos[:3])
    looked = ", ".join(sorted({*SUFFIXES, *COMPRESSED}))
    what = "its name tells nothing" if is_file else f"there are {len(infos):,} files, such as {seen}"
    raise ConfigError(
        f"Nothing tells the format of {place}: {what}. Looked for: index.json of MDS or litdata, dataset_info.json of "
        f"Hugging Face, images, sounds and videos, and names that end in {looked}. Say which it is by `format`."
    )


def _of_format(store: Store, infos: list[ObjectInfo], format: str, pattern: str) -> list[ObjectInfo]:
    if format in ("mds", "litdata"):
        return [info for info in infos if info.path.rpartition("/")[2] == "index.json"]
    if format == "folder":
        return infos
    if format == "arrow" and not pattern:
        return saved_files(store, infos)
    told = [info for info in infos if format_of(info.path) == format]
    if format == "jsonl":
        lines = [info for info in told if pattern or not bare_name(info.path).lower().endswith(".json")]
        other = next((info.path for info in told if lines and info not in lines), None)
        if other is not None and other.rpartition("/")[2] not in _SAVED:
            warnings.warn(
                f"{other} is not read: .json files beside lines of JSON are taken for notes. Name all by a pattern, such as "
                "**/*.json*, if it has rows.",
                stacklevel=2,
            )
        told = lines or [
            info for info in told if info.path.rpartition("/")[2] not in ("dataset_info.json", "state.json")
        ]
    return told if told or not pattern else infos


def of_split(infos: list[ObjectInfo], split: str | None, place: str) -> list[ObjectInfo]:
    """Return the files of one of the splits of a saved ``DatasetDict``.

    Raises:
        ConfigError: There are several, and none was chosen, or there is no such split.
    """
    splits = list(dict.fromkeys(info.path.partition("/")[0] for info in infos))
    if split is None and len(splits) > 1:
        raise ConfigError(f"{place} has the splits {', '.join(splits)}. Say which by `split`, or name its directory.")
    if split is not None and split not in splits:
        raise ConfigError(f"{place} has no split {split!r}; it has {', '.join(splits)}.")
    chosen = split or splits[0]
    return [info for info in infos if info.path.startswith(f"{chosen}/")]
