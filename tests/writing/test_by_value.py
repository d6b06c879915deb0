"""What is stored is the sample as it was when it was handed over, whatever becomes of its parts."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import streaming
from streaming import CSVWriter, JSONWriter, LocalDataset, MDSWriter

COLUMNS = {
    "array": "ndarray:int32",
    "fixed": "ndarray:float32:4",
    "nested": "json",
    "object": "pkl",
    "image": "png",
    "images": "list[png]",
    "photo": "jpeg",
    "number": "int",
    "text": "str",
}
JPEG = {"photo"}


class Hands:
    """A caller with one of each, which it changes and hands over again and again."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.path = str(folder / "photo.jpg")
        self.row: dict[str, Any] = {
            "array": np.zeros(6, np.int32),
            "fixed": np.zeros(4, np.float32),
            "nested": {"list": [0], "deep": {"text": ""}},
            "object": [bytearray(b"0"), np.zeros(2)],
            "image": Image.new("RGB", (4, 4)),
            "images": [Image.new("L", (3, 3)) for _ in range(2)],
            "number": 0,
            "text": "",
        }
        self.take_photo()

    def take_photo(self) -> None:
        """Write the file anew, in place or by another, and open it, loaded or not."""
        level = self.random.randrange(256)
        path = self.path + ".new" if self.random.random() < 0.5 else self.path
        Image.new("RGB", (24, 16), (level, 255 - level, 7)).save(path, format="JPEG", quality=95)
        os.replace(path, self.path)
        if "photo" in self.row:
            self.row["photo"].close()
        self.row["photo"] = Image.open(self.path)
        if self.random.random() < 0.5:
            self.row["photo"].load()

    def change(self) -> None:
        """Do something to what was handed over."""
        row, number = self.row, self.random.randrange(256)
        actions: list[Callable[[], Any]] = [
            lambda: row["array"].fill(number),
            lambda: row["array"][2:4].__iadd__(number),
            lambda: row["fixed"].fill(number),
            lambda: row["nested"]["list"].append(number),
            lambda: row["nested"]["deep"].update(text=str(number)),
            lambda: row["nested"].update({str(number): [number]}),
            lambda: row["object"][0].extend(b"x"),
            lambda: row["object"][1].fill(number),
            lambda: row["image"].putpixel((1, 2), (number, 0, 0)),
            lambda: row["image"].paste((number,) * 3, (0, 0, 2, 2)),
            lambda: row["images"].append(Image.new("L", (1, 1), number)),
            lambda: row["images"][0].putpixel((0, 0), number),
            lambda: ImageDraw.Draw(row["photo"]).rectangle((0, 0, 9, 9), fill=(number, 9, 9)),
            lambda: row["photo"].paste((number, 1, 2), (3, 3, 20, 12)),
            lambda: row["photo"].thumbnail((12, 12)),
            lambda: row["photo"].load().__setitem__((0, 0), (number, 3, 4)),
            lambda: row.update(number=number, text=f"text {number}"),
            self.take_photo,
        ]
        self.random.choice(actions)()

    def seen(self) -> dict[str, Any]:
        """Return what the row shows at this moment."""
        row = self.row
        photo = row["photo"]
        if photo.tile:  # not loaded, and looking would load it
            with Image.open(self.path) as same:
                photo = same.copy()
        return {
            "array": row["array"].tolist(),
            "fixed": row["fixed"].tolist(),
            "nested": repr(row["nested"]),
            "object": repr(row["object"]),
            "image": row["image"].tobytes(),
            "images": [image.tobytes() for image in row["images"]],
            "photo": np.asarray(photo),
            "number": row["number"],
            "text": row["text"],
        }

    def rows(self, count: int, shown: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield one dict again and again, and change its parts in between."""
        for _ in range(count):
            for _ in range(self.random.randrange(4)):
                self.change()
            shown.append(self.seen())
            yield self.row
        self.row["photo"].close()


def check(out: str, shown: list[dict[str, Any]]) -> None:
    data = LocalDataset(out, allow_unsafe_types=True)
    assert data.size == len(shown)
    for i, want in enumerate(shown):
        sample = data[i]
        got = {
            "array": sample["array"].tolist(),
            "fixed": sample["fixed"].tolist(),
            "nested": repr(sample["nested"]),
            "object": repr(sample["object"]),
            "image": sample["image"].tobytes(),
            "images": [image.tobytes() for image in sample["images"]],
            "number": sample["number"],
            "text": sample["text"],
        }
        assert got == {name: value for name, value in want.items() if name not in JPEG}, i
        photo = np.asarray(sample["photo"]).astype(int)
        assert photo.shape == want["photo"].shape, i
        # Encoding again costs some of it; another picture would differ by more.
        assert abs(photo - want["photo"]).mean() < 25, i


@pytest.mark.parametrize("seed", range(3))
def test_a_writer_keeps_what_was_handed_over(tmp_path: Path, seed: int) -> None:
    shown: list[dict[str, Any]] = []
    with MDSWriter(columns=COLUMNS, out=str(tmp_path / "out"), size_limit=5000) as writer:
        for row in Hands(seed, tmp_path).rows(60, shown):
            writer.write(row)
    check(str(tmp_path / "out"), shown)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("seed", range(2))
def test_write_keeps_what_was_handed_over(tmp_path: Path, seed: int, workers: int) -> None:
    shown: list[dict[str, Any]] = []
    rows = Hands(seed, tmp_path).rows(80, shown)
    streaming.write(rows, str(tmp_path / "out"), COLUMNS, workers=workers, size_limit=9000, progress_bar=False)
    check(str(tmp_path / "out"), shown)


@pytest.mark.parametrize("workers", [0, 2])
def test_columns_are_inferred_from_rows_as_they_came(tmp_path: Path, workers: int) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {"array": np.zeros(3, np.int16), "nested": [0], "image": Image.new("RGB", (2, 2))}
        for number in range(50):
            row["array"][:] = number
            row["nested"][0] = number
            row["image"].putpixel((0, 0), (number, 0, 0))
            row["either"] = number if number == 3 else float(number)
            yield row

    out = str(tmp_path / "out")
    report = streaming.write(rows(), out, workers=workers, progress_bar=False)
    assert report.columns["either"] == "float64"
    data = LocalDataset(out)
    for number in range(50):
        sample = data[number]
        found = [sample["array"][0], sample["nested"][0], sample["image"].getpixel((0, 0))[0], sample["either"]]
        assert found == [number] * 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1: "a"}, r"its values hold a key that is no text \(1\), which JSON cannot"),
        ([{"a": {None: 1}}], "row 2: JSON would make text of the key None"),
        ({"a": [{0: 1}]}, "row 2: JSON would make text of the key 0"),
        ({"a": {1, 2}}, "its values hold set, which JSON cannot"),
        ([{"b": b"bytes"}], "its values hold bytes, which JSON cannot"),
    ],
)
def test_what_json_cannot_hold_is_not_inferred(tmp_path: Path, value: Any, text: str) -> None:
    rows = [{"x": {"a": 1}}, {"x": {"a": 2}}, {"x": value}]
    with pytest.raises(ValueError, match=f"olumn 'x'.*{text}"):
        streaming.write(rows, str(tmp_path / "out"), progress_bar=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("writer", [JSONWriter, CSVWriter])
def test_lines_are_those_of_the_moment(tmp_path: Path, writer: Any) -> None:
    row: dict[str, Any] = {}
    with writer(columns={"number": "int", "text": "str"}, out=str(tmp_path / "out")) as out:
        for number in range(100):
            row.update(number=number, text=f"row {number}")
            out.write(row)
    data = LocalDataset(str(tmp_path / "out"))
    assert [data[i] for i in range(100)] == [{"number": i, "text": f"row {i}"} for i in range(100)]


def test_an_encoding_that_gives_out_its_own_buffer(tmp_path: Path) -> None:
    class Lent:
        size = 4
        buffer = bytearray(4)

        def encode(self, obj: int) -> bytes:
            self.buffer[:] = obj.to_bytes(4, "little")
            return self.buffer  # pyright: ignore[reportReturnType]

        def decode(self, data: bytes) -> int:
            return int.from_bytes(data, "little")

    from streaming.format.encodings import encodings

    encodings["lent"] = Lent
    try:
        with MDSWriter(columns={"x": "lent"}, out=str(tmp_path / "plain")) as writer:
            for number in range(20):
                writer.write({"x": number})
        streaming.write(({"x": i} for i in range(20)), str(tmp_path / "bulk"), {"x": "lent"}, workers=0)
        for name in ("plain", "bulk"):
            data = LocalDataset(str(tmp_path / name))
            assert [data[i]["x"] for i in range(20)] == list(range(20))
    finally:
        del encodings["lent"]


class TestPhotographs:
    """Images opened from JPEG files: kept byte for byte while they are what they were."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        path = str(tmp_path / "photo.jpg")
        noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
        Image.fromarray(noise).save(path, quality=90)
        return path

    def stored(self, image: Any, out: Path) -> Any:
        with image, MDSWriter(columns={"image": "jpeg"}, out=str(out)) as writer:
            writer.write({"image": image})
        return LocalDataset(str(out))[0]["image"]

    @pytest.mark.parametrize("loaded", [False, True])
    def test_untouched(self, path: str, tmp_path: Path, loaded: bool) -> None:
        image = Image.open(path)
        if loaded:
            image.load()
        assert self.stored(image, tmp_path / "out").fp.getvalue() == Path(path).read_bytes()

    def test_the_file_that_it_has_open_is_its_own(self, path: str, tmp_path: Path) -> None:
        image, before = Image.open(path), Path(path).read_bytes()
        Image.new("RGB", (80, 60)).save(path + ".new", format="JPEG")
        os.replace(path + ".new", path)
        assert self.stored(image, tmp_path / "out").fp.getvalue() == before

    def test_a_file_that_is_gone_or_another(self, path: str, tmp_path: Path) -> None:
        image = Image.open(path)
        image.load()
        want = np.asarray(image).astype(int)
        Image.new("RGB", (80, 60)).save(path)
        assert abs(np.asarray(self.stored(image, tmp_path / "other")) - want).mean() < 40
        os.unlink(path)
        assert abs(np.asarray(self.stored(image, tmp_path / "gone")) - want).mean() < 40

    @pytest.mark.parametrize(
        "change",
        [
            lambda image: image.draft("L", (20, 20)),
            lambda image: image.putpixel((0, 0), (1, 2, 3)),
            lambda image: image.load().__setitem__((5, 5), (1, 2, 3)),
            lambda image: image.thumbnail((30, 30)),
            lambda image: image.paste((9, 9, 9), (1, 1, 9, 9)),
        ],
    )
    def test_changed(self, path: str, tmp_path: Path, change: Callable[[Any], Any]) -> None:
        image = Image.open(path)
        change(image)
        shown = image.size, image.mode
        got = self.stored(image, tmp_path / "out")
        assert got.fp.getvalue() != Path(path).read_bytes()
        assert (got.size, got.mode) == shown


@pytest.mark.parametrize("workers", [0, 2])
def test_a_filled_row_is_continued(tmp_path: Path, workers: int) -> None:
    """The comparison with finished shards looks at each row when it comes, too."""

    def rows(stop: int | None) -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {"x": [0]}
        for number in range(60):
            if number == stop:
                raise KeyError("stop")
            row["x"][0] = number
            yield row

    arguments: dict[str, Any] = {"columns": {"x": "json"}, "workers": workers, "size_limit": 300}
    with pytest.raises(KeyError, match="stop"):
        streaming.write(rows(50), str(tmp_path / "out"), **arguments)
    report = streaming.write(rows(None), str(tmp_path / "out"), **arguments)
    assert report.resumed_samples > 0
    data = LocalDataset(str(tmp_path / "out"))
    assert [data[i]["x"] for i in range(60)] == [[i] for i in range(60)]
