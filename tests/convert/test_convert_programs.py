"""The conversion programs as programs: their module paths, their flags and defaults, and how they end."""

from __future__ import annotations

import runpy
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

# Those of the original, with what they are if they are not given; None: they must be.
OUT = {"out_root": None}
IN_OUT = {"in_root": None, **OUT}
HASHES = {"hashes": "sha1,xxh64"}
BAR = {"progress_bar": 1, "leave": 0}
IMAGES = {**IN_OUT, "splits": "train,val", "compression": "", **HASHES, **BAR}
FLAGS: dict[str, dict[str, Any]] = {
    "text.convert.c4": {**OUT, "compression": "zstd:7", **HASHES, "size_limit": 1 << 27, "batch_size": 512, **BAR},
    "text.convert.pile": {**IN_OUT, "compression": "zstd:16", **HASHES, "size_limit": 1 << 27},
    "text.convert.enwiki_text": {**IN_OUT, "compression": "zstd:7", **HASHES, "size_limit": 1 << 25, **BAR},
    "vision.convert.cifar10": {**IMAGES, "size_limit": 1 << 20},
    "vision.convert.fake_cifar10": {"num_train": 1 << 20, "num_val": 1 << 17},
    "vision.convert.imagenet": {**IMAGES, "size_limit": 1 << 26, "validate": 1, "extensions": "jpeg"},
    "vision.convert.ade20k": {**IMAGES, "size_limit": 1 << 22},
    "vision.convert.coco": {**IMAGES, "size_limit": 1 << 25},
    "multimodal.convert.webvid.crawl_webvid": {"in": None, **OUT, "num_procs": 64, "limit": -1},
    "multimodal.convert.webvid.crawl_webvid_subsets": {
        "csv": None, "mds_root": None, "filters": "plane,train,automobile,cat,dog", "num_procs": 64, "limit": -1,
    },
    "multimodal.convert.webvid.extract_webvid_videos": {
        "in": None, "out_mds": None, "out_mp4": None, "compression": "zstd:16", "hashes": "sha1,xxh3_64",
        "size_limit": 1 << 25,
    },
    "multimodal.convert.laion.laion400m.convert_and_upload": {
        "local": None, "remote": None, "keep_parquet": 1, "keep_mds": 1, **HASHES, "poll_interval": 30,
    },
}  # fmt: skip


def run_program(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> object:
    """Run a module as ``python -m`` does, but here; return what it exits with."""
    module = f"streaming.{name}"
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    monkeypatch.delitem(sys.modules, module, raising=False)
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        return end.code
    return None


@pytest.mark.parametrize("name", FLAGS)
def test_flags(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsers: list[ArgumentParser] = []

    def keep(parser: ArgumentParser, _: Any = None) -> None:
        parsers.append(parser)

    monkeypatch.setattr(ArgumentParser, "print_help", keep)
    assert run_program(monkeypatch, name, "--help") == 0
    actions = {option: action for action in parsers[0]._actions for option in action.option_strings}
    for flag, default in FLAGS[name].items():
        action = actions[f"--{flag}"]
        assert (action.required, action.default) == (default is None, default), flag


def test_a_program_from_its_begin_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--out_root", str(tmp_path), "--num_train", "3", "--num_val", "2", "--workers", "0"]
    assert run_program(monkeypatch, "vision.convert.fake_cifar10", *arguments) is None
    assert capsys.readouterr().out.startswith(f"{tmp_path}/train: 3 samples in 1 shards")
    ended = run_program(monkeypatch, "vision.convert.imagenet", "--in_root", "none", "--out_root", "out")
    assert str(ended).startswith("error: There is no directory none/train.")
    assert "\n" not in str(ended)
