"""The recipes, which are written against ``mosaicml-streaming``, print here what they print there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
# Made by running each recipe with mosaicml-streaming 0.13.
EXPECTED = Path(__file__).parents[1] / "goldens" / "recipes"
ORIGINAL = os.environ.get("STREAMING_ORIGINAL_PYTHON")
NAMES = sorted(path.stem for path in RECIPES.glob("*.py"))


def run(python: str, name: str, out: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [python, "-W", "ignore", str(RECIPES / f"{name}.py"), str(out)],
        capture_output=True, text=True, timeout=240, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_prints_what_is_expected(tmp_path: Path, name: str) -> None:
    expected = (EXPECTED / f"{name}.txt").read_text()
    assert run(sys.executable, name, tmp_path, dict(os.environ)) == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(
    not ORIGINAL, reason="STREAMING_ORIGINAL_PYTHON does not name a Python with mosaicml-streaming 0.13"
)
def test_the_original_prints_the_same(tmp_path: Path, name: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    assert run(str(ORIGINAL), name, tmp_path, environment) == (EXPECTED / f"{name}.txt").read_text()
