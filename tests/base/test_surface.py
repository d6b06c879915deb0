"""The public surface of mosaicml-streaming 0.13, name by name; see ``tests/goldens/surface``."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch.utils.data

import streaming

from sample_data import write_dataset

SURFACE = json.loads((Path(__file__).parents[1] / "goldens" / "surface" / "surface.json").read_text())

# What differs on purpose; docs/migration.md says why.
MISSING = {
    "streaming.base.format.json.encodings": {"Encoding", "Float", "Int", "Str"},
    "streaming.base.format.xsv.encodings": {"Encoding", "Float", "Int", "Str"},
    "streaming.base.format.mds.encodings": {"List", "StrEncoding"},
}
MISSING_ATTRIBUTES = {
    "MDSWriter": {"cloud_writer", "encode_joint_shard", "event", "exception_callback", "executor"},
    "StreamingDataset": {"on_exception"},
}
OTHER_DEFAULTS = {("StreamingDataset", "shuffle_algo"): None, ("StreamingInsideWebVid", "shuffle_algo"): None}
OTHER_SIGNATURES = {
    # Any writer takes its encoder's arguments; those who derive from these classes are told what to do instead.
    "Writer",
    "JointWriter",
    "SplitWriter",
    # Members of an enumeration are not made.
    "GCSAuthentication",
    # A base of encodings that is made with what it needs.
    "Scalar",
}
# What they take as `*args` and `**kwargs`, and we by name. (Of a DataLoader: whatever PyTorch's takes, see below.)
OF_WRITERS = {"progress_bar", "max_workers", "retry", "exist_ok"}
BEHIND_STARS = {
    **dict.fromkeys(("MDSWriter", "JSONWriter", "CSVWriter", "TSVWriter", "XSVWriter"), OF_WRITERS),
    "StreamingDataLoader": {"dataset", "batch_size"},
    "merge_index": {"index_file_urls", "out", "keep_local", "download_timeout"},
}
# Hooks of the original's own parts, of no use to others.
OTHER_METHODS = {
    "check_token",
    "each",
    "encode_joint_shard",
    "encode_split_shard",
    "exception_callback",
    "fix_register",
    "fix_unregister",
    "flag",
    "from_str",
    "num_enter",
    "num_exit",
    "on_exception",
    "underlying_encoder",
}

NAMES = [(module, name) for module, names in SURFACE["modules"].items() for name in names]


def parameters_of(obj: Any) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(obj).parameters)


def check_signature(obj: Any, theirs: list[Any], owner: str) -> None:
    """Every call that they take, ours takes, and it means the same."""
    ours = parameters_of(obj)
    takes_any_keyword = any(p.kind is p.VAR_KEYWORD for p in ours.values())
    positional = [p.name for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    expected = [name for name, kind, _ in theirs if kind == "POSITIONAL_OR_KEYWORD"]
    renamed = {"idx": "sample_id"}
    assert positional[: len(expected)] == [renamed.get(n, n) if renamed.get(n) in ours else n for n in expected], owner
    for name, kind, default in theirs:
        name = renamed[name] if renamed.get(name) in ours else name
        if kind in ("VAR_KEYWORD", "VAR_POSITIONAL"):
            named = BEHIND_STARS.get(owner, set())
            assert named <= set(ours), f"{owner}: {name}"
            assert named or any(p.kind.name == kind for p in ours.values()), f"{owner}: {name}"
            continue
        if name not in ours and takes_any_keyword and kind == "KEYWORD_ONLY":
            continue
        parameter = ours[name]
        assert parameter.kind.name in (kind, "POSITIONAL_OR_KEYWORD"), f"{owner}: {name} is {parameter.kind.name}"
        if default is None:
            continue  # a default of ours where they have none harms nobody
        assert parameter.default is not parameter.empty, f"{owner}: {name} has no default"
        if (owner, name) in OTHER_DEFAULTS:
            assert parameter.default == OTHER_DEFAULTS[owner, name]
        elif default[0] == "value":
            assert parameter.default == default[1], f"{owner}: {name}"
    extra = [
        p for p in ours.values() if p.name not in {renamed.get(n, n) for n, _, _ in theirs} | {n for n, _, _ in theirs}
    ]
    for p in extra:
        if p.name in BEHIND_STARS.get(owner, ()):
            continue
        assert p.default is not p.empty or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL), f"{owner}: {p.name} is required"


@pytest.mark.parametrize("module", SURFACE["modules"])
def test_modules_import(module: str) -> None:
    imported = importlib.import_module(module)
    assert imported.__name__ == module
    parent, _, last = module.rpartition(".")
    if parent:
        assert getattr(importlib.import_module(parent), last) is imported
    assert imported.__spec__ is not None
    assert set(getattr(imported, "__all__", [])) <= set(dir(imported))


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda value: value)
def test_names_are_there_and_take_the_same_arguments(module: str, name: str) -> None:
    if name in MISSING.get(module, ()):
        pytest.skip("differs on purpose")
    theirs = SURFACE["modules"][module][name]
    ours = getattr(importlib.import_module(module), name)
    if theirs["kind"] == "object":
        if theirs["constant"] is not None and "AUTHENTICATION" not in name:
            assert [ours] == theirs["constant"]
        return
    assert callable(ours)
    if theirs["kind"] == "function":
        check_signature(ours, theirs["signature"], name)
        return
    assert inspect.isclass(ours)
    if name not in OTHER_SIGNATURES and theirs["signature"] is not None:
        check_signature(ours, theirs["signature"], name)
    if name in OTHER_SIGNATURES:
        return
    for method, signature in theirs["methods"].items():
        if method in OTHER_METHODS:
            continue
        assert callable(getattr(ours, method, None)), f"{name} has no method {method}"
        if signature is not None:
            check_signature(getattr(ours, method), signature, f"{name}.{method}")
    for attribute in set(theirs["properties"]) - OTHER_METHODS:
        assert hasattr(ours, attribute), f"{name} has no {attribute}"


def test_a_loader_takes_what_pytorchs_takes() -> None:
    theirs, ours = parameters_of(torch.utils.data.DataLoader), parameters_of(streaming.StreamingDataLoader)
    assert set(theirs) <= set(ours)
    for name, parameter in theirs.items():
        assert (parameter.kind, parameter.default) == (ours[name].kind, ours[name].default), name
    places = [[p.name for p in all_of.values() if p.kind is not p.KEYWORD_ONLY] for all_of in (theirs, ours)]
    assert places[0] == places[1]


def test_objects_have_the_same_attributes(tmp_path: Path) -> None:
    out = str(tmp_path / "data")
    write_dataset(out, 100)
    dataset = streaming.StreamingDataset(local=out, batch_size=4, cache_limit="1gb")
    with streaming.MDSWriter(columns={"a": "int"}, out=str(tmp_path / "other")) as writer:
        writer.write({"a": 1})
        objects = {
            "MDSWriter": writer,
            "StreamingDataset": dataset,
            "Stream": streaming.Stream(local=out),
            "MDSReader": dataset.shards[0],
            "LocalDataset": streaming.LocalDataset(out),
            "World": importlib.import_module("streaming.base.world").World(1, 1, 1, 0),
        }
        assert set(objects) == set(SURFACE["objects"])
        for name, obj in objects.items():
            missing = {each for each in SURFACE["objects"][name] if not hasattr(obj, each)}
            assert missing == MISSING_ATTRIBUTES.get(name, set()), name


def test_import_star_and_package_face() -> None:
    names: dict[str, Any] = {}
    exec("from streaming.base import *\nfrom streaming.base.format.mds.encodings import *", names)
    assert names["StreamingDataset"] is streaming.StreamingDataset
    assert "mds_encode" in names
    assert "_encodings" not in names
    for each in ("text", "vision", "multimodal"):
        assert each in streaming.__all__
    with pytest.raises(AttributeError, match="no_such"):
        _ = streaming.base.no_such
    with pytest.raises(AttributeError, match="no_such"):
        _ = streaming.base.format.no_such
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("streaming.base.no_such")
