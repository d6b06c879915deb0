"""What is known of a dataset and its columns besides their encodings: a JSON object in a file beside the index.

Under ``"columns"`` it has an object for each column of which something is known, such as the names of classes
(``{"columns": {"label": {"names": ["cat", "dog"]}}}``); everything else is the user's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from streaming.core.errors import ConfigError

__all__ = ["METADATA_NAME", "agreed_metadata", "dump_metadata", "joined_metadata", "parse_metadata"]

METADATA_NAME = "streaming-metadata.json"


def dump_metadata(metadata: Mapping[str, Any]) -> bytes:
    """Return metadata as the contents of its file.

    Args:
        metadata: A JSON object.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(metadata, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"metadata must be a dict, such as {{'license': 'MIT'}}; got {metadata!r:.200}.")
    columns = metadata.get("columns", {})
    if not isinstance(columns, Mapping) or not all(isinstance(of, Mapping) for of in cast("Any", columns).values()):
        raise ConfigError(f"metadata['columns'] must be a dict of dicts by names of columns, got {columns!r:.200}.")
    try:
        text = json.dumps(metadata, allow_nan=False, ensure_ascii=False, indent=1)
        parsed = json.loads(text)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"metadata must be what JSON can hold: {error}.") from error
    if parsed != metadata:
        raise ConfigError("metadata must be what JSON can hold: with keys that are text, and lists rather than tuples.")
    return text.encode("utf-8", "surrogatepass") + b"\n"


def parse_metadata(data: bytes, name: str) -> dict[str, Any]:
    """Return the metadata of a file's contents.

    Args:
        data: The contents.
        name: Of the file, for error texts.

    Raises:
        ConfigError: They are no JSON object.
    """
    try:
        metadata: Any = json.loads(data)
    except ValueError as error:
        raise ConfigError(f"{name} is not JSON ({error}).") from error
    if not isinstance(metadata, dict):
        raise ConfigError(f"{name} holds no JSON object.")
    return cast("dict[str, Any]", metadata)


def joined_metadata(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two say, the first where both do; of columns, key by key."""
    columns: dict[str, Any] = {}
    for metadata in (other, first):
        for name, of in metadata.get("columns", {}).items():
            columns[name] = {**columns.get(name, {}), **of}
    return {**other, **first, **({"columns": columns} if columns else {})}


def agreed_metadata(several: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Return what some say and none contradicts, and the names of what they contradict each other in.

    Args:
        several: Metadata of the parts of a dataset.
    """
    said: dict[tuple[str, ...], list[Any]] = {}
    for metadata in several:
        columns = {
            ("columns", name, key): value
            for name, of in metadata.get("columns", {}).items()
            for key, value in of.items()
        }
        for key, value in (columns | {(name,): value for name, value in metadata.items() if name != "columns"}).items():
            values = said.setdefault(key, [])
            if value not in values:
                values.append(value)
    agreed: dict[str, Any] = {}
    for (*way, last), values in said.items():
        if len(values) == 1:
            place = agreed
            for step in way:
                place = place.setdefault(step, {})
            place[last] = values[0]
    return agreed, [".".join(key) for key, values in said.items() if len(values) > 1]
