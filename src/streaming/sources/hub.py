"""Datasets of the Hugging Face Hub: which of a repository's files are a configuration's split."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any, cast

from streaming.core.errors import ConfigError, EmptyDatasetError, ObjectNotFoundError
from streaming.core.imports import optional_import
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.store import ObjectInfo, Store

__all__ = ["choose_files", "is_hub_dataset", "is_split_folder"]

_DATASET = re.compile(r"datasets/[^/]+/[^/]+/?")
_CONVERTED = "refs%2Fconvert%2Fparquet"
_CARD = re.compile(rb"\A\s*---\r?\n(.*?)\r?\n---", re.DOTALL)
_SPLIT = re.compile(r"(?:^|[/._-])(train|training|validation|valid|val|dev|test|testing|eval)(?=[/._-]|$)")
_NAMES = {"training": "train", "valid": "validation", "val": "validation", "dev": "validation", "testing": "test"}
#: Formats that a repository may be of, the best first.
_FORMATS = ("parquet", "arrow", "jsonl", "csv", "webdataset", "folder", "text")


def is_hub_dataset(place: Location) -> bool:
    """Say whether a place is a dataset's whole repository."""
    return place.scheme == "hf" and bool(_DATASET.fullmatch(place.base.partition("://")[2]))


def is_split_folder(infos: Sequence[ObjectInfo]) -> bool:
    """Say whether files are those of a saved ``DatasetDict``: Arrow files, a directory a split."""
    return bool(infos) and all(info.path.count("/") == 1 and info.path.endswith(".arrow") for info in infos)


def choose_files(
    place: Location, format: str | None, options: Mapping[str, str], format_of: Callable[[str], str | None]
) -> tuple[Store, list[ObjectInfo], str]:
    """Return the store, the files of a configuration's split, and their format.

    A configuration is told by the dataset's card, a split by that or by names of files. Where a repository has no files of
    a known format, those are taken that the hub made of it (``refs/convert/parquet``).

    Args:
        place: The repository.
        format: Of the files, if it is known.
        options: ``config`` and ``split``, where there are several.
        format_of: From the name of a file to its format.

    Raises:
        ConfigError: There are several, and nothing says which; or there is none of that name.
        EmptyDatasetError: There are no files.
        StorageError: They cannot be listed.
    """
    store = open_store(place)
    infos = [info for info in store.list() if not info.path.startswith(".")]
    chosen = {info.path: info for info in infos}
    files = _by_card(store, chosen, options, str(place))
    if files is None:
        found = {kind: [i for i in infos if format_of(i.path) == kind] for kind in _FORMATS}
        kind = format or next((kind for kind in _FORMATS if found[kind]), None)
        if kind is None:
            return _converted(place, options, format_of)
        files = _by_split(_by_directory(found[kind], options, str(place)), options, str(place))
    kinds = {kind for info in files if (kind := format_of(info.path))}
    if not files or (format is None and len(kinds) != 1):
        raise EmptyDatasetError(
            f"The files that the card of {place} names are of no known format, or of several: {kinds}."
        )
    return store, files, format or kinds.pop()


def _converted(
    place: Location, options: Mapping[str, str], format_of: Callable[[str], str | None]
) -> tuple[Store, list[ObjectInfo], str]:
    base, mark, _ = place.base.rstrip("/").partition("@")
    if mark:
        raise EmptyDatasetError(f"{place} has no files of a known format.")
    store = open_store(replace(place, base=f"{base}@{_CONVERTED}"))
    try:
        infos = [info for info in store.list() if format_of(info.path) == "parquet"]
    except ObjectNotFoundError as error:
        raise EmptyDatasetError(f"{place} has no files of a known format, and the hub has made none of it.") from error
    return store, _by_split(_by_directory(infos, options, str(place)), options, str(place)), "parquet"


def _by_card(
    store: Store, infos: Mapping[str, ObjectInfo], options: Mapping[str, str], place: str
) -> list[ObjectInfo] | None:
    """Return the files that the card names, ``None`` if it names none."""
    if "README.md" not in infos:
        return None
    found = _CARD.search(store.get("README.md"))
    if found is None:
        return None
    yaml = optional_import("yaml", "hf", "Reading the card of a dataset")
    card = yaml.safe_load(found[1])
    configs = cast("list[dict[str, Any]]", card.get("configs") or []) if isinstance(card, dict) else []
    named = {str(config.get("config_name", "default")): config for config in configs if config.get("data_files")}
    if not named:
        return None
    config = named[_chosen("configuration", "config", list(named), options, place)]
    splits = _splits_of(config["data_files"])
    patterns = splits[_chosen("split", "split", list(splits), options, place)]
    directory = str(config.get("data_dir") or "").strip("/")
    wanted = [f"{directory}/{pattern}" if directory else pattern for pattern in patterns]
    return [info for pattern in wanted for path, info in infos.items() if fnmatch(path, pattern)]


def _splits_of(given: Any) -> dict[str, list[str]]:
    if isinstance(given, str):
        return {"train": [given]}
    if isinstance(given, Mapping):
        return {str(split): _listed(paths) for split, paths in cast("Mapping[Any, Any]", given).items()}
    entries = cast("list[Any]", given)
    if entries and isinstance(entries[0], Mapping):
        return {str(entry["split"]): _listed(entry["path"]) for entry in entries}
    return {"train": _listed(entries)}


def _listed(paths: Any) -> list[str]:
    return [paths] if isinstance(paths, str) else [str(path) for path in paths]


def _by_directory(infos: list[ObjectInfo], options: Mapping[str, str], place: str) -> list[ObjectInfo]:
    """Return the files of the configuration that was named, of all if none was."""
    config = options.get("config")
    if config is None:
        tops = list(dict.fromkeys(i.path.partition("/")[0] for i in infos if i.path.count("/") >= 2))
        if len(tops) > 1 and not any(_SPLIT.search(top) for top in tops):
            _chosen("configuration", "config", tops, options, place)
        return infos
    chosen = [info for info in infos if config in info.path.split("/")[:-1]]
    if not chosen:
        raise ConfigError(f"{place} has no configuration {config!r}: no directory of that name has files.")
    return chosen


def _by_split(infos: list[ObjectInfo], options: Mapping[str, str], place: str) -> list[ObjectInfo]:
    splits: dict[str, list[ObjectInfo]] = {}
    for info in infos:
        found = _SPLIT.search(info.path.lower())
        name = found[1] if found else "train"
        splits.setdefault(_NAMES.get(name, name), []).append(info)
    return splits[_chosen("split", "split", list(splits), options, place)] if splits else []


def _chosen(what: str, option: str, names: list[str], options: Mapping[str, str], place: str) -> str:
    wanted = options.get(option)
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return wanted
    if wanted is None:
        if option == "config" and "default" in names:
            return "default"
        raise ConfigError(f"{place} has the {what}s {', '.join(names)}. Say which by {option}=.")
    raise ConfigError(f"{place} has no {what} {wanted!r}; it has {', '.join(names)}.")
