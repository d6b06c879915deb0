"""Datasets of the Hugging Face Hub, trained from where they lie: configurations, splits, and what features say."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

import streaming
from streaming import StreamingDataset
from streaming.cli.main import main
from streaming.core.errors import ConfigError, EmptyDatasetError, SourceError, StreamingError
from streaming.storage.providers.vendors import client as vendor

from clouds import clear_credentials
from copies import Later
from hubs import Hub, hub_server

datasets = Later("datasets")

REPO = "datasets/team/photos"
CARD = """---
configs:
- config_name: small
  data_files:
  - split: train
    path: small/train-*.parquet
  - split: test
    path: small/test-*.parquet
- config_name: words
  data_files: words/*.parquet
---
# Photos
"""


@cache
def features_of_photos() -> Any:
    return datasets.Features(
        {
            "id": datasets.Value("int64"),
            "image": datasets.Image(),
            "pages": datasets.Sequence(datasets.Image()),
            "sound": datasets.Audio(sampling_rate=8000, decode=False),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "tags": datasets.Sequence(datasets.Value("string")),
            "vector": datasets.Sequence(datasets.Value("float32")),
            "point": datasets.Sequence(datasets.Value("float32"), length=3),
            "grid": datasets.Array2D((2, 3), "int16"),
            "boxes": datasets.List({"x": datasets.Value("int32")}),
        }
    )


def image_of(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (number, 0, 0)).save(file, "JPEG" if number % 2 else "PNG")
    return file.getvalue()


def sound_of(number: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(80, number / 100), 8000, format="WAV")
    return file.getvalue()


def row_of(i: int) -> dict[str, Any]:
    return {
        "id": i,
        "image": {"bytes": image_of(i), "path": f"{i}.jpg"},
        "pages": [{"bytes": image_of(k), "path": None} for k in range(i % 3)],
        "sound": {"bytes": sound_of(i), "path": None},
        "label": i % 2,
        "tags": [f"t{k}" for k in range(i % 3)],
        "vector": [i, i + 0.5],
        "point": [i, 0, 1],
        "grid": [[i, 1, 2], [3, 4, 5]],
        "boxes": [{"x": i}] * (i % 3),
    }


def photos_of(first: int, count: int) -> Any:
    stored = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    features = datasets.Features({**features_of_photos(), "sound": stored})
    rows = datasets.Dataset.from_list([row_of(i) for i in range(first, first + count)], features=features)
    return rows.cast_column("sound", features_of_photos()["sound"])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    clear_credentials(monkeypatch, tmp_path)
    vendor._clients.made.clear()  # pyright: ignore[reportPrivateUsage]
    with hub_server() as server:
        server.repos.add(REPO)
        server.files[f"{REPO}@main/README.md"] = CARD.encode()
        for number, (name, first, count) in enumerate([("train", 0, 20), ("train", 20, 15), ("test", 40, 9)]):
            path = tmp_path / "part.parquet"
            photos_of(first, count).to_parquet(path)
            server.files[f"{REPO}@main/small/{name}-{number:05}.parquet"] = path.read_bytes()
        datasets.Dataset.from_dict({"word": [f"w{i}" for i in range(30)]}).to_parquet(tmp_path / "w.parquet")
        server.files[f"{REPO}@main/words/all.parquet"] = (tmp_path / "w.parquet").read_bytes()
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def bytes_of(value: Any) -> bytes:
    return value.fp.getvalue() if value.fp else b""


def test_what_features_say(hub: Hub, tmp_path: Path) -> None:
    dataset = StreamingDataset(remote=f"hf://{REPO}", config="small", split="train", local=tmp_path / "c", batch_size=1)
    rows = dataset[:]
    assert len(rows) == 35
    assert dataset.metadata["columns"]["label"] == {"names": ["cat", "dog"]}
    assert dataset.metadata["columns"]["sound"] == {"type": "audio", "sampling_rate": 8000}
    for i, row in enumerate(rows):
        given = row_of(i)
        assert bytes_of(row["image"]) == image_of(i)
        assert [bytes_of(page) for page in row["pages"]] == [image_of(k) for k in range(i % 3)]
        assert np.allclose(row["sound"].samples()[0], i / 100, atol=1e-3)
        assert (row["label"], row["tags"], row["boxes"]) == (given["label"], given["tags"], given["boxes"])
        assert [row[name].tolist() for name in ("vector", "point", "grid")] == [
            given[name] for name in ("vector", "point", "grid")
        ]
        assert (row["grid"].dtype, row["vector"].dtype) == (np.int16, np.float32)


def test_configurations_and_splits(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments: Any = {"remote": f"hf://{REPO}", "local": tmp_path / "c", "batch_size": 1}
    assert len(StreamingDataset(**arguments, config="small", split="test", columns=["id"])[:]) == 9
    assert StreamingDataset(**arguments, config="words")[3] == {"word": "w3"}
    found = str(tmp_path / "found")
    assert main(["index", f"hf://{REPO}", "--config", "small", "--split", "test", "--out", found]) == 0
    assert "9 rows" in capsys.readouterr().out
    assert len(StreamingDataset(**arguments, config="small", split="test", index=found)) == 9
    with pytest.raises(ConfigError, match=r"has the configurations small, words\. Say which by config="):
        StreamingDataset(**arguments)
    with pytest.raises(ConfigError, match=r"no configuration 'large'; it has small, words"):
        StreamingDataset(**arguments, config="large")
    with pytest.raises(ConfigError, match=r"has the splits train, test\. Say which by split="):
        StreamingDataset(**arguments, config="small")


def test_saved_to_disk(tmp_path: Path) -> None:
    both = datasets.DatasetDict({"train": photos_of(0, 25), "test": photos_of(50, 5)})
    both.save_to_disk(tmp_path / "saved", num_shards={"train": 3, "test": 1})
    dataset = StreamingDataset(remote=tmp_path / "saved", split="train", local=tmp_path / "c", batch_size=1)
    assert [row["id"] for row in dataset[:]] == list(range(25))
    assert bytes_of(dataset[3]["image"]) == image_of(3)
    assert dataset[4]["grid"].tolist() == [[4, 1, 2], [3, 4, 5]]
    assert dataset.metadata["columns"]["label"] == {"names": ["cat", "dog"]}
    with pytest.raises(ConfigError, match=r"saved has no split 'val'; it has test, train\."):
        StreamingDataset(remote=tmp_path / "saved", split="val", local=tmp_path / "c", batch_size=1)
    files = f"{tmp_path}/saved/test/*.arrow"
    assert len(StreamingDataset(remote=files, local=tmp_path / "c", batch_size=1)[:]) == 5


def test_a_saved_dataset_is_the_files_that_it_lists(tmp_path: Path) -> None:
    """What was left by programs that used it, and by saving it before, is no data; what is missing is."""
    given = datasets.Dataset.from_dict({"id": range(20)})
    for count in (3, 2):
        given.save_to_disk(tmp_path / "saved", num_shards=count)
    shutil.copy(tmp_path / "saved" / "data-00000-of-00002.arrow", tmp_path / "saved" / "cache-12ab.arrow")
    arguments: Any = {"remote": tmp_path / "saved", "local": tmp_path / "c", "batch_size": 1}
    assert [row["id"] for row in StreamingDataset(**arguments)[:]] == list(range(20))
    assert streaming.convert(tmp_path / "saved", tmp_path / "out", workers=0, progress_bar=False).samples == 20
    (tmp_path / "saved" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(SourceError, match=r"saved/state\.json lists data-00001-of-00002\.arrow, which is not there"):
        StreamingDataset(**arguments)
    given.select([]).save_to_disk(tmp_path / "none")
    with pytest.raises(EmptyDatasetError):
        StreamingDataset(**{**arguments, "remote": tmp_path / "none"})


A, B, C = "a/x.jsonl", "b/x.jsonl", "a/b/x.jsonl"
LAYOUTS: list[tuple[list[str], str, dict[str, str], Any]] = [
    # As the hub's own library takes them: what a star stands for is in one directory.
    ([A, C], "data_files: a/*.jsonl", {}, [A]),
    ([A, C], "data_files: ['a/**/*.jsonl', 'none/*.jsonl']", {}, [C, A]),
    ([A, "a/.h/x.jsonl", "a/config.json"], "data_files: a/**", {}, [A]),
    ([A, B], "data_files: none/*.jsonl", {}, "names none/.*, and there is no such file"),
    ([A], f"data_files: [{A}, none.jsonl]", {}, r"names none\.jsonl, which is not there"),
    ([A, B], "{data_files: a/*, config_name: one}, {data_files: b/*, config_name: two, default: true}", {}, [B]),
    ([A, B], "{data_dir: a, config_name: one}, {data_dir: b, config_name: two}", {"config": "two"}, [B]),
    ([A, B], "{data_dir: a, config_name: one}, {data_dir: b, config_name: two}", {}, "has the configurations one, two"),
    ([A, B], "data_dir: a, data_files: '*.jsonl'", {}, [A]),
    ([A], "data_files: 5", {}, r"README\.md: nobody can tell which files"),
    ([A], "data_files: [{split: x}]", {}, r"README\.md: nobody can tell which files"),
    ([A], "]", {}, r"README\.md: nobody can tell which files"),
    (["data/x.jsonl", "dataset_infos.json", "a/.h/x.jsonl"], "", {}, ["data/x.jsonl"]),
    (
        ["data/foo-00000-of-00001.jsonl", "data/bar-00000-of-00001.jsonl"],
        "",
        {"split": "foo"},
        ["data/foo-00000-of-00001.jsonl"],
    ),
    (["train2020.jsonl", "eval.jsonl", "contest.jsonl"], "", {"split": "test"}, ["eval.jsonl"]),
    (["x.py"], "", {}, "has no files of a known format"),
]


def test_layouts_of_repositories(hub: Hub, tmp_path: Path) -> None:
    for number, (names, card, options, expected) in enumerate(LAYOUTS):
        repo = f"datasets/team/layout{number}"
        hub.repos.add(repo)
        for name in names:
            hub.files[f"{repo}@main/{name}"] = f'{{"name": "{name}"}}\n'.encode()
        if card:
            text = "\ufeff---\nconfigs: [" + (card if card.startswith("{") else f"{{{card}}}") + "]\n---\n# Words\n"
            hub.files[f"{repo}@main/README.md"] = text.encode()
        arguments: Any = {"remote": f"hf://{repo}", "local": tmp_path / "c", "batch_size": 1, **options}
        if isinstance(expected, list):
            assert [row["name"] for row in StreamingDataset(**arguments)[:]] == expected
        else:
            with pytest.raises(StreamingError, match=expected):
                StreamingDataset(**arguments)
