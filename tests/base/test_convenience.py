"""Datasets for particular corpora. None of them needs torchvision; transformers only where text is tokenized."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.multimodal import StreamingInsideWebVid, StreamingOutsideDTWebVid, StreamingOutsideGIWebVid
from streaming.text import StreamingC4, StreamingEnWiki, StreamingPile
from streaming.vision import StreamingADE20K, StreamingCIFAR10, StreamingCOCO, StreamingImageNet
from streaming.vision.base import StandardTransform, to_tensor

Image = pytest.importorskip("PIL.Image")


def write(out: Path, columns: dict[str, str], samples: list[dict[str, Any]]) -> str:
    with MDSWriter(columns=columns, out=str(out)) as writer:
        for each in samples:
            writer.write(each)
    return str(out)


def image(mode: str = "RGB", size: int = 4) -> Any:
    pixels = np.arange(size * size * 3, dtype=np.uint8).reshape(size, size, 3)
    return Image.fromarray(pixels).convert(mode)


def test_importing_them_brings_neither_torchvision_nor_transformers() -> None:
    code = (
        "import sys, streaming.text, streaming.vision, streaming.multimodal; "
        "print([m for m in ('torchvision', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", [StreamingCIFAR10, StreamingImageNet])
def test_images_with_labels(tmp_path: Path, kind: Any) -> None:
    local = write(tmp_path, {"x": "pil", "y": "int"}, [{"x": image(), "y": i} for i in range(6)])
    dataset = kind(local=local, batch_size=2, num_canonical_nodes=1)
    x, y = dataset[3]
    assert (x.dtype, tuple(x.shape), y) == (torch.float32, (3, 4, 4), 3)
    assert torch.equal(x, torch.from_numpy(np.array(image())).permute(2, 0, 1) / 255)
    assert isinstance(dataset, StreamingDataset)
    assert (dataset.shuffle_algo, dataset.partition_algo, dataset.shuffle_block_size) == ("py1s", "orig", 1 << 18)
    batches = list(StreamingDataLoader(dataset, batch_size=2))
    assert [tuple(x.shape) for x, _ in batches] == [(2, 3, 4, 4)] * 3
    assert [y.tolist() for _, y in batches] == [[0, 1], [2, 3], [4, 5]]
    own = kind(
        local=local, batch_size=2, num_canonical_nodes=1, transform=lambda x: x.size, target_transform=lambda y: -y
    )
    assert own[3] == ((4, 4), -3)
    both = kind(local=local, batch_size=2, num_canonical_nodes=1, transforms=lambda x, y: (y, y))
    assert both[3] == (3, 3)
    with pytest.raises(ValueError, match="transforms"):
        kind(local=local, batch_size=2, num_canonical_nodes=1, transforms=lambda x, y: (y, y), transform=abs)
    with pytest.raises(TypeError, match="batch_size"):
        kind(local=local)
    with pytest.raises(TypeError, match="nonsense"):
        kind(local=local, batch_size=2, nonsense=1)


def test_to_tensor() -> None:
    assert to_tensor(image("L")).shape == (1, 4, 4)
    assert to_tensor(Image.new("1", (4, 4), 1)).tolist() == [[[1.0] * 4] * 4]
    assert to_tensor(image("F")).dtype == torch.float32
    assert to_tensor(image("F")).max() > 1
    assert to_tensor(np.ones((2, 3, 1), np.float64)).dtype == torch.float64
    assert StandardTransform()(image(), 1)[1] == 1


def test_ade20k(tmp_path: Path) -> None:
    local = write(tmp_path, {"x": "png", "y": "png"}, [{"x": image(), "y": image("L")}])
    assert [each.mode for each in StreamingADE20K(local=local)[0]] == ["RGB", "L"]
    dataset = StreamingADE20K(
        local=local, joint_transform=lambda xy: xy[::-1], transform=lambda x: x.mode, target_transform=lambda y: y.size
    )
    assert dataset[0] == ("L", (4, 4))


def test_coco(tmp_path: Path) -> None:
    columns = {
        "img": "png",
        "img_id": "int",
        "htot": "int",
        "wtot": "int",
        "bbox_sizes": "ndarray:float32",
        "bbox_labels": "ndarray:int64",
    }
    sizes, labels = np.ones((2, 4), np.float32), np.array([5, 6])
    values = {"img_id": 3, "htot": 4, "wtot": 5, "bbox_sizes": sizes, "bbox_labels": labels}
    local = write(tmp_path, columns, [{"img": image("L"), **values}])
    picture, image_id, size, boxes, found = StreamingCOCO(local=local)[0]
    assert (picture.mode, image_id, size) == ("RGB", 3, (4, 5))
    assert np.array_equal(boxes, sizes)
    assert np.array_equal(found, labels)
    transformed = StreamingCOCO(local=local, transform=lambda i, s, b, n: (i.mode, s, len(b), n.tolist()))
    assert transformed[0] == ("RGB", 3, (4, 5), 2, [5, 6])


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    """Directory of a tokenizer of a few words, without a padding token."""
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"<eos>": 0, "<unk>": 1, "a": 2, "b": 3}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>", unk_token="<unk>").save_pretrained(
        tmp_path / "tok"
    )
    return str(tmp_path / "tok")


@pytest.mark.parametrize("kind", [StreamingC4, StreamingPile])
def test_tokenized_text(tmp_path: Path, tokenizer: str, kind: Any) -> None:
    local = write(tmp_path / "d", {"text": "str"}, [{"text": "a b a"}, {"text": "b " * 9}])
    arguments: dict[str, Any] = {"tokenizer_name": tokenizer, "max_seq_len": 5, "group_method": "truncate"}
    dataset = kind(local=local, batch_size=2, **arguments)
    assert dataset[0]["input_ids"] == [2, 3, 2, 0, 0]
    assert dataset[0]["attention_mask"] == [1, 1, 1, 0, 0]
    assert dataset[1]["input_ids"] == [3] * 5
    with pytest.raises(ValueError, match="group_method"):
        kind(local=local, **{**arguments, "group_method": "concat"})
    with pytest.raises(TypeError, match="max_seq_len"):
        kind(local=local, tokenizer_name=tokenizer, group_method="truncate")


def test_enwiki(tmp_path: Path) -> None:
    stored = {
        "input_ids": np.array([10, 11, 12, 13], np.int32),
        "input_mask": np.array([1, 1, 1, 0], np.int32),
        "segment_ids": np.array([0, 0, 1, 1], np.int32),
        "masked_lm_positions": np.array([1, 3], np.int32),
        "masked_lm_ids": np.array([7, 9], np.int32),
        "masked_lm_weights": np.ones(2, np.float32),
        "next_sentence_labels": np.zeros(1, np.int32),
    }
    values = {name: value.tobytes() for name, value in stored.items()}
    sample = StreamingEnWiki(local=write(tmp_path / "a", dict.fromkeys(stored, "bytes"), [values]))[0]
    assert sample["input_ids"].tolist() == [10, 11, 12, 13]
    assert sample["token_type_ids"].tolist() == [0, 0, 1, 1]
    assert sample["attention_mask"].tolist() == [1, 1, 1, 0]
    assert sample["labels"].tolist() == [-100, 7, -100, 9]
    assert sample["labels"].dtype == np.int64
    columns = {**dict.fromkeys(stored, "bytes"), "other": "bytes"}
    with pytest.raises(KeyError, match="other"):
        StreamingEnWiki(local=write(tmp_path / "b", columns, [{**values, "other": b""}]))[0]


@pytest.mark.parametrize("kind", [StreamingOutsideGIWebVid, StreamingOutsideDTWebVid])
def test_videos_beside_the_shards(tmp_path: Path, kind: Any) -> None:
    paths = [{"content_path": f"000/{i}.mp4"} for i in range(4)]
    local = write(tmp_path / "d", {"content_path": "str"}, paths)
    videos = tmp_path / "videos" / "000"
    videos.mkdir(parents=True)
    for i in range(3):
        (videos / f"{i}.mp4").write_bytes(b"video %d" % i)
    assert kind(local=local)[0] == paths[0]
    dataset = kind(
        local=local,
        batch_size=1,
        extra_local=str(tmp_path / "here"),
        extra_remote=str(tmp_path / "videos"),
        download_retry=0,
    )
    assert dataset[1] == {**paths[1], "content": b"video 1"}
    assert [path.name for path in (tmp_path / "here" / "000").iterdir()] == ["1.mp4"]
    (videos / "1.mp4").unlink()
    assert dataset[1]["content"] == b"video 1"
    with pytest.raises(FileNotFoundError, match="3.mp4"):
        dataset[3]
    with pytest.raises(ValueError, match="extra_remote"):
        kind(local=local, extra_local="x")


def test_a_video_cannot_lead_out_of_its_directory(tmp_path: Path) -> None:
    local = write(tmp_path / "d", {"content_path": "str"}, [{"content_path": "../secret"}])
    dataset = StreamingOutsideGIWebVid(
        local=local, extra_local=str(tmp_path / "a" / "b"), extra_remote=str(tmp_path / "a")
    )
    (tmp_path / "secret").write_text("x")
    with pytest.raises(ValueError, match="secret"):
        dataset[0]


def test_videos_in_the_shards(tmp_path: Path) -> None:
    local = write(tmp_path, {"content": "bytes"}, [{"content": b"video"}])
    assert StreamingInsideWebVid(local=local)[0] == {"content": b"video"}
