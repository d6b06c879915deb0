"""The examples for language models: what phases of a curriculum hold, and weights by loss that are stopped and resumed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.apart
EXAMPLES = Path(__file__).parents[2] / "examples" / "language_model"
#: `packed_and_unpacked` and `model` have tests in `tests/packing/test_training.py`.
OTHERS = {"model", "packed_and_unpacked"}


def test_there_is_a_test_of_each() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "curriculum",
        "packing_side_by_side",
        "weights_by_loss",
        *OTHERS,
    }


def test_a_curriculum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import curriculum

    for _ in range(2):  # over what was written before, too
        curriculum.main(str(tmp_path))
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 12
    assert said[:6] == said[6:]

    classes: list[Any] = []  # of each step's bins: 0 of short documents, 1 of medium ones, 2 of long ones
    for _, batch in zip(range(curriculum.STEPS), curriculum.make_loader(str(tmp_path)), strict=False):
        lengths = [np.bincount(row[row >= 0]) for row in batch["doc_ids"].numpy()]
        found = [np.unique(np.digitize(row, [64, 256])) for row in lengths]
        assert {len(row) for row in found} == {1}  # a bin holds documents of one stream
        classes.append(np.concatenate(found))
    counts = np.stack([np.bincount(row, minlength=3) for row in classes])
    assert (counts[:20] == [8, 0, 0]).all()
    assert (counts[20:30].sum(0) > counts[30:40].sum(0)).tolist() == [True, False, False]
    assert np.abs(counts[40:].sum(0) - np.array([0.2, 0.4, 0.4]) * 160).max() < 2
    assert np.abs(counts[40:] - np.array([0.2, 0.4, 0.4]) * 8).max() < 2


def test_weights_by_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import weights_by_loss

    threads = torch.get_num_threads()
    weights_by_loss.main(str(tmp_path))
    torch.set_num_threads(threads)
    never, rest = capsys.readouterr().out.split("stopped after step 65\n")
    stopped, resumed = rest.split("resumed as two ranks\n")
    lines = never.splitlines()[1:]
    assert len(lines) == 6
    assert stopped.splitlines() == lines[:3]
    assert resumed.splitlines() == [*lines[3:], "the same batches: True"]
    for line in lines:
        assert sum(map(float, re.findall(r"\d\.\d+", line))) == pytest.approx(1, abs=0.02)


def test_packing_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import packing_side_by_side as example

    example.main(str(tmp_path))
    said = capsys.readouterr().out
    table = dict(re.findall(r"^\| (.+?) \| \d+ of \d+ \| (.+) \|$", said, re.M))
    filled, cut, lost = zip(*(row.split(" | ") for row in table.values()), strict=True)
    assert len(table) == 9
    of = dict(zip(table, zip(map(float, filled), map(int, cut), map(int, lost), strict=True), strict=True))
    for method in ("concat", "first_fit", "best_fit"):
        fill, broken, missing = of[f"Pack(method='{method}')"]
        assert fill > 0.99
        assert missing == 0
        assert (broken > 0) == (method == "concat")
    assert of["Grain, first fit"][0] < of["Pack(method='first_fit')"][0]
    assert re.search(r"resumed as two ranks: (\d{3}) of \1 batches are the same", said)
