"""Views on the command line: made, shown and listed, without the dataset's samples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streaming import MDSWriter, StreamingDataset, index_columns
from streaming.cli.main import main

Run = Callable[..., tuple[int, str, str]]
N = 300


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; return its exit code and what it printed."""

    def call(*args: object) -> tuple[int, str, str]:
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as error:
            code = int(error.code or 0)
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def people(tmp_path: Path) -> str:
    path = str(tmp_path / "people")
    with MDSWriter(columns={"age": "int32"}, out=path, size_limit="1kb", side_columns="age") as out:
        for i in range(N):
            out.write({"age": i % 90})
    return path


def test_a_view_is_the_one_that_a_dataset_saves(run: Run, people: str, tmp_path: Path) -> None:
    made, saved = tmp_path / "made.view", tmp_path / "saved.view"
    before = sorted(os.listdir(people))
    code, out, err = run("view", "make", people, "--where", "age > 60", "--out", made)
    dataset = StreamingDataset(local=people).filter("age > 60")
    assert (code, out, err) == (0, f"{made}: {dataset.size} of 300 samples of {people}\n", "")
    dataset.save(saved)
    assert made.read_bytes() == saved.read_bytes()
    assert sorted(os.listdir(people)) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.view", "people", "saved.view"]


def test_what_a_view_is(run: Run, people: str, tmp_path: Path) -> None:
    place = tmp_path / "old.view"
    dataset = StreamingDataset(local=people, batch_size=1).filter("age > 60")
    dataset.save(place)
    facts = json.loads(run("view", "--json", place)[1])
    (of,) = facts.pop("datasets")
    assert facts == {
        "url": str(place),
        "query": "filter(age > 60)",
        "samples": dataset.size,
        "of": N,
        "shards": int((dataset.samples_per_shard > 0).sum()),
        "of_shards": dataset.num_shards,
        "fingerprint": dataset.state_dict()["units"],
        "bytes": place.stat().st_size,
    }
    assert (of["origin"], of["samples"]) == (people, dataset.size)
    code, out, err = run("view", place)
    assert (code, err) == (0, "")
    assert "query        filter(age > 60)\n" in out
    assert f"samples      {dataset.size} of 300\n" in out
    assert f"fingerprint  {facts['fingerprint']}\n" in out
    assert f"digest   {of['digest']}\n" in out


def test_views_below_a_directory(run: Run, people: str, tmp_path: Path) -> None:
    views = tmp_path / "views"
    for where, name in (("age > 60", "old.view"), ("age < 10", "deep/young.view")):
        assert run("view", "make", people, "--where", where, "--out", views / name)[0] == 0
    (views / "broken.view").write_bytes(b"SDVIEW01 and no more")
    (views / "notes.txt").write_text("no view")
    code, out, err = run("view", views)
    assert (code, err) == (0, "")
    broken, deep, old = out.splitlines()
    assert broken.startswith("broken.view ")
    assert "is no view that this version reads" in broken
    assert deep == "deep/young.view  40 of 300  filter(age < 10)"
    assert old == "old.view         87 of 300  filter(age > 60)"
    facts = json.loads(run("view", "--json", f"{views}/")[1])
    assert [one["url"] for one in facts] == [
        f"{views}/{name}" for name in ("broken.view", "deep/young.view", "old.view")
    ]
    assert ["error" in one for one in facts] == [True, False, False]
    assert run("view", people) == (0, "", f"streaming: no file below {people} ends with .view.\n")


def test_side_columns_elsewhere(run: Run, people: str, tmp_path: Path) -> None:
    elsewhere, place = tmp_path / "side.parquet", tmp_path / "old.view"
    index_columns(people, "years=age", out=elsewhere, workers=0, progress_bar=False)
    command = ("view", "make", people, "--where", "years = 7", "--side-columns", elsewhere, "--out", place, "--json")
    assert json.loads(run(*command)[1])["samples"] == 4
    os.unlink(f"{people}/columns.parquet")
    code, out, err = run("view", "make", people, "--where", "age > 60", "--out", tmp_path / "none.view")
    assert (code, out) == (2, "")
    assert "There are no side columns" in err
    assert f"streaming index {people} --columns" in err
    assert not (tmp_path / "none.view").exists()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["view", "make", "{people}", "--where", "age > 900", "--out", "{tmp}/x"], "leaves no sample of"),
        (["view", "make", "{people}", "--where", "true", "--out", "{tmp}/x"], "leaves every sample of"),
        (["view", "make", "{people}", "--where", "years > 1", "--out", "{tmp}/x"], "no column 'years'"),
        (["view", "make", "{people}", "--where", "age >", "--out", "{tmp}/x"], "DuckDB does not take"),
        (["view", "make", "{people}", "--where", "age > 1", "--out", "{people}/index.json"], "is not replaced"),
        (["view", "make", "{people}", "--where", "age > 1", "--out", "{tmp}"], "is a directory"),
        (["view", "make", "{people}", "--where", "age > 1", "--out", "s3://bucket/"], "is a directory"),
        (["view", "make", "{people}", "--where", "age > 1"], "--out"),
        (["view", "make", "{tmp}/none", "--where", "age > 1", "--out", "{tmp}/x"], "no dataset at"),
        (["view", "{people}/index.json"], "is no view that this version reads"),
        (["view", "{tmp}/none"], "There is no view at"),
        (["view"], "URL"),
    ],
)
def test_bad_input_is_one_line(run: Run, people: str, tmp_path: Path, args: list[str], text: str) -> None:
    index = Path(people, "index.json").read_bytes()
    code, out, err = run(*(arg.replace("{people}", people).replace("{tmp}", str(tmp_path)) for arg in args))
    assert (code, out) == (2, "")
    assert text in err
    assert err.splitlines()[-1].startswith("streaming")
    assert Path(people, "index.json").read_bytes() == index
    assert not (tmp_path / "x").exists()


def test_a_bucket(run: Run, bucket: str, people: str, tmp_path: Path) -> None:
    assert run("copy", people, f"{bucket}/people")[0] == 0
    side = f"{people}/columns.parquet"
    for place in (f"{bucket}/views/old.view", str(tmp_path / "old.view")):
        command = ("view", "make", f"{bucket}/people", "--where", "age > 60", "--side-columns", side, "--out", place)
        assert run(*command)[0] == 0
        assert f"  {bucket}/people\n" in run("view", place)[1]
    assert run("view", f"{bucket}/views")[1] == "old.view  87 of 300  filter(age > 60)\n"
    assert run("view", bucket)[1] == "views/old.view  87 of 300  filter(age > 60)\n"
    data = StreamingDataset(remote=f"{bucket}/people", local=str(tmp_path / "cache"), batch_size=1)
    assert data.view(f"{bucket}/views/old.view").size == 87


def test_needs_no_torch(people: str, tmp_path: Path) -> None:
    code = "import sys\nfrom streaming.cli.main import main\nmain(sys.argv[1:])\nprint('torch' in sys.modules)"
    command = ["view", "make", people, "--where", "age > 60", "--out", str(tmp_path / "old.view")]
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
