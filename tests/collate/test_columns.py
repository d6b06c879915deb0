"""What an error of the default collate advises works as it stands, in workers too."""

from __future__ import annotations

import pickle
import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.collate import Columns, Images, Keep, Pad
from streaming.core.errors import CollateError

HELPERS = {"Columns": Columns, "Images": Images, "Keep": Keep, "Pad": Pad}


def write(path: Path, columns: dict[str, str], samples: list[dict[str, Any]]) -> StreamingDataset[Any]:
    with MDSWriter(out=str(path), columns=columns) as out:
        for sample in samples:
            out.write(sample)
    return StreamingDataset(local=str(path), batch_size=4)


def advised(dataset: Any) -> Any:
    """Return the function that the error names."""
    with pytest.raises(CollateError) as error:
        list(StreamingDataLoader(dataset, batch_size=4))
    named = re.search(r"collate_fn=(Columns\(.*?\)\)) \(of streaming.collate\)", str(error.value))
    assert named, str(error.value)
    return eval(named[1], dict(HELPERS))  # the words of the error, as a user pastes them


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("loader", [DataLoader, StreamingDataLoader])
def test_the_advice_works(tmp_path: Path, workers: int, loader: Any) -> None:
    columns = {"id": "int", "image": "png", "tokens": "ndarray:int32", "maybe": "int32?", "day": "date"}
    samples = [
        {
            "id": i,
            "image": Image.new("RGB", (3, 5), (i, 0, 255)),
            "tokens": np.arange(i + 1, dtype=np.int32),
            "maybe": None if i % 2 else i,
            "day": date(2026, 1, 1 + i),
        }
        for i in range(8)
    ]
    dataset = write(tmp_path / "a", columns, samples)
    collate = advised(dataset)
    first, second = loader(dataset, batch_size=4, num_workers=workers, collate_fn=collate)
    assert first["id"].tolist() == [0, 1, 2, 3]
    assert list(first) == list(dataset[0])
    assert first["tokens"].dtype == torch.int32
    assert first["tokens"].tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 2, 0], [0, 1, 2, 3]]
    assert second["tokens"].shape == (4, 8)
    assert first["image"].shape == (4, 3, 5, 3)
    assert first["image"][2, :, 0, 0].tolist() == pytest.approx([2 / 255, 0, 1])
    assert first["maybe"] == [0, None, 2, None]
    assert first["day"] == [date(2026, 1, day) for day in range(1, 5)]


def test_a_name_that_is_no_word(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a", {"a b": "ndarray:int8"}, [{"a b": np.ones(i + 1, np.int8)} for i in range(4)])
    (batch,) = StreamingDataLoader(dataset, batch_size=4, collate_fn=eval_columns(dataset))
    assert batch["a b"].shape == (4, 4)


def eval_columns(dataset: Any) -> Any:
    with pytest.raises(CollateError, match="Columns") as error:
        list(StreamingDataLoader(dataset, batch_size=4))
    named = re.search(r"collate_fn=(Columns\(\*\*{.*?}\))", str(error.value))
    assert named
    return eval(named[1], dict(HELPERS))


def test_padding() -> None:
    ragged = [np.zeros((2, 1)), np.ones((1, 3))]
    padded = Pad(value=7)(ragged)
    assert padded.tolist() == [[[0, 7, 7], [0, 7, 7]], [[1, 1, 1], [7, 7, 7]]]
    assert Pad(multiple=8)([np.zeros(9), np.zeros(3)]).shape == (2, 16)
    assert Pad()([[1, 2], [3]]).tolist() == [[1, 2], [3, 0]]
    assert Pad()([torch.ones(1), torch.ones(2)]).tolist() == [[1, 0], [1, 1]]
    with pytest.raises(CollateError, match="1 axes of float64 and of 2 axes"):
        Pad()([np.zeros(1), np.zeros((1, 1))])
    with pytest.raises(CollateError, match="no array of numbers"):
        Pad()([["a"], ["b", "c"]])
    with pytest.raises(ValueError, match="multiple"):
        Pad(multiple=0)


def test_images_of_several_sizes_and_modes() -> None:
    images = [Image.new("RGB", (4, 6)), Image.new("L", (8, 2), 255)]
    with pytest.raises(CollateError, match=r"Images\(size=\(224, 224\)"):
        Images()(images)
    batch = Images(size=(3, 5))(images)
    assert batch.shape == (2, 3, 3, 5)
    assert batch[1].min() == 1
    assert Images(size=(3, 5), mode="L")(images).shape == (2, 1, 3, 5)


def test_what_there_is_not_is_named() -> None:
    with pytest.raises(CollateError, match=r"no column 'tokns'; they have 'tokens'"):
        Columns(tokns=Pad())([{"tokens": np.zeros(1)}])
    with pytest.raises(CollateError, match="Column 'x': list is no array"):
        Columns(x=Pad())([{"x": ["a"]}])
    with pytest.raises(CollateError, match="missing"):
        Columns(x=Pad())([{"x": [1]}, {"x": [1], "y": 2}])


def test_it_is_sent_to_workers() -> None:
    collate = pickle.loads(pickle.dumps(Columns(x=Pad(1), y=Images(), z=Keep())))
    assert collate([{"x": [1], "y": Image.new("L", (1, 1)), "z": "a"}])["z"] == ["a"]
