"""Build what is published into ``dist/``, and run tests of the unpacked source archive against the installed wheel.

``make release`` calls this. Arguments go to pytest in place of the tests that are run by default: a quick part, and all that
read files of the repository.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = [
    *("tests/core", "tests/order", "tests/format", "tests/base/test_migration.py", "tests/base/test_companion.py"),
    *(
        "tests/base/test_surface.py",
        "tests/storage/test_own_store.py",
        "tests/dataset/test_dataset.py",
        "tests/examples",
    ),
    *(f"tests/test_{name}.py" for name in ("benchmarks", "docs", "habits", "import", "layers")),
    "tests/typing",
]


def build(source: Path, kind: str, out: Path) -> Path:
    """Build the ``sdist`` or the ``wheel`` of a source tree."""
    before = set(out.glob("*"))
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)], cwd=source, check=True)
    (made,) = set(out.glob("*")) - before
    return made


def unpack(archive: Path, where: Path) -> Path:
    """Unpack a source archive and return its one folder."""
    with tarfile.open(archive) as file:
        file.extractall(where, filter="data") if hasattr(tarfile, "data_filter") else file.extractall(where)
    (folder,) = where.iterdir()
    return folder


def install(wheel: Path, where: Path) -> Path:
    """Make an environment with the wheel, where all else that is installed here counts as installed; return its Python."""
    venv.create(where, with_pip=False)
    python = where / "bin" / "python"
    (site,) = where.glob("lib/python*/site-packages")
    (site / "here.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    with zipfile.ZipFile(wheel) as file:  # what pip would do, with scripts left out
        file.extractall(site)
    return python


def check_version(folder: Path, wheel: Path) -> None:
    """Check that all places agree on the version."""
    version = wheel.name.split("-")[1]
    (said,) = re.findall(r'^__version__ = "(.*)"$', (folder / "src" / "streaming" / "__init__.py").read_text(), re.M)
    first = re.findall(r"^## (\S+)", (folder / "CHANGELOG.md").read_text(), re.M)[0]
    if not version == said == first:
        sys.exit(
            f"The wheel says version {version}, streaming.__version__ {said}, and CHANGELOG.md begins with {first}."
        )


def main() -> int:
    out = ROOT / "dist"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        folder = unpack(build(ROOT, "sdist", out), Path(scratch, "source"))
        wheel = build(folder, "wheel", out)
        check_version(folder, wheel)
        python = install(wheel, Path(scratch, "venv"))
        # Of the wheel, whatever else is called `streaming` on this machine.
        around = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        where = [str(python), "-c", "import streaming; print(streaming.__file__)"]
        said = subprocess.run(where, cwd=folder, check=True, capture_output=True, text=True, env=around).stdout
        print("tests of", said, flush=True)
        command = [str(python), "-m", "pytest", "-q", "-n", "1", *(sys.argv[1:] or TESTS)]
        status = subprocess.run(command, cwd=folder, check=False, env=around).returncode
    print("\n".join(str(path.relative_to(ROOT)) for path in sorted(out.iterdir())))
    return status


if __name__ == "__main__":
    sys.exit(main())
