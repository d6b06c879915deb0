"""A row as it is now, while it is not known yet how it will be stored."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from copy import deepcopy
from io import BytesIO
from typing import Any

from streaming.format.encodings.image import jpeg_file_of

__all__ = ["snapshot"]


def snapshot(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a row that shares nothing with it that can change.

    An image that was opened from a JPEG file, and is as it was then, stays one: its copy brings the file's bytes. A value
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
    data = jpeg_file_of(image)
    copied = image.copy() if data is None else module.open(BytesIO(data))
    for name in ("format", "filename"):
        if getattr(image, name, None):
            setattr(copied, name, getattr(image, name))
    return copied
