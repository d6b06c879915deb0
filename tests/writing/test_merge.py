"""``merge_index``: every form, over directories and a bucket."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streaming import JSONWriter, LocalDataset, MDSWriter, StreamingDataset, merge_index
from streaming.cli.main import main
from streaming.core.errors import AccessDeniedError, ConfigError, UploadError
from streaming.storage.providers.local import LocalStore

from sample_data import COLUMNS, sample, write_dataset


def write_parts(root: str, parts: list[str], local: str | None = None) -> list[dict[str, Any]]:
    """Write partitions of 130 samples each and return all samples in the order of the partitions."""
    rows: list[dict[str, Any]] = []
    for part in parts:
        out: Any = f"{root}/{part}" if local is None else (f"{local}/{part}", f"{root}/{part}")
        write_dataset(out, 130, keep_local=local is not None)
        rows += [sample(i) for i in range(130)]
    return rows


def names(root: str | Path) -> list[str]:
    return [shard["raw_data"]["basename"] for shard in json.loads((Path(root) / "index.json").read_text())["shards"]]


def files(root: str | Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in Path(root).rglob("*") if path.is_file()}


def test_root_finds_nested_partitions_in_numeric_order(tmp_path: Path) -> None:
    rows = write_parts(str(tmp_path), ["a/2", "a/10", "b"])
    before = files(tmp_path)
    merge_index(str(tmp_path))
    assert [name.rpartition("/")[0] for name in names(tmp_path)][::2] == ["a/2", "a/10", "b"]
    assert LocalDataset(str(tmp_path))[:] == rows
    assert {path: data for path, data in files(tmp_path).items() if path != "index.json"} == before


def test_merging_again_changes_nothing(tmp_path: Path) -> None:
    write_parts(str(tmp_path), ["0", "1"])
    merge_index(str(tmp_path))
    once = files(tmp_path)
    merge_index(str(tmp_path), False)
    assert files(tmp_path) == once


def test_merged_parts_and_their_partitions_count_once(tmp_path: Path) -> None:
    rows = write_parts(str(tmp_path), ["a/0", "a/1", "b"])
    merge_index(str(tmp_path / "a"))
    merge_index(str(tmp_path))
    assert len(names(tmp_path)) == len(set(names(tmp_path))) == 6
    assert LocalDataset(str(tmp_path))[:] == rows


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_json_datasets(tmp_path: Path, compression: str | None) -> None:
    for part in range(2):
        out = str(tmp_path / str(part))
        with JSONWriter(columns={"x": "int"}, out=out, compression=compression, size_limit=100) as writer:
            for i in range(30):
                writer.write({"x": 30 * part + i})
    merge_index(str(tmp_path))
    assert [row["x"] for row in LocalDataset(str(tmp_path))] == list(range(60))


@pytest.mark.parametrize("spelling", ["index", "directory", "slash", "tuple", "path"])
def test_a_list_keeps_its_order(tmp_path: Path, spelling: str) -> None:
    write_parts(str(tmp_path), ["0", "1", "2"])
    wanted = [tmp_path / "2", tmp_path / "0", tmp_path / "2"]
    form = {
        "index": lambda path: f"{path}/index.json",
        "directory": str,
        "slash": lambda path: f"{path}/",
        "tuple": lambda path: (f"{path}/index.json", ""),
        "path": lambda path: path / "index.json",
    }[spelling]
    merge_index([form(path) for path in wanted], str(tmp_path))
    assert [name[0] for name in names(tmp_path)] == ["2", "2", "0", "0"]


@pytest.mark.parametrize("how", ["list", "pair", "cli"])
def test_partitions_elsewhere_are_refused(tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_parts(str(tmp_path / "old"), ["x/0", "y/0"])
    write_parts(str(tmp_path / "new"), ["z"])
    urls = [f"{tmp_path}/new/z", *(f"{tmp_path}/old/{name}/0/index.json" for name in "xy")]
    text = f"2 of the partitions are not below {tmp_path}/new, .*{tmp_path}/old/x/0, {tmp_path}/old/y/0"
    if how == "cli":
        assert main(["merge", *urls, "--out", str(tmp_path / "new")]) != 0
        assert re.search(text, " ".join(capsys.readouterr().err.split()))
    else:
        given: list[Any] = list(urls) if how == "list" else [(url, url) for url in urls]
        with pytest.raises(ConfigError, match=text):
            merge_index(given, str(tmp_path / "new"))
    assert not (tmp_path / "new" / "index.json").exists()


def write_columns(place: Path, columns: dict[str, str], **sample: Any) -> str:
    with MDSWriter(out=str(place), columns=columns) as writer:
        writer.write(sample)
    return str(place)


@pytest.mark.parametrize(
    ("columns", "sample", "text"),
    [
        ({"n": "int", "text": "str"}, {"n": 1, "text": ""}, "a column 'text' .str."),
        ({"m": "int"}, {"m": 1}, "no column 'n', a column 'm' .int."),
        ({"n": "int32"}, {"n": 1}, "column 'n' as int32 instead of int,"),
        ({"n": "ndarray:int64:1"}, {"n": np.ones(1, np.int64)}, "column 'n' as ndarray:int64:1 instead of int"),
    ],
)
def test_parts_of_other_columns_are_refused(
    tmp_path: Path, columns: dict[str, str], sample: dict[str, Any], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_columns(tmp_path / "0", {"n": "int"}, n=1)
    write_columns(tmp_path / "1", columns, **sample)
    with pytest.raises(ConfigError, match=f"{tmp_path}/1 has {text}.*unlike {tmp_path}/0"):
        merge_index(str(tmp_path))
    with pytest.raises(ConfigError, match=text):
        merge_index([f"{tmp_path}/0", f"{tmp_path}/1"], str(tmp_path))
    assert main(["merge", str(tmp_path)]) != 0
    assert "cannot be one dataset" in capsys.readouterr().err
    assert not (tmp_path / "index.json").exists()


def test_equal_columns_in_another_order_or_format(tmp_path: Path) -> None:
    write_columns(tmp_path / "0", {"a": "int", "b": "str"}, a=0, b="0")
    write_columns(tmp_path / "1", {"b": "str", "a": "int"}, a=1, b="1")
    with JSONWriter(out=str(tmp_path / "2"), columns={"a": "int", "b": "str"}, compression="zstd") as writer:
        writer.write({"a": 2, "b": "2"})
    swapped = tmp_path / "1" / "index.json"
    index = json.loads(swapped.read_text())
    for key in ("column_names", "column_encodings", "column_sizes"):
        index["shards"][0][key].reverse()  # as some other writer may list them
    shard = tmp_path / "1" / "shard.00000.mds"
    swapped.write_text(json.dumps(index))
    merge_index(str(tmp_path))
    assert len(LocalDataset(str(tmp_path))) == 3
    assert shard.exists()


@pytest.mark.parametrize("content", ["<html>", "{}", '{"shards": [], "version": 7}'])
def test_a_file_of_the_user_is_not_replaced(tmp_path: Path, content: str) -> None:
    write_parts(str(tmp_path), ["0", "1"])
    (tmp_path / "index.json").write_text(content)
    for out in (str(tmp_path), f"file://{tmp_path}"):
        with pytest.raises(FileExistsError, match="is no index of a dataset"):
            merge_index(out)
    assert (tmp_path / "index.json").read_text() == content


def test_a_dataset_at_the_root_itself(tmp_path: Path) -> None:
    own = write_parts(str(tmp_path), ["."])
    rows = write_parts(str(tmp_path), ["0", "1"])
    before = (tmp_path / "index.json").read_bytes()
    with pytest.raises(FileExistsError, match=r"dataset at .* itself.*shard\.00000\.mds"):
        merge_index(str(tmp_path))
    assert (tmp_path / "index.json").read_bytes() == before
    merge_index([str(tmp_path), f"{tmp_path}/0", f"{tmp_path}/1"], str(tmp_path))
    assert LocalDataset(str(tmp_path))[:] == own + rows


@pytest.mark.parametrize("damage", ["missing", "cut"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_shards_that_are_not_there(tmp_path: Path, damage: str, scheme: str) -> None:
    write_parts(str(tmp_path), ["0", "1"])
    shard = tmp_path / "1" / "shard.00000.mds"
    if damage == "missing":
        shard.unlink()
    else:
        os.truncate(shard, 50)
    with pytest.raises(UploadError, match=r"1 of 4 files .*1/shard\.00000\.mds"):
        merge_index(f"{scheme}{tmp_path}")
    assert not (tmp_path / "index.json").exists()


def test_the_halves_have_their_old_names(tmp_path: Path) -> None:
    from streaming.base.util import _merge_index_from_list, _merge_index_from_root

    rows = write_parts(str(tmp_path), ["0", "1"])
    _merge_index_from_root(str(tmp_path), keep_local=True, download_timeout=60)
    assert LocalDataset(str(tmp_path))[:] == rows
    _merge_index_from_list([f"{tmp_path}/1/index.json"], str(tmp_path), True, 60)
    assert LocalDataset(str(tmp_path))[:] == rows[130:]


@pytest.mark.parametrize("keep_local", [True, False])
def test_a_bucket_by_root(bucket: str, tmp_path: Path, keep_local: bool) -> None:
    rows = write_parts(f"{bucket}/d", ["2", "10"])
    merge_index(f"{bucket}/d", keep_local)
    assert StreamingDataset(remote=f"{bucket}/d", local=str(tmp_path / "cache"))[:] == rows


@pytest.mark.parametrize("keep_local", [True, False])
@pytest.mark.parametrize("local_copies", ["all", "some", "none", "more"])
def test_a_pair_as_root(bucket: str, tmp_path: Path, keep_local: bool, local_copies: str) -> None:
    local = tmp_path / "local"
    rows = write_parts(f"{bucket}/d", ["2", "10"], str(local))
    if local_copies == "none":
        shutil.rmtree(local)
        local.mkdir()
    elif local_copies == "some":
        shutil.rmtree(local / "2")
    elif local_copies == "more":
        write_dataset(str(local / "7"), 10)
    before = files(local)
    merge_index((str(local), f"{bucket}/d"), keep_local=keep_local)
    assert StreamingDataset(remote=f"{bucket}/d", local=str(tmp_path / "cache"))[:] == rows
    after = files(local)
    assert (after.pop("index.json", None) is not None) == keep_local
    assert after == before


@pytest.mark.parametrize("form", ["remote", "tuple"])
def test_a_list_of_a_bucket(bucket: str, tmp_path: Path, form: str) -> None:
    local = tmp_path / "local"
    rows = write_parts(f"{bucket}/d", ["0", "1"], str(local))
    urls: list[Any] = [f"{bucket}/d/{part}/index.json" for part in (0, 1)]
    if form == "tuple":
        urls = [(f"{local}/{part}/index.json", f"{bucket}/d/{part}/index.json") for part in (0, 1)]
        (local / "1" / "index.json").unlink()
    merge_index(urls, (str(local), f"{bucket}/d"), keep_local=False)
    assert StreamingDataset(remote=f"{bucket}/d", local=str(tmp_path / "cache"))[:] == rows


def test_an_older_merged_index_of_the_user_is_not_removed(tmp_path: Path) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    write_parts(str(remote), ["0"], str(local))
    (local / "index.json").write_text("mine")
    merge_index((str(local), str(remote)), keep_local=False)
    assert (local / "index.json").read_text() == "mine"


def test_nothing_to_merge_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    merge_index(str(tmp_path))
    merge_index([], str(tmp_path))
    merge_index([str(tmp_path)], "")
    assert len(caplog.records) == 3
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "text"),
    [
        ((), {}, ValueError, "merge_index"),
        (([],), {}, ValueError, "out"),
        ((["x"], "y", True, 60, 4), {}, ValueError, "merge_index"),
        (("x", True, 60, 4), {}, ValueError, "merge_index"),
        ((3,), {}, ValueError, "pair"),
        ((["x"], ("s3://a", "b")), {}, ValueError, "local"),
        ((["x"], ("a", "b", "c")), {}, ValueError, "pair"),
        (([("", "")], "y"), {}, ValueError, "empty"),
        ((["{tmp}/none/index.json"], "{tmp}"), {}, FileNotFoundError, "none"),
        ((["{tmp}/none/index.json"], "{tmp}"), {}, RuntimeError, "none"),
        ((["{tmp}/bad"], "{tmp}"), {}, ValueError, "bad/index.json"),
    ],
)
def test_errors(tmp_path: Path, args: Any, kwargs: Any, error: type[Exception], text: str) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "index.json").write_text("{}")
    filled = json.loads(json.dumps(args).replace("{tmp}", str(tmp_path)))
    if args and isinstance(args[-1], tuple):
        filled[-1] = tuple(args[-1])
    with pytest.raises(error, match=text):
        merge_index(*filled, **kwargs)
    assert not (tmp_path / "index.json").exists()


def test_two_partitions_cannot_share_a_place(tmp_path: Path) -> None:
    write_dataset(str(tmp_path / "root" / "a" / "b"), 5)
    write_dataset(str(tmp_path / "other" / "a" / "b"), 5)
    write_dataset(str(tmp_path / "other" / "c"), 5)
    urls = [str(tmp_path / "root" / "a" / "b"), str(tmp_path / "other" / "a" / "b"), str(tmp_path / "other" / "c")]
    with pytest.raises(ValueError, match="a/b"):
        merge_index(urls, str(tmp_path / "root"))


def test_by_name(tmp_path: Path) -> None:
    write_parts(str(tmp_path), ["0"])
    merge_index(index_file_urls=[f"{tmp_path}/0"], out=str(tmp_path))
    merge_index(out=str(tmp_path), keep_local=True, download_timeout=5)
    assert COLUMNS.keys() == LocalDataset(str(tmp_path))[0].keys()


def test_metadata_that_cannot_be_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("0", "1"):
        write_dataset(str(tmp_path / part), 10)
    (tmp_path / "0" / "streaming-metadata.json").write_text('{"license": "MIT"}')
    merge_index(str(tmp_path))
    assert not caplog.messages  # of a part that has none, nothing need be said
    assert LocalDataset(tmp_path).metadata == {"license": "MIT"}
    get = LocalStore.get

    def refusing(self: LocalStore, path: str, *args: Any, **kwargs: Any) -> bytes:
        if path == "streaming-metadata.json" and str(self).endswith("1"):
            raise AccessDeniedError("No permission.")
        return get(self, path, *args, **kwargs)

    monkeypatch.setattr(LocalStore, "get", refusing)
    merge_index(str(tmp_path))
    assert "/1 could not be read, so what it says is left out" in caplog.text
    assert LocalDataset(tmp_path).metadata == {"license": "MIT"}
