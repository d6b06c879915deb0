"""The recipes, which are written against ``mosaicml-streaming``, print here what they print there."""

from __future__ import annotations

import os
import shutil
import subprocess
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
    code, usage, said = run_program(RECIPES / "mixing.py", "--help")
    assert code == 0
    assert "usage: mixing.py" in usage
    assert "Mix datasets" in usage
    assert not said


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("vision", "PIL", "vision"), ("parallel_writing", "brotli", "compression")]
)
def test_a_missing_package_is_one_sentence(tmp_path: Path, name: str, package: str, extra: str) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError")
    program = shutil.copy(RECIPES / f"{name}.py", tmp_path)  # beside it, it is found first
    code, _, said = run_program(Path(program))
    assert code == 1
    assert said.count("\n") == 1
    assert f"pip install 'streaming-dataset[{extra}]'" in said


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(
    not ORIGINAL, reason="STREAMING_ORIGINAL_PYTHON does not name a Python with mosaicml-streaming 0.13"
)
def test_the_original_prints_the_same(tmp_path: Path, name: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(ORIGINAL), "-W", "ignore", str(RECIPES / f"{name}.py"), str(tmp_path)],
        capture_output=True, text=True, timeout=240, check=False, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, (EXPECTED / f"{name}.txt").read_text()), done.stderr
