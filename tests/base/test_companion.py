"""A package that requires mosaicml-streaming is content with the companion distribution, installed offline."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling")
ROOT = Path(__file__).parents[2]
USER = """Metadata-Version: 2.1
Name: somebodys-trainer
Version: 1.0
Requires-Dist: mosaicml-streaming (>=0.9,<0.14)
"""


def pip(*arguments: str, python: Path | None = None) -> subprocess.CompletedProcess[str]:
    target = [] if python is None else ["--python", str(python)]
    command = [sys.executable, "-m", "pip", *target, "--disable-pip-version-check", "--no-input", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def wheel_of_a_user(folder: Path) -> None:
    """Write the wheel of a package that has the requirement."""
    name = "somebodys_trainer-1.0"
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as archive:
        archive.writestr("somebodys_trainer.py", "from streaming import MDSWriter\n")
        archive.writestr(f"{name}.dist-info/METADATA", USER)
        archive.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}.dist-info/RECORD", "")


@pytest.mark.timeout(300)
def test_a_package_that_requires_the_original(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(wheels)], cwd=ROOT / "compat", timeout=100, check=True)
    (wheel,) = wheels.iterdir()
    assert [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name] == []

    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    # What is installed here, streaming-dataset and torch among it, counts as installed there.
    site = tmp_path / "venv" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (site / "here.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")

    wheel_of_a_user(tmp_path)
    wanted = ("install", "--no-index", "--find-links", str(tmp_path), "somebodys-trainer")
    refused = pip(*wanted, python=python)
    assert refused.returncode != 0
    assert "mosaicml-streaming" in refused.stderr

    installed = pip(*wanted, "--find-links", str(wheels), python=python)
    assert installed.returncode == 0, installed.stderr
    code = (
        "import somebodys_trainer; from importlib.metadata import requires, version; "
        "from packaging.requirements import Requirement; needed, = requires('mosaicml-streaming'); "
        "print(version('mosaicml-streaming'), needed, somebodys_trainer.MDSWriter.__module__, "
        "Requirement(needed).specifier.contains(version('streaming-dataset'), prereleases=True))"
    )
    shown = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert shown.stdout.split() == [
        "0.13.0+streaming.dataset",
        "streaming-dataset>=1.0.0",
        "streaming.writing.writers",
        "True",
    ]
