"""Temporary files of the tests in memory: what a run leaves there, and when that goes."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["begin", "end"]

#: How long what failed tests and killed runs have left stays.
_KEPT_S = 86400
_OWNER = "owner"


def begin(memory: Path) -> Path:
    """Make a directory for the temporary files of this run, and remove those that runs of days ago have left."""
    for owner in memory.glob(f"t*/{_OWNER}"):
        with suppress(OSError, ValueError):
            if time.time() - owner.stat().st_mtime > _KEPT_S and not _runs(int(owner.read_text())):
                shutil.rmtree(owner.parent)
    made = Path(tempfile.mkdtemp(prefix="t", dir=memory))
    (made / _OWNER).write_text(str(os.getpid()))
    return made


def end(made: Path, failed: bool) -> None:
    """Remove the directory; if tests failed, all but what pytest keeps of them, if that is anything, and whose it is."""
    for path in made.iterdir() if failed else ():
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("pytest-of-"):
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _OWNER and not path.is_dir():
            path.unlink(missing_ok=True)
    if not failed or not any(path.is_file() and path.parent != made for path in made.rglob("*")):
        shutil.rmtree(made, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
