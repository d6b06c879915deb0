"""Other distributions that install a module of the same name, beside this one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable

__all__ = ["find_namesakes"]

_FOUND = re.compile(r"(mosaicml_streaming|streaming_community|neprr_streaming)-([^-]+)\.dist-info", re.IGNORECASE)
_MODULE = "streaming/__init__.py,"


def find_namesakes(directories: Iterable[str] | None = None) -> list[tuple[str, str]]:
    """Return the names and versions of known distributions that have written a module ``streaming``.

    A distribution that only bears such a name, and holds no module, is none.

    Args:
        directories: Where packages are installed; ``None``: those on the path of imports.
    """
    if directories is None:
        directories = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    found: list[tuple[str, str]] = []
    for directory in directories:
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            match = _FOUND.fullmatch(name)
            if match and _has_module(os.path.join(directory, name, "RECORD")):
                found.append((match[1].lower().replace("_", "-"), match[2]))
    return sorted(found)


def _has_module(record: str) -> bool:
    try:
        with open(record) as file:
            return any(line.startswith(_MODULE) for line in file)
    except OSError:
        return False
