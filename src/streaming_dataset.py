"""What of this distribution stands outside the folder ``streaming``, which others of the same import name write into too.

It knows those others, says what is missing of this package's own files, and begins the command line.
"""

from __future__ import annotations

import csv
import os
import re
import sys
import traceback
from collections.abc import Iterable
from importlib import metadata

__all__ = ["find_missing", "find_namesakes", "main"]

NAME = "streaming-dataset"
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


def find_missing() -> list[str]:
    """Return which files of this distribution are not there: removed together with one of the others, as a rule."""
    try:
        found = metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        return []
    # `found.files` leaves out what is missing since Python 3.12.
    files = [row[0] for row in csv.reader((found.read_text("RECORD") or "").splitlines()) if row]
    missing = [file for file in files if not os.path.exists(str(found.locate_file(file)))]
    return sorted(missing, key=lambda file: (file.startswith(".."), file.count("/"), file))


def main() -> int:
    """Run the command line, or say why it cannot be run."""
    try:
        from streaming.cli.main import main as run
    except Exception:
        advice = _advice()
        if not advice:
            raise
        last = traceback.format_exc(limit=0).strip().splitlines()[-1]
        sys.stderr.write(f"streaming: {advice}\nWhat failed: {last}\n")
        return 2
    return run()


def _advice() -> str:
    """Return what to do about the folder ``streaming``, nothing if nothing is known to be wrong with it."""
    names = [name for name, _ in find_namesakes()]
    missing = find_missing()
    if not (names or missing):
        return ""
    what = f"{' and '.join(names)} writes into the same folder `streaming` as {NAME}" if names else ""
    lost = f"{len(missing)} files of {NAME} are missing, such as {missing[0]}" if missing else ""
    again = f"pip uninstall -y {' '.join([*names, NAME])} && pip install {NAME}"
    return f"{'; '.join(filter(None, (what, lost)))}. Run: {again}"


def _has_module(record: str) -> bool:
    try:
        with open(record) as file:
            return any(line.startswith(_MODULE) for line in file)
    except OSError:
        return False
