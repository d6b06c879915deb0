"""Which files a source has: a pattern of names, or a directory, looked up in its store."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice, product

from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError, StorageError, StreamingError
from streaming.sources.names import LABELS, format_of, is_named_as_data
from streaming.storage.location import Location
from streaming.storage.providers.local import LocalStore
from streaming.storage.providers.remote import RemoteStore
from streaming.storage.registry import open_store
from streaming.storage.store import ObjectInfo, Store

__all__ = ["SAVED_STATE", "is_pattern", "is_source", "list_files", "list_named", "matcher", "root_of", "saved_files"]

#: Where ``save_to_disk`` lists the files of a dataset.
SAVED_STATE = "state.json"
_SPECIAL = re.compile(r"[*?\[{]")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST_NAMES = 1 << 20
#: What tells that a directory is that of a table.
_LOG = re.compile(
    r"(?:(.*)/)?(_delta_log|metadata|\.hoodie)/(?:\d+\.json|v?\d+[^/]*\.metadata\.json|hoodie\.properties)"
)
_LOGS = {"_delta_log": "Delta Lake", "metadata": "Iceberg", ".hoodie": "Hudi"}
_LINES = ("jsonl", "csv", "text")
_AT_ONCE = 32
#: How many times as many names of a directory are gone through as are wanted of it.
_MORE_NAMES = 8
#: Where files had better be looked up one by one: here, and where a listing has other versions than a read.
_LOOKED_UP = ("", "file", "hf")


def is_source(location: Location) -> bool:
    """Say whether a place names files of another format: by a pattern, or by the suffix of a file or directory.

    A local file or directory is what it is, whatever its name looks like.
    """
    if location.is_local and os.path.isfile(location.expanded().path):
        return format_of(location.base) not in (None, "folder", "mds")
    if location.is_local and os.path.isdir(path := location.expanded().path):
        return is_named_as_data(path) and not os.path.exists(os.path.join(path, "index.json"))
    return is_pattern(location) or is_named_as_data(location.base)


def is_pattern(location: Location) -> bool:
    """Say whether a place is a pattern of names."""
    return _first_special(location) is not None


def _first_special(location: Location) -> int | None:
    """Return where in a place the first character is that stands for others; ``None`` if there is none.

    Local files and directories that are there are what they are, whatever their names look like. In a URL a ``?`` alone
    makes no pattern, unless of names of data: it may be a character of the name of a dataset.
    """
    base, begin = location.base, 0
    if location.is_local:
        for end in (*(found.start() for found in re.finditer("/", base)), len(base)):
            if _SPECIAL.search(base, begin, end):
                if not os.path.exists(replace(location, base=base[:end]).expanded().path):
                    break
                begin = end
    elif set(_SPECIAL.findall(base)) == {"?"} and not is_named_as_data(base):
        return None
    found = _SPECIAL.search(base, begin)
    return None if found is None else found.start()


def root_of(location: Location) -> tuple[Location, str]:
    """Take a place apart.

    Returns:
        The directory that holds all of it, and the pattern of names below that, ``''`` for all.
    """
    base = location.base
    found = _first_special(location)
    if found is None and not is_named_as_data(base):
        return location, ""
    head = base[:found]
    at = head.rfind("/") + 1
    if found is None and location.is_local and not at:
        return replace(location, base="."), base
    root = head[:at].rstrip("/") if head[:at].strip("/") else head[:at]
    return replace(location, base=root or "."), base[at:]


def list_files(location: Location, kind: str | None) -> tuple[Store, str, list[ObjectInfo]]:
    """List the files of a source.

    Args:
        location: A pattern (``*``, ``**``, ``?``, ``[...]``, ``{a,b}``, ``{00..12}``), a file, or a directory.
        kind: Name of the format; ``None``: by the suffixes of the files.

    Returns:
        The store of their root, the format, and the files in the order of their names; those of a pattern with braces as
        the braces have them.

    Raises:
        ConfigError: There are files of several formats, or their names do not tell which.
        EmptyDatasetError: There are none.
        StorageError: They cannot be listed.
    """
    root, pattern = root_of(location)
    store = open_store(root)
    if pattern and not is_pattern(location):
        files = list_named(store, [pattern], location.scheme)
    elif _SPECIAL.search(_BRACES.sub("", pattern)) or not pattern:
        files = [info for text in _expanded(pattern) for info in _matching(store, text)]
        if not files and not pattern and (alone := _alone(location, kind)):
            store, files = alone
    else:
        files = list_named(store, _expanded(pattern), location.scheme)
    if kind is None:
        kind = _kind_of(files, location)
    elif kind == "megatron":
        files = [info for info in files if info.path.endswith(".bin")]
    elif kind == "arrow" and not pattern:
        is_saved = any(info.path.rpartition("/")[2] == SAVED_STATE for info in files)
        files = saved_files(store, files) or ([] if is_saved else files)
    elif not pattern:
        told = [info for info in files if format_of(info.path) == kind or (kind == "folder" and _has_labels(info))]
        files = told or files
    found = [info for info in files if info.bytes or _is_broken(info.path, kind)]
    if not found:
        raise EmptyDatasetError(
            f"There are no files at {location}{' but empty ones' if files else ''}. Check the pattern."
        )
    return store, kind, found


def list_named(store: Store, names: list[str], scheme: str) -> list[ObjectInfo]:
    """Look up files by their names, in that order; of a directory of that name, its files.

    Args:
        store: Where they are.
        names: Their names.
        scheme: Of the store.

    Raises:
        ObjectNotFoundError: One is not there.
    """
    known = _listed(store, names, scheme)
    if all(name in known for name in names):
        return [known[name] for name in names]
    with ThreadPoolExecutor(min(len(names), _AT_ONCE), "streaming-list") as threads:
        return [info for some in threads.map(partial(_named, store, known), names) for info in some]


def _has_labels(info: ObjectInfo) -> bool:
    return info.path.rpartition("/")[2] in LABELS


def saved_files(store: Store, infos: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    """Return the files of Arrow among those of a directory.

    Where ``save_to_disk`` has listed its own, it is these: others are caches of programs that have used the data since, or
    were left behind when it was saved again.

    Args:
        store: Where they are.
        infos: They.

    Raises:
        SourceError: A file that is listed is not there.
    """
    there = {info.path: info for info in infos}
    listed: dict[str, list[ObjectInfo]] = {}
    for path in there:
        directory, slash, name = path.rpartition("/")
        if name != SAVED_STATE:
            continue
        try:
            names = [str(each["filename"]) for each in json.loads(store.get(path))["_data_files"]]
        except (ValueError, KeyError, TypeError):  # of another program
            continue
        lost = next((each for each in names if f"{directory}{slash}{each}" not in there), None)
        if lost is not None:
            raise SourceError(
                f"{store!r}/{path} lists {lost}, which is not there. Save the dataset again, or copy all of it."
            )
        listed[directory] = [there[f"{directory}{slash}{each}"] for each in names]
    rest = [i for i in infos if format_of(i.path) == "arrow" and i.path.rpartition("/")[0] not in listed]
    return sorted([*rest, *(info for some in listed.values() for info in some)], key=lambda info: info.path)


def _is_broken(name: str, kind: str) -> bool:
    """Say whether a file that is empty is to be kept, and refused when it is read: of notes and lines, nothing is lost."""
    if name.rpartition("/")[2] in LABELS:
        return kind in ("any", "folder")
    told = format_of(name)
    return kind in (told, "any") and told not in (None, *_LINES)


def _listed(store: Store, names: list[str], scheme: str) -> dict[str, ObjectInfo]:
    """Return those of many files of a directory that its listing soon has: a request for all, in place of one for each."""
    places = {name.rpartition("/")[0] for name in names}
    if len(names) < _AT_ONCE or len(places) > 1 or scheme in _LOOKED_UP:
        return {}
    try:
        return {info.path: info for info in islice(store.list(*places), _MORE_NAMES * len(names))}
    except StreamingError:  # a web server has no listing, or who may read may not list
        return {}


def _named(store: Store, known: Mapping[str, ObjectInfo], name: str) -> list[ObjectInfo]:
    """Return the file of a name, or the files of the directory of that name, as Spark calls them.

    Raises:
        ObjectNotFoundError: There is neither.
    """
    if name in known:
        return [known[name]]
    try:
        return [store.head(name)]
    except StorageError:
        found = [info for info in store.list(name) if not _is_hidden(info.path)]
        if not found:
            raise
        return found


def _alone(location: Location, kind: str | None) -> tuple[Store, list[ObjectInfo]] | None:
    """Return the store and the entry of a file whose name tells nothing; ``None`` if there is no such file.

    Megatron calls a pair of files by what their names have in common.
    """
    directory, slash, name = location.base.rstrip("/").rpartition("/")
    if not name or directory.endswith("/"):  # a bucket
        return None
    store = open_store(replace(location, base=directory or ("/" if slash else ".")))
    for text in (name, f"{name}.bin") if kind == "megatron" else (name,):
        try:
            return store, [store.head(text)]
        except StorageError:
            continue
    return None


def _is_hidden(path: str) -> bool:
    return any(part[0] in "._" for part in path.split("/") if part)


def _matching(store: Store, pattern: str) -> Iterator[ObjectInfo]:
    """Yield the files below a root that a pattern names; without one, all but those that are hidden, or notes of engines."""
    head = pattern[: found.start()] if (found := _SPECIAL.search(pattern)) else pattern
    prefix = head.rpartition("/")[0]
    match = matcher(pattern) if pattern else None
    log: re.Match[str] | None = None
    if pattern and isinstance(store, (LocalStore, RemoteStore)):
        files = store.list(prefix, _entered(pattern))
    else:
        files = store.list(prefix)
    for info in files:
        if log is None and (log := _LOG.fullmatch(info.path)):
            _check_log(store, log, pattern)
        if match is None:
            if not _is_hidden(info.path):
                yield info
        elif match(info.path):
            yield info


def _entered(pattern: str) -> Callable[[str], bool]:
    """Return what says of a directory whether a pattern can match a name below it; or its name tells of a table."""
    if "**" in pattern or re.search(r"\[[^]]*/", pattern):
        return lambda path: True
    levels = pattern.split("/")
    fits = [matcher("/".join(levels[:n])) for n in range(1, len(levels))]

    def enters(path: str) -> bool:
        names = path[:-1].split("/")
        return names[-1] in _LOGS or (len(names) <= len(fits) and bool(fits[len(names) - 1](path[:-1])))

    return enters


def _check_log(store: Store, log: re.Match[str], pattern: str) -> None:
    """Refuse to take the files of a table for its rows; warn of it where a pattern names them.

    Raises:
        ConfigError: No pattern does.
    """
    name, kind = "/".join(filter(None, (repr(store), log[1]))), _LOGS[log[2]]
    also = "its files are those of all its versions, and hold rows that were deleted"
    if pattern:
        warnings.warn(
            f"{name} is a table of {kind}: {also}. Name the table instead, or the files of a directory.", stacklevel=2
        )
        return
    raise ConfigError(
        f"{name} is a table of {kind}: {also}. Open it by format='delta' or 'iceberg'; to take its files all the "
        "same, name them by a pattern."
    )


def matcher(pattern: str) -> Callable[[str], object]:
    """Return what says whether a pattern (``*``, ``**``, ``?``, ``[...]``) stands for a path.

    Args:
        pattern: It. As in a shell, what stands for any name does not stand for one that begins with a dot.
    """
    return re.compile(_regex(pattern)).fullmatch


def _regex(pattern: str) -> str:
    parts: list[str] = []
    i = 0
    while i < len(pattern):
        shown = (
            "(?![.])" if pattern[i - 1 : i] in ("", "/") else ""
        )  # what begins with a dot is hidden, unless it is named
        if pattern.startswith("**/", i):
            parts.append("(?:(?![.])[^/]+/)*" if shown else "(?:.*/)?")
            i += 3
        elif pattern[i] == "*":
            double = pattern.startswith("**", i)
            parts.append(("(?:(?![.])[^/]+/)*" if shown else ".*") * double + f"{shown}[^/]*")
            i += 1 + double
        elif pattern[i] == "?":
            parts.append(f"{shown}[^/]")
            i += 1
        elif pattern[i] == "[" and (end := pattern.find("]", i + 2)) > 0:
            inside = pattern[i + 1 : end]
            parts.append(
                f"[{'^' if inside[0] in '!^' else ''}{re.escape(inside.lstrip('!^')).replace(chr(92) + '-', '-')}]"
            )
            i = end + 1
        else:
            parts.append(re.escape(pattern[i]))
            i += 1
    return "".join(parts)


def _expanded(pattern: str) -> list[str]:
    """Return what braces stand for, in their order.

    Raises:
        ConfigError: They stand for too much, or one is left open.
    """
    texts = _BRACES.split(pattern)
    if any("{" in text or "}" in text for text in texts[::2]):
        raise ConfigError(f"The braces of {pattern!r} do not match. Write {{a,b}} or {{000..123}}.")
    choices = [_choices(text) if i % 2 else [text] for i, text in enumerate(texts)]
    total = 1
    for some in choices:
        total *= len(some)
    if total > _MOST_NAMES:
        raise ConfigError(
            f"{pattern!r} stands for {total:,} names; at most {_MOST_NAMES:,} are taken. Use a * instead."
        )
    return ["".join(parts) for parts in product(*choices)]


def _choices(text: str) -> list[str]:
    found = _RANGE.fullmatch(text)
    if found is None:
        return text.split(",")
    first, last = found.groups()
    if int(last) < int(first) or int(last) - int(first) >= _MOST_NAMES:
        raise ConfigError(f"{{{text}}} is no range of numbers that goes up, of at most {_MOST_NAMES:,}.")
    width = len(first) if len(first) == len(last) or first.startswith("0") else 0
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1)]


def _kind_of(files: list[ObjectInfo], location: Location) -> str:
    if not files:
        raise EmptyDatasetError(f"There are no files at {location}. Check the pattern.")
    found = {format_of(info.path): info.path for info in files}
    if len(found) > 1:
        examples = ", ".join(f"{name} ({kind or 'not known'})" for kind, name in list(found.items())[:4])
        raise ConfigError(
            f"{location} has files of several formats: {examples}. Name those of one, as by a pattern, or give `format`."
        )
    ((kind, name),) = found.items()
    if kind is None:
        raise ConfigError(f"The format of {name} at {location} is not told by its suffix. Give `format`.")
    return kind
