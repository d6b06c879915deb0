"""The programs that convert text and videos, each on a small input of the shape of the real one."""

from __future__ import annotations

import gzip
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard

from streaming import LocalDataset
from streaming.core.errors import ConfigError, InputError
from streaming.multimodal import StreamingInsideWebVid, StreamingOutsideGIWebVid
from streaming.multimodal.convert.laion.laion400m import convert_and_upload
from streaming.multimodal.convert.webvid import crawl_webvid, crawl_webvid_subsets, extract_webvid_videos
from streaming.text.convert import c4, enwiki_text, pile

from hubs import hub_server
from servers import web_server

COMMON = ["--workers", "0", "--progress_bar", "0"]


def shard_of(path: Path) -> dict[str, Any]:
    return json.loads((path / "index.json").read_text())["shards"][0]


def test_c4_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: dict[str, list[dict[str, str]]] = {}
    with hub_server() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.repos.add("datasets/allenai/c4")
        for split, theirs in (("train", "train"), ("val", "validation")):
            held[split] = [
                {"text": f"{split} {i}\nmore", "timestamp": f"2019-04-25T12:57:{i:02}Z", "url": f"http://a/{i}"}
                for i in range(6)
            ]
            for part in range(2):
                lines = "".join(json.dumps(row) + "\n" for row in held[split][3 * part : 3 * part + 3])
                name = f"c4-{theirs}.{part:05}-of-00002.json.gz"
                hub.files[f"datasets/allenai/c4@main/en/{name}"] = gzip.compress(lines.encode())
                hub.files[f"datasets/allenai/c4@main/en.noblocklist/{name}"] = b"not this"
        c4.main(["--out_root", str(tmp_path), *COMMON])
    for split, documents in held.items():
        assert list(LocalDataset(str(tmp_path), split)) == documents
    shard = shard_of(tmp_path / "train")
    assert (shard["compression"], shard["size_limit"]) == ("zstd:7", 1 << 27)


def test_pile(tmp_path: Path) -> None:
    held: dict[str, list[dict[str, str]]] = {"train": [], "val": [], "test": []}
    for name in ("train/00", "train/01", "val", "test"):
        lines = [{"text": f"{name} {i} ä", "meta": {"pile_set_name": "Pile-CC"}} for i in range(4)]
        held[name.split("/")[0]] += [{"text": line["text"], "pile_set_name": "Pile-CC"} for line in lines]
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        path = tmp_path / f"in/{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "train/01":
            Path(f"{path}.zst").write_bytes(zstandard.compress(data))
        else:
            path.write_bytes(data)
    pile.main(["--in_root", str(tmp_path / "in"), "--out_root", str(tmp_path / "out"), *COMMON])
    for split, documents in held.items():
        assert list(LocalDataset(str(tmp_path / "out"), split)) == documents
    assert shard_of(tmp_path / "out/test")["compression"] == "zstd:16"
    (tmp_path / "in/train/02.jsonl").write_text('{"text": "a", "meta": {"pile_set_name": "b"}}\n{"text": 1}\n')
    with pytest.raises(InputError, match=r"02\.jsonl, row 1: \{'text': 1\}: .*KeyError: 'meta'"):
        pile.main(["--in_root", str(tmp_path / "in"), "--out_root", str(tmp_path / "more"), *COMMON])


def test_enwiki_text(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"part-{i:05}-of-00003").write_text(f"  line {i} a\n\nline {i} b  \n")
    (tmp_path / "eval.txt").write_text("\nthe last\n")
    enwiki_text.main(["--in_root", str(tmp_path), "--out_root", str(tmp_path / "out"), *COMMON])
    texts = [sample["text"] for sample in LocalDataset(str(tmp_path / "out"), "train")]
    assert texts == [f"line {i} {letter}" for i in range(3) for letter in "ab"]
    assert list(LocalDataset(str(tmp_path / "out"), "val")) == [{"text": "the last"}]
    (tmp_path / "part-00001-of-00003").unlink()
    with pytest.raises(ConfigError, match="has 2 files part-NNNNN-of-NNNNN, expected 3"):
        enwiki_text.main(["--in_root", str(tmp_path), "--out_root", str(tmp_path / "more"), *COMMON])


def test_webvid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with web_server() as server:
        rows = ["videoid,contentUrl,duration,page_dir,name"]
        for i, name in enumerate(["a cat sleeps", "a dog and a cat", "the moon"]):
            server.objects[f"v/{i}.mp4"] = f"frames {i}".encode()
            rows.append(f"{i},{server.url}/v/{i}.mp4,PT00H01M{i:02}S,dir,{name}")
        rows.insert(2, f"9,{server.url}/v/none.mp4,PT00H00M30S,dir,gone")
        table = tmp_path / "webvid.csv"
        table.write_text("\n".join(rows) + "\n")
        crawl_webvid.main(["--in", str(table), "--out_root", str(tmp_path / "all"), "--num_procs", "3"])
        assert "1 videos could not be fetched, such as" in capsys.readouterr().out
        crawl_webvid_subsets.main(["--csv", str(table), "--mds_root", str(tmp_path / "parts"), "--filters", "cat,dog"])
    stored = list(StreamingInsideWebVid(local=str(tmp_path / "all"), batch_size=1))
    assert [(sample["videoid"], sample["duration"]) for sample in stored] == [("0", 60), ("1", 61), ("2", 62)]
    assert [sample["content"] for sample in stored] == [b"frames 0", b"frames 1", b"frames 2"]
    assert (len(LocalDataset(str(tmp_path / "parts/cat"))), len(LocalDataset(str(tmp_path / "parts/dog")))) == (2, 1)
    out = ["--out_mds", str(tmp_path / "mds"), "--out_mp4", str(tmp_path / "mp4")]
    extract_webvid_videos.main(["--in", str(tmp_path / "all"), *out])
    assert (tmp_path / "mp4/000/002.mp4").read_bytes() == b"frames 2"
    assert "content" not in LocalDataset(str(tmp_path / "mds"))[0]
    videos = StreamingOutsideGIWebVid(
        local=str(tmp_path / "mds"),
        extra_local=str(tmp_path / "cache"),
        extra_remote=str(tmp_path / "mp4"),
        batch_size=1,
    )
    assert videos[1]["content"] == b"frames 1"


def test_laion_while_it_is_fetched(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    local = tmp_path / "local"
    local.mkdir()

    def fetch(number: int) -> None:
        rows = [
            {"key": f"{number:05}{i}", "status": "success" if i else "failed_to_download", "width": 4 if i else None,
             "similarity": None if i == 2 else 0.5, "caption": f"picture {i}", "jpg": b"\xff\xd8" if i else None}
            for i in range(4)
        ]  # fmt: skip
        schema = arrow.schema(
            [("key", arrow.string()), ("status", arrow.string()), ("width", arrow.int32()),
             ("similarity", arrow.float64()), ("caption", arrow.string()), ("jpg", arrow.binary())]
        )  # fmt: skip
        parquet.write_table(arrow.Table.from_pylist(rows, schema), local / f"{number:05}.parquet")
        (local / f"{number:05}_stats.json").write_text("{}")

    fetch(0)
    (local / "00001.parquet").write_bytes(b"half a file")
    arguments = ["--local", str(local), "--remote", str(tmp_path / "remote"), "--poll_interval", "0.05"]
    program = threading.Thread(
        target=convert_and_upload.main, args=([*arguments, "--keep_parquet", "0", "--keep_mds", "0"],)
    )
    program.start()
    deadline = time.monotonic() + 60
    while not (local / "00000.done").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    fetch(1)
    (local / "done").touch()
    program.join(60)
    assert not program.is_alive()
    assert not (local / "00000.parquet").exists()
    stored = list(LocalDataset(str(tmp_path / "remote")))
    assert [sample["key"] for sample in stored] == ["000001", "000002", "000003", "000011", "000012", "000013"]
    assert stored[0]["jpg"] == b"\xff\xd8"
    assert stored[1]["similarity"] != stored[1]["similarity"]
    assert len(json.loads((tmp_path / "remote/index.json").read_text())["shards"]) == 2
    convert_and_upload.main(arguments)  # again: nothing is left to do
    assert len(LocalDataset(str(tmp_path / "remote"))) == 6
