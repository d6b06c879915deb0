"""The programs that convert images, each on a small input of the shape of the real one."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streaming import LocalDataset
from streaming.core.errors import ChecksumError, ConfigError, InputError
from streaming.vision import StreamingADE20K, StreamingCIFAR10, StreamingCOCO, StreamingImageNet
from streaming.vision.convert import ade20k, cifar10, coco, fake_cifar10, imagenet
from streaming.vision.convert.base import convert_image_class_dataset

from servers import web_server

COMMON = ["--workers", "0", "--progress_bar", "0", "--leave", "0"]


def jpeg(path: Path, value: int) -> bytes:
    """Write an image that JPEG does not keep exactly; return its file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 256, (9, 12, 3), np.uint8)
    Image.fromarray(pixels).save(path, format="JPEG", quality=60)
    return path.read_bytes()


def batches(archive: Path, count: int = 4) -> dict[str, list[tuple[Any, int]]]:
    """Write an archive as CIFAR-10's; return what it holds by split."""
    random = np.random.default_rng(0)
    held: dict[str, list[tuple[Any, int]]] = {"train": [], "val": []}
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
            pixels = random.integers(0, 256, (count, 3072), np.uint8)
            labels = random.integers(0, 10, count).tolist()
            data = pickle.dumps({b"data": pixels, b"labels": labels, b"batch_label": name.encode()}, protocol=2)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
            if name != "batches.meta":
                images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
                held["val" if name == "test_batch" else "train"] += list(zip(images, labels, strict=True))
    return held


def test_cifar10(tmp_path: Path) -> None:
    held = batches(tmp_path / "in/cifar-10-python.tar.gz")
    cifar10.main(["--in_root", str(tmp_path / "in"), "--out_root", str(tmp_path / "out"), *COMMON])
    for split, expected in held.items():
        stored = LocalDataset(str(tmp_path / "out"), split)
        assert sorted(sample["i"] for sample in stored) == list(range(len(expected)))
        assert [sample["i"] for sample in stored] != list(range(len(expected))) or len(expected) < 5
        for sample in stored:
            pixels, label = expected[sample["i"]]
            assert np.array_equal(np.asarray(sample["x"]), pixels)
            assert sample["y"] == label
    image, _ = StreamingCIFAR10(local=str(tmp_path / "out/train"), batch_size=1)[0]
    assert image.shape == (3, 32, 32)
    shard = json.loads((tmp_path / "out/val/index.json").read_text())["shards"][0]
    assert (shard["compression"], sorted(shard["raw_data"]["hashes"])) == (None, ["sha1", "xxh64"])
    assert shard["size_limit"] == 1 << 20


def test_cifar10_is_fetched_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = batches(tmp_path / "cifar-10-python.tar.gz")
    data = (tmp_path / "cifar-10-python.tar.gz").read_bytes()
    with web_server() as server:
        server.objects["kriz/cifar-10-python.tar.gz"] = data
        arguments = ["--in_root", str(tmp_path / "in"), "--out_root", str(tmp_path / "out"), "--splits", "val", *COMMON]
        with pytest.raises(ChecksumError, match="md5"):
            cifar10.main([*arguments, "--source", f"{server.url}/kriz"])
        monkeypatch.setattr(cifar10, "_MD5", hashlib.md5(data).hexdigest())
        cifar10.main([*arguments, "--source", f"{server.url}/kriz"])
    assert len(LocalDataset(str(tmp_path / "out"), "val")) == len(held["val"])
    assert not (tmp_path / "out/train").exists()


class Evil:
    def __reduce__(self) -> Any:
        return eval, ("1/0",)


def test_cifar10_unpickles_arrays_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "test_batch").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ConfigError, match="eval"):
        cifar10.main(["--in_root", str(tmp_path), "--out_root", str(tmp_path / "out"), "--splits", "val", *COMMON])


def test_fake_cifar10(tmp_path: Path) -> None:
    fake_cifar10.main(["--out_root", str(tmp_path), "--num_train", "30", "--num_val", "7", *COMMON])
    assert (len(LocalDataset(str(tmp_path), "train")), len(LocalDataset(str(tmp_path), "val"))) == (30, 7)
    assert LocalDataset(str(tmp_path), "val")[6]["x"].size == (32, 32)


def test_imagenet(tmp_path: Path) -> None:
    files = {
        jpeg(tmp_path / f"in/{split}/{name}/{name}_{i}.JPEG", 10 * label + i): label
        for split in ("train", "val")
        for label, name in enumerate(["n01440764", "n01443537"])
        for i in range(3 if split == "train" else 1)
    }
    (tmp_path / "in/train/n01440764/notes.txt").write_text("none")
    arguments = ["--in_root", str(tmp_path / "in"), "--out_root", str(tmp_path / "out")]
    imagenet.main([*arguments, "--workers", "1"])
    stored = [*LocalDataset(str(tmp_path / "out"), "train"), *LocalDataset(str(tmp_path / "out"), "val")]
    assert len(stored) == 8
    for sample in stored:
        assert files[sample["x"].fp.getvalue()] == sample["y"]  # the very bytes of a file
    assert StreamingImageNet(local=str(tmp_path / "out/train"), batch_size=1)[0][0].size(0) == 3
    with pytest.raises(ConfigError, match=r"no images \(\.png\) in .*--extensions"):
        imagenet.main([*arguments, "--extensions", "png"])
    jpeg(tmp_path / "in/train/n01443537/other.JPG", 1)
    with pytest.warns(UserWarning, match=r"1 images with other endings than \.jpeg are left out, .*other\.JPG"):
        imagenet.main([*arguments, "--out_root", str(tmp_path / "less"), *COMMON])
    jpeg(tmp_path / "in/val/n02/other.JPEG", 1)
    with pytest.raises(ConfigError, match="different classes: n02"):
        imagenet.main(arguments)
    (tmp_path / "in/val/n02/other.JPEG").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"other\.JPEG is no image"):
        imagenet.main([*arguments, "--splits", "val", "--out_root", str(tmp_path / "more"), *COMMON])


def test_ade20k(tmp_path: Path) -> None:
    for split, folder, numbers in (("train", "training", [1, 2, 3020]), ("val", "validation", [1])):
        for number in numbers:
            name = f"ADE_{split}_{number:08}"
            jpeg(tmp_path / f"in/images/{folder}/{name}.jpg", number)
            annotation = tmp_path / f"in/annotations/{folder}/{name}.png"
            annotation.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((9, 12), number % 150, np.uint8)).save(annotation)
    arguments = ["--in_root", str(tmp_path / "in"), "--out_root", str(tmp_path / "out"), *COMMON]
    with pytest.raises(ValueError, match="has 2 images of train, expected 20,206"):
        ade20k.main(arguments)
    ade20k.main([*arguments, "--validate", "0"])
    stored = LocalDataset(str(tmp_path / "out"), "train")
    assert sorted(sample["uid"] for sample in stored) == [b"00000001", b"00000002"]
    for sample in stored:
        assert np.asarray(sample["y"]).max() == int(sample["uid"])
        assert (
            sample["x"].fp.getvalue()
            == (tmp_path / f"in/images/training/ADE_train_{sample['uid'].decode()}.jpg").read_bytes()
        )
    assert len(StreamingADE20K(local=str(tmp_path / "out/val"), batch_size=1)) == 1


def test_coco(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("val", 1)):
        names = [f"{i:012}.jpg" for i in range(count + 1)]
        for i, name in enumerate(names):
            jpeg(tmp_path / f"in/{split}2017/{name}", i)
        annotations = {
            "images": [{"id": 100 + i, "file_name": name, "width": 12, "height": 9} for i, name in enumerate(names)],
            "annotations": [  # the last image has none
                {"image_id": 100 + i, "bbox": [3 * k, 0, 6, 4.5], "category_id": 90 if k else 1}
                for i in range(count)
                for k in range(i + 1)
            ],
            "categories": [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}],
        }
        path = tmp_path / f"in/annotations/instances_{split}2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(annotations))
    arguments = ["--in_root", str(tmp_path / "in"), "--out_root", str(tmp_path / "out"), *COMMON]
    with pytest.raises(ValueError, match="expected 117,266"):
        coco.main(arguments)
    coco.main([*arguments, "--validate", "0"])
    dataset = StreamingCOCO(local=str(tmp_path / "out/train"), batch_size=1)
    samples = sorted((dataset[i] for i in range(3)), key=lambda sample: sample[1])
    assert [sample[1] for sample in samples] == [100, 101, 102]
    _, _, size, boxes, labels = samples[1]
    assert size == (9, 12)
    assert boxes.tolist() == [[0, 0, 0.5, 0.5], [0.25, 0, 0.75, 0.5]]
    assert labels.tolist() == [2, 1]  # in the order of the categories


class Pairs:
    """A map-style data set, as torchvision's are."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, at: int) -> tuple[Any, int]:
        return Image.new("L", (4, 4), at), at % 3


def test_any_map_style_dataset(tmp_path: Path) -> None:
    convert_image_class_dataset(Pairs(), str(tmp_path), "train", "zstd", ["sha1"], encoding="png", progress_bar=False)
    stored = list(LocalDataset(str(tmp_path), "train"))
    assert sorted(sample["i"] for sample in stored) == list(range(20))
    assert all(sample["x"].getpixel((0, 0)) == sample["i"] and sample["y"] == sample["i"] % 3 for sample in stored)
    assert [sample["i"] for sample in stored] != list(range(20))
