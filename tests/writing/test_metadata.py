"""What is known of a dataset besides its samples: kept beside the index, and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import streaming
from streaming import LocalDataset, StreamingDataset
from streaming.cli.main import main
from streaming.format.encodings import get_mds_encodings
from streaming.format.encodings.compatible import is_compatible
from streaming.format.metadata import METADATA_NAME

ROWS = [{"label": i % 2, "text": str(i)} for i in range(8)]
KNOWN = {"license": "MIT", "columns": {"label": {"names": ["cat", "dög"]}, "text": {"tokenizer": "gpt2"}}}


def written(out: Any, **arguments: Any) -> streaming.WriteReport:
    return streaming.write(ROWS, out, **{"workers": 0, "progress_bar": False, **arguments})


def test_written_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remote = str(tmp_path / "remote")
    written((str(tmp_path / "local"), remote), metadata=KNOWN)
    assert LocalDataset(remote).metadata == KNOWN
    assert StreamingDataset(remote=remote, local=str(tmp_path / "cache"), batch_size=1).metadata == KNOWN
    assert main(["info", remote]) == 0
    shown = capsys.readouterr().out
    assert "MIT" in shown
    assert 'names: ["cat", "dög"]' in shown
    assert main(["info", "--json", remote]) == 0
    assert json.loads(capsys.readouterr().out)["metadata"] == KNOWN


def test_of_several_streams(tmp_path: Path) -> None:
    for name, metadata in (("a", KNOWN), ("b", {"license": "X", "source": "b", "columns": {"label": {"x": 1}}})):
        written(str(tmp_path / name), metadata=metadata)
    streams = [streaming.Stream(local=str(tmp_path / name)) for name in "ab"]
    found = StreamingDataset(streams=streams, batch_size=1).metadata
    assert found == {
        "license": "MIT",
        "source": "b",
        "columns": {"label": {"names": ["cat", "dög"], "x": 1}, "text": {"tokenizer": "gpt2"}},
    }


@pytest.mark.parametrize("has_remote", [False, True])
def test_of_a_dataset_that_is_replaced_or_added_to(tmp_path: Path, has_remote: bool) -> None:
    local, remote = str(tmp_path / "local"), str(tmp_path / "remote")
    out = (local, remote) if has_remote else local
    place = remote if has_remote else local
    written(out, metadata=KNOWN)
    written(out, append=True)
    assert LocalDataset(place).metadata == KNOWN
    written(out, append=True, metadata={"license": "other"})
    assert LocalDataset(place).metadata == {"license": "other"}
    streaming.write(ROWS, out, workers=0, exist_ok=True)
    assert LocalDataset(place).metadata == {}
    assert not (Path(place) / METADATA_NAME).exists()


def test_of_hugging_face(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "tags": datasets.Sequence(datasets.ClassLabel(names=["x"])),
            "sound": datasets.Audio(sampling_rate=8000),
            "n": datasets.Value("int64"),
        }
    )
    row = {"label": 1, "tags": [0], "sound": {"bytes": b"RIFF", "path": None}, "n": 1}
    given = datasets.Dataset.from_list([row] * 3).cast(features)
    for number, one in enumerate((given, given.to_iterable_dataset())):
        out = str(tmp_path / str(number))
        metadata = {"source": "test", "columns": {"label": {"note": "mine"}}}
        streaming.write(one, out, workers=0, metadata=metadata)
        assert LocalDataset(out).metadata == {
            "source": "test",
            "columns": {
                "label": {"names": ["cat", "dog"], "note": "mine"},
                "tags": {"names": ["x"]},
                "sound": {"type": "audio", "sampling_rate": 8000},
            },
        }
        assert LocalDataset(out)[0]["sound"] == b"RIFF"


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ([1], "must be a dict"),
        ({"a": {1, 2}}, "JSON can hold"),
        ({"a": (1, 2)}, "lists rather than tuples"),
        ({1: 2}, "keys that are text"),
        ({"a": float("nan")}, "JSON can hold"),
        ({"columns": ["a"]}, "dict of dicts"),
        ({"columns": {"a": "b"}}, "dict of dicts"),
    ],
)
def test_what_is_no_metadata(tmp_path: Path, metadata: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        written(str(tmp_path / "out"), metadata=metadata)
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    written(str(tmp_path), metadata=KNOWN)
    for wrong, text in (("[1]", "no JSON object"), ("{", "not JSON")):
        (tmp_path / METADATA_NAME).write_text(wrong)
        with pytest.raises(ValueError, match=text):
            _ = LocalDataset(str(tmp_path)).metadata


def test_columns_that_the_original_reads(tmp_path: Path) -> None:
    assert written(str(tmp_path / "a"), compatible=True).columns == {"label": "int", "text": "str"}
    rows = [{"x": None}, {"x": 1}]
    with pytest.raises(ValueError, match=r"mosaicml-streaming cannot read the columns 'x' \(int\?\)"):
        streaming.write(rows, str(tmp_path / "b"), compatible=True, workers=0)
    assert not (tmp_path / "b").exists()
    ours = {"bool", "image", "audio", "video", "date", "time", "datetime", "timedelta", "list", "tensor"}
    assert {name for name in get_mds_encodings() if not is_compatible(name)} == ours
    for name in ("ndarray:bool", "ndarray:bool:3", "ndarray:float32?", "str?", "list:str", "tensor:bfloat16"):
        assert not is_compatible(name)
    for name in ("ndarray:float32:3,4", "ndarray:uint8", "ndarray"):
        assert is_compatible(name)


def test_merging_keeps_what_the_parts_agree_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names, other = {"names": ["cat", "dog"]}, {"names": ["dog", "cat"]}
    known: list[Any] = [
        {"license": "MIT", "columns": {"label": names, "x": names}},
        None,
        {"license": "MIT", "by": "me", "columns": {"label": names, "x": other}},
    ]
    for part, metadata in enumerate(known):
        rows = [{"label": part, "x": 0}]
        streaming.write(rows, tmp_path / "all" / str(part), workers=0, progress_bar=False, metadata=metadata)
    streaming.merge_index(str(tmp_path / "all"))
    assert LocalDataset(tmp_path / "all").metadata == {"license": "MIT", "by": "me", "columns": {"label": names}}
    assert "columns.x.names" in caplog.text


def test_copies_take_it_along(tmp_path: Path) -> None:
    for name, metadata in (("a", {"license": "MIT"}), ("b", None)):
        streaming.write([{"x": 1}], tmp_path / name, workers=0, progress_bar=False, metadata=metadata)
    assert main(["copy", str(tmp_path / "a"), str(tmp_path / "copy")]) == 0
    assert LocalDataset(tmp_path / "copy").metadata == {"license": "MIT"}
    assert main(["copy", str(tmp_path / "b"), str(tmp_path / "copy"), "--force"]) == 0
    assert LocalDataset(tmp_path / "copy").metadata == {}
