"""The first rows, as they are now, while it is not known yet how they will be stored."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from io import BytesIO
from typing import Any, cast

from streaming.core.errors import ConfigError, SampleError
from streaming.format.encodings import mds_encode
from streaming.format.encodings.image import file_of, warn_of_frames

__all__ = ["check_fit", "snapshot"]


def snapshot(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a row that shares nothing with it that can change.

    An image that was opened from a file, and is as it was then, stays one: its copy brings the file's bytes. A value
    that cannot be copied is the same in the copy: no encoding is inferred for any such.
    """
    return {name: _copy(value) for name, value in row.items()}


def _copy(value: Any) -> Any:
    module = sys.modules.get("PIL.Image")
    try:
        if module is not None and isinstance(value, module.Image):
            return _copy_image(module, value)
        return deepcopy(value)
    except Exception:
        return value


def _copy_image(module: Any, image: Any) -> Any:
    data = file_of(image)
    if data is None:
        warn_of_frames(image)
    copied = image.copy() if data is None else module.open(BytesIO(data))
    for name in ("format", "filename"):
        if getattr(image, name, None):
            setattr(copied, name, getattr(image, name))
    return copied


def check_fit(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Check that inferred columns hold the rows that they were inferred from, before anything is written.

    Raises:
        ConfigError: One does not; the text names column and row.
    """
    for number, row in enumerate(rows):
        for name, encoding in columns.items():
            try:
                mds_encode(encoding, row[name])
                key = _other_key(row[name]) if encoding == "json" else ""
                reason = key and f"JSON would make text of the key {key}"
            except SampleError as error:
                reason = str(error)
            if reason:
                raise ConfigError(
                    f"Column {name!r} was inferred to be {encoding!r}, which does not hold its value in row {number}: "
                    f"{reason}. Pass `columns` with an encoding for it, and convert the values that it does not take."
                )


def _other_key(value: Any) -> str:
    """Return how a key that is no text looks, at any depth; ``''`` if there is none."""
    if isinstance(value, dict):
        inside = cast("dict[Any, Any]", value)
        others = (repr(key) for key in inside if not isinstance(key, str))
        return next(others, "") or next(filter(None, map(_other_key, inside.values())), "")
    if isinstance(value, (list, tuple)):
        return next(filter(None, map(_other_key, cast("list[Any]", value))), "")
    return ""
