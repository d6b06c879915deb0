"""What ``head --json``, ``cat`` and ``stats`` tell of the values of samples."""

from __future__ import annotations

import datetime as dt
import io
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streaming
from streaming import MDSWriter, StreamingDataset
from streaming.cli.main import main

Image = pytest.importorskip("PIL.Image")

COLUMNS = {
    "age": "int32?",
    "blob": "bytes",
    "class": "str",
    "image": "jpeg",
    "pixels": "pil",
    "tokens": "ndarray:uint16",
    "x": "float32",
}


def row(i: int) -> dict[str, Any]:
    """A sample of every kind of value; the JPEG is a file's bytes."""
    pixels = np.full((8 + i % 2, 8, 3), i, np.uint8)
    return {
        "age": None if i % 4 == 0 else i,
        "blob": bytes([i, 255]),
        "class": "cat" if i % 3 else "dog",
        "image": Image.fromarray(pixels),
        "pixels": Image.fromarray(pixels),
        "tokens": np.arange(1 + i, dtype=np.uint16),
        "x": np.float32(np.inf if i == 5 else i / 4),
    }


@pytest.fixture
def path(tmp_path: Path) -> str:
    out = str(tmp_path / "data")
    with MDSWriter(columns=COLUMNS, out=out, size_limit=4000) as writer:
        for i in range(40):
            writer.write(row(i))
    return out


def call(capsysbinary: Any, *args: str) -> tuple[int, bytes, str]:
    code = main(args)
    out, err = capsysbinary.readouterr()
    return code, out, err.decode()


def test_head_json_has_the_values_themselves(path: str, capsysbinary: Any) -> None:
    _, out, _ = call(capsysbinary, "head", "--json", "-n", "2", "--start", "4", path)
    stored = StreamingDataset(local=path, batch_size=1)[4]
    first, _ = map(json.loads, out.splitlines())
    assert (first["age"], first["class"], first["tokens"], first["x"]) == (None, "cat", [0, 1, 2, 3, 4], 1.0)
    assert b64decode(first["blob"]["base64"]) == b"\x04\xff"
    image = first["image"]
    assert (image["format"], image["mode"], image["size"]) == ("JPEG", "RGB", [8, 8])
    assert b64decode(image["base64"]) == stored["image"].fp.getvalue()
    opened = Image.open(io.BytesIO(b64decode(first["pixels"]["base64"])))
    assert opened.tobytes() == stored["pixels"].tobytes()


def test_cat(path: str, tmp_path: Path, capsysbinary: Any) -> None:
    stored = StreamingDataset(local=path, batch_size=1)[39]
    assert call(capsysbinary, "cat", path, "39", "class") == (0, b"dog", "")
    assert call(capsysbinary, "cat", path, "39", "blob")[1] == b"\x27\xff"
    assert call(capsysbinary, "cat", path, "39", "image")[1] == stored["image"].fp.getvalue()
    assert call(capsysbinary, "cat", path, "39", "age")[1] == b"39\n"
    assert call(capsysbinary, "cat", path, "0", "age")[1] == b"null\n"
    assert json.loads(call(capsysbinary, "cat", "--json", path, "2", "tokens")[1]) == [0, 1, 2]
    code, out, err = call(capsysbinary, "cat", path, "39", "tokens", "--out", str(tmp_path / "t.npy"))
    assert (code, out) == (0, b"")
    assert err == f"streaming: wrote 208 B to {tmp_path / 't.npy'}\n"
    assert np.load(tmp_path / "t.npy").tolist() == list(range(40))


def test_cat_of_what_there_is_not(path: str, tmp_path: Path, capsysbinary: Any) -> None:
    code, _, err = call(capsysbinary, "cat", path, "40", "class")
    assert (code, "40 samples, numbered from 0; there is no sample 40." in err) == (2, True)
    code, _, err = call(capsysbinary, "cat", path, "0", "clas")
    assert (code, "Did you mean 'class'?" in err) == (2, True)
    with MDSWriter(columns={"a": "pkl", "b": "int"}, out=str(tmp_path / "pickled")) as writer:
        writer.write({"a": {1}, "b": 2})
    assert call(capsysbinary, "cat", str(tmp_path / "pickled"), "0", "b")[1] == b"2\n"
    code, _, err = call(capsysbinary, "cat", str(tmp_path / "pickled"), "0", "a")
    assert (code, "--allow-unsafe-types" in err) == (2, True)
    assert call(capsysbinary, "cat", str(tmp_path / "pickled"), "0", "a", "--allow-unsafe-types")[1] == b'"{1}"\n'


def test_stats(path: str, capsysbinary: Any) -> None:
    _, out, _ = call(capsysbinary, "stats", "--json", "--all", path)
    facts = json.loads(out)
    columns = facts["columns"]
    assert (facts["samples_read"], facts["shards_read"]) == (40, facts["shards"])
    assert columns["age"]["nulls"] == 10
    assert columns["age"]["numbers"] == {"min": 1, "max": 39, "mean": 20.0}
    assert columns["class"]["classes"] == {"cat": 26, "dog": 14}
    assert columns["blob"]["lengths"] == {"min": 2, "max": 2, "mean": 2.0}
    assert columns["image"]["kinds"] == {"JPEG RGB": 40}
    assert columns["image"]["shapes"] == {"8 x 8": 20, "8 x 9": 20}
    tokens = columns["tokens"]
    assert tokens["lengths"] == {"min": 1, "max": 40, "mean": 20.5}
    assert tokens["total_length"] == 820
    assert tokens["length_histogram"] == {"1": 1, "2-3": 2, "4-7": 4, "8-15": 8, "16-31": 16, "32-63": 9}
    assert tokens["numbers"]["max"] == 39
    assert columns["x"]["not_finite"] == 1
    assert columns["x"]["numbers"]["max"] == 39 / 4
    text = call(capsysbinary, "stats", "--all", path)[1].decode()
    assert "    nulls    10 (25.0%)\n" in text
    assert "    classes  2: cat (26), dog (14)\n" in text
    assert "    lengths  1 to 40, mean 20.5, total 820\n" in text


def test_tensors_times_and_numbers_of_any_size(tmp_path: Path, capsysbinary: Any) -> None:
    torch = pytest.importorskip("torch")
    out = str(tmp_path / "data")
    sample = {
        "bf": torch.tensor([[0, 1 / 3]], dtype=torch.bfloat16),
        "day": dt.date(2020, 2, 29),
        "huge": 10**400,
        "large": 10**30,
        "none": torch.tensor(2, dtype=torch.bfloat16),
        "span": dt.timedelta(hours=1),
    }
    columns = {"bf": "tensor:bfloat16", "day": "date", "huge": "str_int", "large": "str_int"}
    with MDSWriter(columns={**columns, "none": "tensor:bfloat16", "span": "timedelta"}, out=out) as writer:
        writer.write(sample)
    assert json.loads(call(capsysbinary, "head", out, "--json")[1]) == {
        "bf": [[0.0, 0.33398438]], "day": "2020-02-29", "huge": 10**400, "large": 10**30, "none": 2.0, "span": "1:00:00",
    }  # fmt: skip
    shown = call(capsysbinary, "head", out)[1].decode()
    assert "tensor bfloat16 [1, 2]: 0.0, 0.33398438\n  day    2020-02-29\n" in shown
    code, stats, _ = call(capsysbinary, "stats", out, "--json")
    found = json.loads(stats)["columns"]
    assert code == 0
    assert (found["bf"]["kinds"], found["bf"]["shapes"]) == ({"tensor bfloat16": 1}, {"1 x 2": 1})
    assert found["large"]["numbers"]["max"] == 10**30
    assert "numbers" not in found["huge"]


def test_stats_of_a_part(path: str, capsysbinary: Any) -> None:
    _, out, _ = call(capsysbinary, "stats", "--json", "--shards", "2", "--columns", "class", path)
    facts = json.loads(out)
    assert facts["shards_read"] == 2 < facts["shards"]
    assert facts["columns"].keys() == {"class"}
    assert facts["columns"]["class"]["values"] == facts["samples_read"] < 40
    text = call(capsysbinary, "stats", "--shards", "2", path)[1].decode()
    assert f"2 of {facts['shards']} shards, spread evenly; --all reads all:" in text
    code, _, err = call(capsysbinary, "stats", "--columns", "tokns", path)
    assert (code, "Did you mean 'tokens'?" in err) == (2, True)


def test_stats_of_shards_with_different_columns_and_of_none(tmp_path: Path, capsysbinary: Any) -> None:
    shards: list[dict[str, Any]] = []
    for name, sample in (("0", {"a": 1, "b": "x"}), ("1", {"a": 2})):
        streaming.write([sample], str(tmp_path / "root" / name), workers=0)
        (shard,) = json.loads((tmp_path / "root" / name / "index.json").read_text())["shards"]
        shard["raw_data"]["basename"] = f"{name}/{shard['raw_data']['basename']}"
        shards.append(shard)
    (tmp_path / "root/index.json").write_text(json.dumps({"shards": shards, "version": 2}))
    streaming.write(iter([]), str(tmp_path / "none"), columns={"a": "int"}, workers=0)
    columns = json.loads(call(capsysbinary, "stats", "--json", str(tmp_path / "root"))[1])["columns"]
    assert (columns["a"]["values"], columns["b"]["values"]) == (2, 1)
    assert call(capsysbinary, "stats", str(tmp_path / "none"))[0] == 0


@pytest.mark.parametrize("hashes", [[], ["xxh64"]])
def test_verify_says_to_programs_what_it_rests_on(tmp_path: Path, hashes: list[str], capsysbinary: Any) -> None:
    streaming.write([{"a": 1}], str(tmp_path / "data"), hashes=hashes, workers=0)
    facts = json.loads(call(capsysbinary, "verify", "--json", str(tmp_path / "data"))[1])
    assert (facts["ok"], facts["hashed_shards"], facts["decoded"]) == (True, len(hashes), False)
