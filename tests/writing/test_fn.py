"""``streaming.write`` with a function that makes the rows: the same bytes as of these rows, whatever happens."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fn_program import ARGUMENTS, COLUMNS, INPUTS, plain, rows

import streaming
from streaming import LocalDataset, MDSWriter
from streaming.core.errors import InputError
from streaming.writing.bulk import workers as workers_module

from budget import repetitions

PROGRAM = str(Path(__file__).with_name("fn_program.py"))


def files(root: str | Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in Path(root).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a plain writer that is given the rows."""
    out = tmp_path_factory.mktemp("plain")
    arguments = {name: value for name, value in ARGUMENTS.items() if name != "on_error"}
    with MDSWriter(columns=COLUMNS, out=str(out), **arguments) as writer:
        for row in plain()[0]:
            writer.write(row)
    return files(out)


def written(out: Path, workers: int, **arguments: Any) -> streaming.WriteReport:
    return streaming.write(INPUTS, str(out), COLUMNS, fn=rows, workers=workers, **{**ARGUMENTS, **arguments})


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_bytes_of_a_plain_writer(tmp_path: Path, workers: int, wanted: dict[str, bytes]) -> None:
    report = written(tmp_path, workers)
    assert files(tmp_path) == wanted
    good, bad = plain()
    assert report.samples == len(good)
    assert [(skip.input, skip.item) for skip in report.skipped] == bad
    reasons = {skip.item: str(skip) for skip in report.skipped}
    assert reasons["'9'"] == "input 9 ('9'): OSError: 9 is broken"
    assert "row 1: Column 'input'" in reasons["'62'"]
    assert f"{len(bad)} skipped" in str(report)


def run_and_kill(out: Path, num_shards: int, rng: random.Random) -> None:
    """Write in a process, and kill it some time after its journal has ``num_shards`` shards."""
    journal = out / ".streaming-write" / "journal.jsonl"
    command = [sys.executable, PROGRAM, str(out), "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            if journal.exists() and journal.read_bytes().count(b"\n") > num_shards:
                break
            time.sleep(0.002)
        time.sleep(rng.random() * 0.03)
        process.send_signal(signal.SIGKILL)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGKILL), stderr.decode()


@pytest.mark.parametrize("seed", range(repetitions("STREAMING_TEST_KILLS", 2, 20) // 2))
def test_killed_and_continued(tmp_path: Path, wanted: dict[str, bytes], seed: int) -> None:
    rng = random.Random(seed)
    for least in sorted(rng.sample(range(len(wanted) - 2), 2)):
        run_and_kill(tmp_path, least, rng)
        if not os.path.exists(tmp_path / ".streaming-write" / "journal.jsonl"):
            break  # killed after the last step that counts
    else:
        report = written(tmp_path, 2)
        assert report.resumed_samples > 0
        good, bad = plain()
        assert report.samples == len(good)
        assert [(skip.input, skip.item) for skip in report.skipped] == bad
    assert files(tmp_path) == wanted


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failure_is_named_and_continued(tmp_path: Path, wanted: dict[str, bytes], workers: int) -> None:
    with pytest.raises(InputError, match=r"Input 9 \('9'\): fn \(rows\) failed: OSError: 9 is broken") as caught:
        written(tmp_path, workers, on_error="raise")
    assert "in rows" in str(caught.value.__cause__) or isinstance(caught.value.__cause__, OSError)
    with pytest.raises(TypeError, match=r"Input 4 \(5\), row 0 of it: .*'input'"):
        bad = streaming.write(range(1, 9), str(tmp_path / "other"), COLUMNS, fn=unfit, workers=workers)
        assert not bad
    written(tmp_path, workers)
    assert {name: data for name, data in files(tmp_path).items() if "other" not in name} == wanted


def unfit(number: int) -> dict[str, Any]:
    return {"input": "five" if number == 5 else number, "text": ""}


def test_whole_shards_before_a_failure_are_kept(tmp_path: Path, wanted: dict[str, bytes]) -> None:
    asked: list[int] = []

    def counted(number: int) -> Any:
        asked.append(number)
        if number == fails_at:
            raise ValueError
        return {"input": number, "text": "x" * 100}

    for fails_at in (500, 900, None):
        asked.clear()
        arguments: dict[str, Any] = {"fn": counted, "workers": 0, "size_limit": 3000}
        try:
            report = streaming.write(range(1000), str(tmp_path / "out"), COLUMNS, **arguments)
        except InputError:
            assert asked[-1] == fails_at
        else:
            assert asked[0] > 850
            assert report.resumed_samples > 850
            assert [sample["input"] for sample in LocalDataset(str(tmp_path / "out"))] == list(range(1000))
    assert len(wanted) > 2


def maker(items: list[Any], fail: bool = False) -> Any:
    """A function that makes a row of each item, but for the last."""

    def make(item: Any) -> dict[str, Any]:
        if fail and item == items[-1]:
            raise ValueError
        return {"x": str(item) * 100}

    return make


def test_other_inputs_are_noticed(tmp_path: Path) -> None:
    items = list("abcdefgh")

    def unfinished(given: Any) -> None:
        with pytest.raises(InputError):
            streaming.write(given, str(tmp_path), {"x": "str"}, fn=maker(items, True), workers=0, size_limit=300)

    def again(given: Any, fn: Any = None) -> Any:
        return streaming.write(given, str(tmp_path), {"x": "str"}, fn=fn or maker(items), workers=0, size_limit=300)

    unfinished(items)
    for other in (["new", *items], items[:2], iter(["new", *items])):
        with pytest.raises(ValueError, match="inputs up to number 5 are others"):
            again(other)
    with pytest.raises(ValueError, match="inputs up to number 5 are others"):
        again(range(8))
    with pytest.raises(ValueError, match="row 0 of input 5 .'f'. is another now"):
        again(items, named)
    with pytest.raises(ValueError, match="unfinished write with other arguments .fn"):
        streaming.write([{"x": "a"}], str(tmp_path), {"x": "str"}, workers=0, size_limit=300)
    assert again(iter(items)).resumed_samples == 6


@pytest.mark.apart
def test_a_generator_streams(tmp_path: Path) -> None:
    """Many more rows than fit the room ahead; what is made is taken before the rest is made."""

    def make(item: int) -> Iterator[dict[str, Any]]:
        for k in range(300):
            yield {"id": item * 300 + k, "x": np.full(50_000, k, np.uint16)}

    report = streaming.write(range(3), str(tmp_path), fn=make, workers=2, size_limit="1mb")
    assert report.samples == 900
    assert [int(sample["id"]) for sample in LocalDataset(str(tmp_path))] == list(range(900))


def test_columns_of_what_the_function_makes(tmp_path: Path) -> None:
    import torch

    def make(number: int) -> Any:
        return {"t": torch.arange(3), "n": torch.tensor(number)} if number > 100 else None

    for workers in (0, 2):
        report = streaming.write(range(200), str(tmp_path / str(workers)), fn=make, workers=workers)
        assert report.columns == {"t": "ndarray:int64", "n": "int64"}
        assert report.samples == 99
    with pytest.raises(ValueError, match="without a row"):
        streaming.write(range(5), str(tmp_path / "none"), fn=lambda _: None, workers=2)


def test_what_a_function_may_return(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"x": [1, 2], "y": ["a", None]})
    made: list[Any] = [table, [table, {"x": 3, "y": None}, None], table.to_batches()[0], {"x": 4, "y": "z"}]
    report = streaming.write(range(4), str(tmp_path), {"x": "int", "y": "str?"}, fn=lambda i: made[i], workers=2)
    assert report.samples == 2 + 3 + 2 + 1
    wrong: Any
    for wrong, text in (("abc", "returned a str"), (5, "returned a int"), ([5], "got int")):
        with pytest.raises(InputError, match=rf"Input 0 \(1\).*{text}"):
            streaming.write([1], str(tmp_path / "wrong"), {"x": "int"}, fn=lambda _, w=wrong: w, workers=1)
    for workers in (0, 1):
        with pytest.raises(InputError, match=r"Input 0 \(1\).*failed: SystemExit: 3"):
            streaming.write([1], str(tmp_path / "wrong"), {"x": "int"}, fn=lambda _: sys.exit(3), workers=workers)


def test_keys_that_are_no_columns(tmp_path: Path) -> None:
    def make(number: int) -> dict[str, Any]:
        return {"x": number, **({"late": 1} if number == 400 else {})}

    with pytest.raises(ValueError, match="Sample 400 has 'late'"):
        streaming.write(range(500), str(tmp_path / "a"), fn=make, workers=2)
    with pytest.warns(UserWarning, match="'late', which are no columns") as told:
        streaming.write(range(500), str(tmp_path / "b"), {"x": "int"}, fn=make, workers=2)
    assert [warning.filename for warning in told] == [__file__]


def test_spawned_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module.sys, "platform", "darwin")
    with pytest.raises(ValueError, match=r"<lambda>.*cannot be sent to a worker process.*top of a module"):
        streaming.write([1], str(tmp_path / "a"), {"x": "int"}, fn=lambda item: {"x": item}, workers=1)
    report = streaming.write(["a"], str(tmp_path / "b"), {"x": "str"}, fn=named, workers=1)
    assert report.samples == 1


def named(item: str) -> dict[str, str]:
    return {"x": item}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"fn": 5}, "fn must be a function"),
        ({"on_error": "skip"}, "pass fn"),
        ({"fn": named, "on_error": "ignore"}, "'raise' or 'skip'"),
        ({"inputs": "abc", "fn": named}, "inputs are items"),
        ({"inputs": [open], "fn": named, "columns": {"x": "str"}}, None),
        ({"inputs": [lambda: 1], "fn": named}, "Input 0, a function, cannot be sent"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: dict[str, Any], text: str | None) -> None:
    given: Any = {"inputs": ["a"], "out": str(tmp_path / "out"), "workers": 0, **arguments}
    with pytest.raises((ValueError, TypeError), match=text):
        streaming.write(**given)
