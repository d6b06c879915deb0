"""The recipes, which are written against ``mosaicml-streaming``, print here what they print there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from programs import run_program

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
# Made by running each recipe with mosaicml-streaming 0.13.
EXPECTED = Path(__file__).parents[1] / "goldens" / "recipes"
ORIGINAL = os.environ.get("STREAMING_ORIGINAL_PYTHON")
# Where it is cheap, each way of writing once: over a dataset, over its cache, over parts and their index.
AGAIN = ("custom_encoding", "eviction", "mixing", "parallel_writing")
NAMES = sorted(path.stem for path in RECIPES.glob("*.py"))


def run(python: str, name: str, *arguments: str, environment: dict[str, str] | None = None) -> tuple[str, str]:
    """What a recipe prints, and what it says on standard error."""
    done = subprocess.run(
        [python, "-W", "ignore", str(RECIPES / f"{name}.py"), *arguments],
        capture_output=True, text=True, timeout=240, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_prints_what_is_expected(tmp_path: Path, name: str) -> None:
    expected = (EXPECTED / f"{name}.txt").read_text()
    path = RECIPES / f"{name}.py"
    code, found, said = run_program(path, environment={**os.environ, "TMPDIR": str(tmp_path)})
    assert (code, found) == (0, expected), said
    assert said.startswith("Files are written below ")
    out = said.splitlines()[0].removeprefix("Files are written below ")
    assert Path(out).parent == tmp_path
    if name in AGAIN:
        assert run_program(path, out)[:2] == (0, expected)


def test_says_how_it_is_used() -> None:
    usage, said = run(sys.executable, "mixing", "--help")
    assert "usage: mixing.py" in usage
    assert "Mix datasets" in usage
    assert not said


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("vision", "PIL", "vision"), ("parallel_writing", "brotli", "compression")]
)
def test_a_missing_package_is_one_sentence(tmp_path: Path, name: str, package: str, extra: str) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError")
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(RECIPES / f"{name}.py")],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"pip install 'streaming-dataset[{extra}]'" in done.stderr


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(
    not ORIGINAL, reason="STREAMING_ORIGINAL_PYTHON does not name a Python with mosaicml-streaming 0.13"
)
def test_the_original_prints_the_same(tmp_path: Path, name: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    assert run(str(ORIGINAL), name, str(tmp_path), environment=environment)[0] == (EXPECTED / f"{name}.txt").read_text()
