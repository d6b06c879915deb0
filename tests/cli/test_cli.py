"""The command line on good and bad input."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streaming
from streaming import LocalDataset, MDSWriter, StreamingDataset
from streaming.cli.main import main

from sample_data import sample, write_dataset

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; return its exit code and what it printed."""

    def call(*args: str) -> tuple[int, str, str]:
        try:
            code = main(args)
        except SystemExit as error:
            code = int(error.code or 0)
        return code, *capsys.readouterr()

    return call


def process(*args: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streaming.cli", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **kwargs)


def test_help_is_light() -> None:
    heavy = ["torch", "numpy", "obstore", "tqdm", "asyncio"]
    code = (
        "import sys\nfrom streaming.cli.main import main\n"
        "try: main(['verify', '--help'])\n"
        f"except SystemExit: print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--decode" in done.stdout


def test_info_needs_no_torch(make_dataset: Callable[..., str]) -> None:
    code = "import sys\nfrom streaming.cli.main import main\nmain(['info', sys.argv[1]])\nprint('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, make_dataset()], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"streaming {streaming.__version__}\n", "")


def test_info(run: Run, make_dataset: Callable[..., str]) -> None:
    path = make_dataset(300, compression="zstd")
    code, out, err = run("info", path)
    assert (code, err) == (0, "")
    assert "samples    300" in out
    assert "compression zstd; hashes xxh64; size limit 3.42 KiB" in out
    facts = json.loads(run("info", "--json", f"{path}/index.json")[1])
    stored = sum(os.path.getsize(f"{path}/{name}") for name in os.listdir(path) if name != "index.json")
    assert facts["samples"] == 300
    assert facts["stored_bytes"] == stored < facts["raw_bytes"]
    assert facts["schemas"][0]["columns"] == {"id": "int", "text": "str"}


def test_info_of_an_empty_dataset(run: Run, tmp_path: Path) -> None:
    write_dataset(str(tmp_path / "data"), 0)
    code, out, _ = run("info", str(tmp_path / "data"))
    assert code == 0
    assert "shards   0" in out
    assert run("head", str(tmp_path / "data")) == (0, "", "")
    assert run("verify", str(tmp_path / "data"))[0] == 0


@pytest.mark.parametrize(("start", "count"), [(0, 5), (95, 20), (298, 10), (1000, 5), (0, 0)])
def test_head(run: Run, make_dataset: Callable[..., str], start: int, count: int) -> None:
    path = make_dataset(300, compression="gz")
    _, out, _ = run("head", "--json", "-n", str(count), "--start", str(start), path)
    assert [json.loads(line) for line in out.splitlines()] == [sample(i) for i in range(300)[start : start + count]]


def test_head_beyond_the_end_says_so(run: Run, make_dataset: Callable[..., str]) -> None:
    path = make_dataset(300)
    assert run("head", path, "--start", "300") == (
        0, "", f"streaming: {path} has 300 samples; there is none from number 300 on.\n"
    )  # fmt: skip


@pytest.mark.parametrize("name", [
    "bench", "cat", "completion", "copy", "doctor", "head", "index", "info", "ls", "merge", "stats", "verify", "view",
    "view make",
])  # fmt: skip
def test_help_has_examples_and_fits(run: Run, name: str) -> None:
    code, out, _ = run(*name.split(), "--help")
    assert code == 0
    assert f"\nexamples:\n  streaming {name} " in out
    assert max(map(len, out.splitlines())) <= 90


def test_head_summarises(run: Run, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image").new("RGB", (30, 20))
    row = {
        "array": np.arange(1000),
        "bytes": b"\0" * 500,
        "float": np.float32(0.5),
        "image": image,
        "json": {"list": list(range(500))},
        "text": "long " * 1000,
    }
    streaming.write([row], str(tmp_path / "data"), workers=0)
    code, out, _ = run("head", str(tmp_path / "data"))
    assert code == 0
    assert "array int64 [1000]: 0, 1, 2, 3, 4, 5, 6, 7, ..." in out
    assert "(500 bytes)" in out
    assert "PNG RGB 30 x 20" in out
    assert "(5,000 characters)" in out
    assert max(map(len, out.splitlines())) < 150
    shown = json.loads(run("head", "--json", str(tmp_path / "data"))[1])
    assert shown["float"] == 0.5
    assert shown["json"] == row["json"]
    assert shown["image"].pop("base64")
    assert shown["image"] == {"format": "PNG", "mode": "RGB", "size": [30, 20]}


def test_head_of_nulls_truths_and_numbers(run: Run, tmp_path: Path) -> None:
    columns = {
        "age": "int32?",
        "array": "ndarray:float32",
        "no": "bool",
        "ok": "bool?",
        "small": "uint8",
        "x": "float32",
    }
    with MDSWriter(columns=columns, out=str(tmp_path)) as out:
        array = np.array([[0.1, np.inf]], np.float32)
        out.write({"age": None, "array": array, "no": False, "ok": True, "small": np.uint8(0), "x": np.float32(0.1)})
    code, text, _ = run("head", str(tmp_path))
    assert code == 0
    shown = dict(line.split(maxsplit=1) for line in text.splitlines()[1:])
    assert shown == {
        "age": "None", "array": "array float32 [1, 2]: 0.1, inf", "no": "False", "ok": "True", "small": "0", "x": "0.1"
    }  # fmt: skip
    assert json.loads(run("head", "--json", str(tmp_path))[1]) == {
        "age": None, "array": [[0.1, "inf"]], "no": False, "ok": True, "small": 0, "x": 0.1
    }  # fmt: skip


def test_a_mistyped_command(run: Run) -> None:
    code, _, err = run("hed", "x")
    assert code == 2
    assert "Did you mean 'head'?" in err
    assert "Did you mean" not in run("zzzz", "x")[2]


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("convert a b --workers 3", "--jobs"),
        ("convert a b --worker=3", "--jobs"),
        ("export a b --num_workers 3", "--jobs"),
        ("convert a b --size_limit 3", "--size-limit"),
        ("convert a b --exist-ok", "--force"),
        ("copy a b --overwrite", "--force"),
        ("plan x --nodse 3", "--nodes"),
        ("plan x --num-workers 3", "--workers"),
        ("plan x --gpus 8", "--ranks"),
        ("index x --version 8", "--at"),
        ("info x --frobnicate", None),
        ("info x --workers 3", None),
    ],
)
def test_a_mistyped_option(run: Run, command: str, meant: str | None) -> None:
    code, _, err = run(*command.split())
    assert code == 2
    assert "unrecognized arguments: --" in err
    assert ("Did you mean" in err) is (meant is not None)
    assert meant is None or f"Did you mean '{meant}'?" in err


def test_head_does_not_unpickle_unasked(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "data")
    with MDSWriter(columns={"x": "pkl"}, out=path) as writer:
        writer.write({"x": {1, 2}})
    code, out, err = run("head", path)
    assert (code, out) == (2, "")
    assert "--allow-unsafe-types" in err
    assert "{1, 2}" in run("head", "--allow-unsafe-types", path)[1]
    assert run("verify", path)[0] == 0
    assert run("verify", "--decode", path)[0] == 2


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("hashes", [[], ["sha1", "xxh64"]])
def test_verify_finds_every_flipped_byte_that_hashes_cover(
    run: Run, make_dataset: Callable[..., str], compression: str | None, hashes: list[str]
) -> None:
    path = make_dataset(300, compression=compression, hashes=hashes)
    rests = "" if hashes else " (no hashes are recorded: by sizes and offsets alone; try --decode)"
    assert run("verify", path)[:2] == (0, f"{path}: 3 shards are fine, 300 samples{rests}\n")
    name = f"{path}/shard.00002.mds" + (".zstd" if compression else "")
    data = Path(name).read_bytes()
    for position in (0, 5, len(data) // 2, len(data) - 1):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        Path(name).write_bytes(damaged)
        code, out, _ = run("verify", path)
        if hashes:
            assert code == 1
            assert out.startswith("shard 2: ")
            assert "1 of 3 shards damaged" in out
    Path(name).write_bytes(data[:-1])
    assert run("verify", path)[0] == 1
    os.unlink(name)
    os.unlink(name.replace("00002", "00000"))
    code, out, _ = run("verify", "--json", path)
    facts = json.loads(out)
    assert (code, facts["ok"]) == (1, False)
    assert [problem["shard"] for problem in facts["problems"]] == [0, 2]


def test_verify_checks_offsets_and_samples(run: Run, make_dataset: Callable[..., str]) -> None:
    path = make_dataset(300, hashes=[])
    shard = Path(path, "shard.00001.mds")
    data = bytearray(shard.read_bytes())
    data[8:12] = b"\xff\xff\xff\x7f"
    shard.write_bytes(data)
    assert run("verify", path)[0] == 1
    path = make_dataset(300, name="other", hashes=[])
    shard = Path(path, "shard.00001.mds")
    data = bytearray(shard.read_bytes())
    data[-1] = 0xFF  # no UTF-8
    shard.write_bytes(data)
    assert run("verify", path)[0] == 0
    assert run("verify", "--decode", path)[0] == 1


@pytest.mark.parametrize("compression", [None, "gz"])
def test_verify_split_formats(run: Run, tmp_path: Path, compression: str | None) -> None:
    path = str(tmp_path / "data")
    with streaming.JSONWriter(columns={"x": "int"}, out=path, compression=compression, hashes=["sha1"]) as writer:
        writer.write({"x": 1})
    assert run("verify", "--decode", path)[0] == 0
    assert json.loads(run("head", "--json", path)[1]) == {"x": 1}


def test_merge(run: Run, tmp_path: Path) -> None:
    for part in (2, 10):
        write_dataset(str(tmp_path / "root" / str(part)), 150)
    root = str(tmp_path / "root")
    code, out, _ = run("merge", root)
    assert (code, out) == (0, f"{root}: 4 shards, 300 samples\n")
    assert len(LocalDataset(root)) == 300
    _, out, _ = run("merge", "--json", f"{root}/10", f"{root}/2/index.json", "--out", root)
    assert json.loads(out) == {"url": root, "shards": 4, "samples": 300}


def test_copy(run: Run, make_dataset: Callable[..., str], tmp_path: Path) -> None:
    source = make_dataset(300, compression="zstd")
    target = str(tmp_path / "copy")
    assert "copied 3 files" in run("copy", source, target)[1]
    assert LocalDataset(target)[:] == [sample(i) for i in range(300)]
    assert run("copy", source, target)[1] == f"{target}: copied 0 files, 0 B; 3 were there already\n"
    other = make_dataset(200, name="other")
    code, _, err = run("copy", other, target)
    assert code == 2
    assert "--force" in err
    assert run("copy", "--force", other, target)[0] == 0
    assert len(LocalDataset(target)) == 200


def test_copy_does_not_spread_damage(run: Run, make_dataset: Callable[..., str], tmp_path: Path) -> None:
    source = make_dataset(300)
    Path(source, "shard.00001.mds").write_bytes(b"damaged")
    code, _, err = run("copy", source, str(tmp_path / "copy"))
    assert code == 2
    assert "shard.00001.mds has 7 bytes" in err
    assert not (tmp_path / "copy" / "index.json").exists()


def test_ls(run: Run, make_dataset: Callable[..., str], tmp_path: Path) -> None:
    make_dataset(300, name="data/train")
    (tmp_path / "data" / "notes.txt").write_text("12345")
    code, out, _ = run("ls", str(tmp_path / "data"))
    assert code == 0
    assert "5 B  notes.txt" in out
    assert "train/     4 files, dataset" in out
    names = [row["name"] for row in json.loads(run("ls", "-r", "--json", str(tmp_path / "data"))[1])]
    assert names == ["notes.txt", "train/index.json", *(f"train/shard.0000{i}.mds" for i in range(3))]
    (tmp_path / "empty").mkdir()
    assert run("ls", str(tmp_path / "empty")) == (0, "", "")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["info", "{tmp}/none"], "no index.json"),
        (["head", "{tmp}/none"], "no index.json"),
        (["verify", "{tmp}/none"], "no index.json"),
        (["copy", "{tmp}/none", "{tmp}/x"], "no index.json"),
        (["ls", "{tmp}/none"], "nothing at"),
        (["merge", "{tmp}/none"], "no dataset in the directories below"),
        (["merge", "a", "b"], "--out"),
        (["merge", "{tmp}/a", "--out", "{tmp}"], "no index at"),
        (["info", "nosuch://bucket/x"], "nosuch"),
        (["info", "s4://bucket/x"], "Did you mean s3://"),
        (["info", "{tmp}/none"], "no such directory"),
        (["info", "s3:/bucket/x"], "Did you mean 's3://bucket/x'"),
        (["info", "s3://"], "'s3://' names no bucket"),
        (["info", "{tmp}"], "There are datasets in directories below it: bad"),
        (["info", "{tmp}/bad/index.txt"], "it is a file. Give the directory"),
        (["info", "{tmp}/empty"], "streaming ls"),
        (["copy", "{tmp}/none", "{tmp}/x", "--to-option", "region"], "--to-option: expected NAME=VALUE"),
        (["info", "{tmp}/bad"], "not an index|no list of shards|version"),
        (["info", "{tmp}/bad", "-o", "region"], "NAME=VALUE"),
        (["info", "{tmp}/bad", "-o", "region=x"], "-o region: .*bad is local"),
        (["merge", "{tmp}/a", "{tmp}/b", "--out", "{tmp}/c", "-o", "region=x"], "local directories have no settings"),
        (["copy", "{tmp}/a", "s3://b/c", "--from-option", "key=x"], "--from-option key: .*a is local"),
        (["head", "{tmp}", "-n", "many"], "expected a number from 0, got 'many'"),
        (["verify", "{tmp}", "-j", "0"], "expected a number from 1"),
        (["nonsense"], "nonsense"),
        ([], "COMMAND"),
    ],
)
def test_bad_input_is_one_line(run: Run, tmp_path: Path, args: list[str], text: str) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "index.json").write_text("{}")
    (tmp_path / "bad" / "index.txt").write_text("")
    (tmp_path / "empty").mkdir()
    code, out, err = run(*(arg.replace("{tmp}", str(tmp_path)) for arg in args))
    assert (code, out) == (2, "")
    assert re.search(text, err)
    last = err.splitlines()[-1]
    assert last.startswith("streaming")
    assert "error: " in last
    assert "Traceback" not in err


def test_a_reader_that_has_enough(make_dataset: Callable[..., str]) -> None:
    path = make_dataset(3000)
    command = f"'{sys.executable}' -m streaming.cli head -n 3000 '{path}' | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "sample 0\n"
    assert done.stderr == ""


def test_no_progress_bar_where_nobody_looks(make_dataset: Callable[..., str]) -> None:
    done = process("verify", make_dataset())
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bucket(
    bucket: str, make_dataset: Callable[..., str], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_dataset(300, compression="zstd")
    assert process("copy", source, f"{bucket}/d/0").returncode == 0
    assert run("copy", f"{bucket}/d/0", f"{bucket}/d/1")[0] == 0
    assert run("merge", f"{bucket}/d")[1] == f"{bucket}/d: 6 shards, 600 samples\n"
    assert run("verify", f"{bucket}/d")[1] == f"{bucket}/d: 6 shards are fine, 600 samples\n"
    assert json.loads(run("head", "--json", "-n1", "--start", "301", f"{bucket}/d")[1]) == sample(1)
    assert "dataset" in run("ls", f"{bucket}/d")[1]
    assert len(StreamingDataset(remote=f"{bucket}/d", local=str(tmp_path / "cache"))) == 600
    done = process("info", "s3://no-such-bucket-here/d")
    assert done.returncode == 2
    assert done.stderr.startswith("streaming: error: ")
    assert len(done.stderr.splitlines()) == 1
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    code, _, said = run("info", f"{bucket}/d", "-o", "no_such_option=1")
    assert code == 2
    assert "no_such_option" in said
    assert run("info", f"{bucket}/d", "-o", "region=us-east-1")[0] == 0


def test_no_control_characters(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name, value = "\x1b[31mcolumn\x07", "\x1b]0;title\x9b\u202e"
    with MDSWriter(columns={name: "str"}, out=str(tmp_path / "a\x1b[1m")) as writer:
        writer.write({name: value})
    for command in (
        ["info"],
        ["head"],
        ["head", "--json"],
        ["info", "--json"],
        ["ls"],
        ["verify"],
        ["head", "--start", "9"],
    ):
        for place in (tmp_path / "a\x1b[1m", tmp_path, tmp_path / "none\n\x07"):
            main([*command, str(place)])
            shown = "".join(capfd.readouterr()).replace("\n", "")
            assert shown.isprintable(), command
    main(["head", "--json", str(tmp_path / "a\x1b[1m")])
    assert json.loads(capfd.readouterr().out) == {name: value}
