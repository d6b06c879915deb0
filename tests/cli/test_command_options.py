"""Options that are wrong, mean nothing, or contradict each other: one line that says what to give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import streaming
from streaming.cli.main import main

CONVERT = ["convert", "a.jsonl", "out"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a dataset, lines, and a file."""
    path = tmp_path_factory.mktemp("options")
    streaming.write([{"x": i, "t": f"t{i}"} for i in range(20)], path / "m", workers=0, progress_bar=False)
    (path / "a.jsonl").write_text("".join(f'{{"x": {i}, "t": "t{i}"}}\n' for i in range(10)))
    (path / "f").write_text("x")
    return path


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ([*CONVERT, "--columns", ""], "--columns '': expected different names"),
        ([*CONVERT, "--columns", "x,x"], "expected different names"),
        ([*CONVERT, "--columns", "=int"], "expected different names"),
        ([*CONVERT, "--columns", "nope"], "no column 'nope'; it has x, t"),
        ([*CONVERT, "--tokenizer", "nope.json"], r"there is no file nope\.json"),
        ([*CONVERT, "--text", "t"], "Pass --tokenizer"),
        ([*CONVERT, "--schema", "same"], "is for tables"),
        ([*CONVERT, "--split", "train"], "no splits to choose from"),
        ([*CONVERT, "--config", "en"], "no configurations to choose from"),
        ([*CONVERT, "--labels", "x.csv"], "labels is for folders"),
        ([*CONVERT, "--dry-run", "--engine", "nope"], "engine='nope' is not known"),
        ([*CONVERT, "--dry-run", "--compression", "nope"], "compression='nope' is not known"),
        ([*CONVERT, "--dry-run", "--hashes", "nope"], "Unknown hash 'nope'"),
        ([*CONVERT, "--dry-run", "--size-limit", "-1"], "must not be negative"),
        (["convert", "a.jsonl", "m"], "pass --force"),
        (["convert", "m", "m", "--force"], "would be removed before it is read"),
        (["convert", "m", "out", "--schema", "union"], "is for tables"),
        (["export", "m", "m"], "pass --force"),
        (["export", "m", "f"], "f is a file, not a directory"),
        (["export", "m", "out", "--columns", ""], "no column ''"),
        (["copy", "m", "f"], "f is a file, not a directory"),
        (["cat", "m", "0", "t", "--out", "m"], "m is a directory. Name a file"),
        (["ls", "f"], "f is a file"),
        (["index", "m", "--columns", "x", "--out", "i", "--at", "3"], "--at is for files of other formats"),
        (["plan", "m", "--epochs", "1", "--steps", "2"], "not allowed with"),
        (["plan", "m", "--step", "1", "--sample", "2"], "not allowed with"),
        (["serve", "m", "--port", "65536"], "expected a port from 0 to 65535"),
        (["serve", "--run", "nope.yaml"], r"There is no file nope\.yaml"),
    ],
)
def test_what_is_wrong_is_said(
    args: list[str], text: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    try:
        code = main(args)
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert re.search(text, err)
    assert "error: " in err.splitlines()[-1]
    assert {path.name for path in place.iterdir()} == {"m", "a.jsonl", "f"}


def test_a_column_that_no_row_has(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    with pytest.warns(UserWarning, match="None of the first 10 rows .* 'nope'; they have 'x', 't'"):
        assert main(["convert", "a.jsonl", str(tmp_path / "out"), "--columns", "x=int,nope=str?"]) == 0
    assert main(["convert", "a.jsonl", str(tmp_path / "all"), "--schema", "union"]) == 0
