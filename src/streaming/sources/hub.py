"""Datasets of the Hugging Face Hub: which of a repository's files are a configuration's split."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from streaming.core.errors import ConfigError, EmptyDatasetError, ObjectNotFoundError, SourceError, StreamingError
from streaming.core.imports import optional_import
from streaming.sources.listing import matcher
from streaming.sources.names import LABELS
from streaming.storage.location import Location
from streaming.storage.registry import open_store
from streaming.storage.store import ObjectInfo, Store

__all__ = ["choose_files", "is_hub_dataset", "is_split_folder"]

_DATASET = re.compile(r"datasets/[^/]+/[^/]+/?")
_CONVERTED = "refs%2Fconvert%2Fparquet"
_CARD = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*---\r?\n(.*?)\r?\n---", re.DOTALL)
_WORDS = {
    "train": ("training", "train"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("testing", "evaluation", "test", "eval"),
}
_NAMES = {word: name for name, words in _WORDS.items() for word in words}
_SPLIT = re.compile(rf"(?:^|[/._ 0-9-])({'|'.join(_NAMES)})(?=[/._ 0-9-]|$)")
#: Names that may say any split.
_SHARD = re.compile(r"data/([^/]+)-\d{5}-of-\d{5}[^/]*[.][^/]*")
#: What the hub keeps beside data.
_NOTES = {"README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"}
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
    every = sorted(store.list(), key=lambda info: info.path)
    config, splits = _of_card(store, {info.path for info in every}, options, str(place))
    files: list[ObjectInfo] | None = None
    if splits is not None:
        patterns = splits[_chosen("split", "split", list(splits), options, str(place))]
        files = _named(every, patterns, str(place))
    else:
        below = f"{config}/" if config else ""
        infos = [info for info in every if info.path.startswith(below) and _is_data(info.path)]
        found = {kind: [i for i in infos if _kind_of(i.path, format_of, kind) == kind] for kind in _FORMATS}
        kind = format or next((kind for kind in _FORMATS if found[kind]), None)
        if kind is None:
            return _converted(place, options, format_of)
        files = found.get(kind, infos) if config else _by_directory(found.get(kind, infos), options, str(place))
        files = _by_split(files, len(below), options, str(place))
    kinds = {kind for info in files if (kind := format_of(info.path))}
    kinds = {"folder"} if "folder" in kinds else kinds
    if format is None and len(kinds) != 1:
        seen = (
            f"of several formats ({', '.join(sorted(kinds))})"
            if kinds
            else f"of no known format, such as {files[0].path}"
        )
        raise EmptyDatasetError(
            f"The files that the card of {place} names are {seen}. Name those that you want, as by a pattern."
        )
    return store, files, format or kinds.pop()


def _is_data(path: str) -> bool:
    """Say whether a file is taken for data, if the card does not name it."""
    *places, name = path.split("/")
    return name not in _NOTES and not name.startswith(".") and not any(each.startswith((".", "__")) for each in places)


def _kind_of(path: str, format_of: Callable[[str], str | None], wanted: str) -> str | None:
    is_table = wanted == "folder" and path.rpartition("/")[2] in LABELS
    return "folder" if is_table else format_of(path)


def _named(infos: Sequence[ObjectInfo], patterns: Sequence[str], place: str) -> list[ObjectInfo]:
    """Return the files that patterns of a card name.

    Raises:
        EmptyDatasetError: There are none, or one that is named is not there.
    """
    files: list[ObjectInfo] = []
    for pattern in patterns:
        match = matcher(pattern)
        found = [info for info in infos if match(info.path) and info.path.rpartition("/")[2] not in _NOTES]
        if not found and not any(mark in pattern for mark in "*?["):
            raise EmptyDatasetError(f"The card of {place} names {pattern}, which is not there.")
        files += found
    if not files:
        raise EmptyDatasetError(f"The card of {place} names {', '.join(patterns)}, and there is no such file.")
    return files


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
    if not infos:
        raise EmptyDatasetError(f"{place} has no files of a known format.")
    return store, _by_split(_by_directory(infos, options, str(place)), 0, options, str(place)), "parquet"


def _of_card(
    store: Store, there: Collection[str], options: Mapping[str, str], place: str
) -> tuple[str, dict[str, list[str]] | None]:
    """Return the directory of a configuration that the card tells, and patterns of its files for each split.

    ``''`` and ``None`` are what it does not tell.

    Raises:
        ConfigError: There are several configurations, or none of that name.
        SourceError: Nobody can tell what it says.
    """
    found = _CARD.search(store.get("README.md")) if "README.md" in there else None
    if found is None:
        return "", None
    yaml = optional_import("yaml", "hf", "Reading the card of a dataset")
    try:
        card: Any = yaml.safe_load(found[1])
        named = {str(each.get("config_name", "default")): each for each in (card or {}).get("configs") or []}
        if not any(each.get("data_files") or each.get("data_dir") for each in named.values()):
            return "", None
        names = sorted(named, key=lambda name: not named[name].get("default"))
        if len(names) > 1 and named[names[0]].get("default") and "config" not in options:
            names = names[:1]
        config = named[_chosen("configuration", "config", names, options, place)]
        directory = str(config.get("data_dir") or "").strip("/")
        if not config.get("data_files"):
            return directory, None
        below = f"{directory}/" if directory else ""
        splits = _splits_of(config["data_files"])
        return directory, {name: [below + each.removeprefix("./") for each in some] for name, some in splits.items()}
    except StreamingError:
        raise
    except (yaml.YAMLError, AttributeError, TypeError, LookupError) as error:
        told = " ".join(str(error).split())
        raise SourceError(
            f"{place}/README.md: nobody can tell which files its configurations (configs, data_files) have: {told}. Name "
            f"files by a pattern, such as {place}/**/*.parquet."
        ) from error


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


def _by_split(infos: list[ObjectInfo], below: int, options: Mapping[str, str], place: str) -> list[ObjectInfo]:
    """Return the files of the split that was chosen, as the ends of their paths from ``below`` on say it."""
    splits: dict[str, list[ObjectInfo]] = {}
    shards = [(info, found[1]) for info in infos if (found := _SHARD.fullmatch(info.path, below))]
    for info, name in shards:
        splits.setdefault(name, []).append(info)
    for info in () if shards else infos:
        found = _SPLIT.search(info.path.lower()[below:])
        splits.setdefault(_NAMES[found[1]] if found else "train", []).append(info)
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
