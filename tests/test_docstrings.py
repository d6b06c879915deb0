"""Public docstrings: their examples run, and arguments and errors are those that there are.

An example is run in a directory of its own, which has small datasets: ``data`` (texts), ``patients`` (with side columns),
``images``, ``scenes``, ``boxes``, ``videos``, ``wiki``. It knows ``np``, ``torch``, and the names of ``streaming`` and of
its own module.
"""

from __future__ import annotations

import builtins
import doctest
import importlib
import inspect
import pkgutil
import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import streaming
import streaming.base
from streaming.core import errors
from streaming.format.encodings import encodings
from streaming.order.registry import batching_methods, partition_algos, shuffle_algos
from streaming.storage.registry import stores

FACES = [
    "streaming",
    *(
        "streaming.text",
        "streaming.text.tokenized",
        "streaming.vision",
        "streaming.vision.base",
        "streaming.collate",
        "streaming.multimodal",
    ),
    "streaming.trainers.huggingface",
    *("streaming.loader.watching.report", "streaming.loader.watching.files"),
    *(f"streaming.metrics.{name}" for name in ("scalars", "instruments", "callbacks", "prometheus", "opentelemetry")),
    *("streaming.storage.store", "streaming.storage.ranged"),
    *("streaming.format.encodings", "streaming.core.registry", "streaming.core.names", "streaming.dataset.convenience"),
    *(module.name for module in pkgutil.walk_packages(streaming.base.__path__, "streaming.base.")),
]
# Whose engines take seconds to import: only as a test runs, for each process collects all tests. None has an example.
ENGINES = ["streaming.converters.spark", "streaming.converters.ray", "streaming.converters.dask"]
# What docs name of modules that are not for users otherwise.
ALSO = {"streaming.storage.registry": ["open_store"], "streaming.storage.url": ["check_path"]}
REGISTRIES = [encodings, shuffle_algos, partition_algos, batching_methods, stores]
# What has no example, and why.
WITHOUT = {
    "streaming.converters.spark*": "Spark needs Java; tests/converters runs it",
    "streaming.converters.ray.*": "a cluster takes seconds to begin; tests/converters runs it",
    "streaming.converters.dask.*": "the same",
    "streaming.trainers.huggingface.*": "a Trainer takes seconds to import; tests/trainers runs it",
    "streaming.metrics.callbacks.*_callback": "the same; tests/metrics runs it",
    "streaming.metrics.instruments.Instrument": "made by instruments, which shows it",
    "streaming.loader.watching.report.*": "made by StreamingDataLoader.report, which shows it",
    "streaming.loader.watching.files.Written": "what read_files returns, which shows it",
    "streaming.loader.watching.files.ReportFile": "made by StreamingDataLoader(report_to=...)",
    "streaming.text.c4.*": "so does a tokenizer; tests/base/test_convenience.py runs it",
    "streaming.text.pile.*": "the same",
    "streaming.text.tokenized.*": "the same",
    "streaming.base.storage.download.*Downloader": "CloudDownloader shows how all of them are used",
    "streaming.base.storage.upload.*Uploader": "CloudUploader shows how all of them are used",
    "streaming.base.storage.ported.*": "what stands behind the mappings of downloaders and uploaders",
    "streaming.dataset.convenience.*": "the bases of the datasets above, which have examples",
    "streaming.format.encodings.nullable.*": "made by get_encoding for a name that ends in '?'",
    "streaming.format.encodings.EncodingRegistry": "there is one, `encodings`; Encoding shows how it is used",
}
FEW_NEED_ONE = {"streaming.base.storage.download.CloudDownloader", "streaming.base.storage.upload.CloudUploader"}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# Where another docstring explains the arguments.
EXPLAINED = re.compile(r"[Aa]rguments as|[Aa]s (for )?:|[Ss]ee :|Takes those")
SECTION = re.compile(r"^(Args|Raises|Returns|Yields|Attributes|Example):$", re.M)


@cache
def public(*more: str) -> dict[str, Any]:
    """Classes and functions that modules for users export, and those of more modules, by where they are defined."""
    found: dict[str, Any] = {}
    for name in [*FACES, *ALSO, *more]:
        if name.rpartition(".")[2].startswith("_"):
            continue
        try:
            module = importlib.import_module(name)
        except errors.MissingDependencyError:
            continue
        for own in ALSO.get(name, getattr(module, "__all__", ())):
            obj = getattr(module, own)
            if inspect.isclass(obj) or inspect.isfunction(obj):
                found[f"{obj.__module__}.{obj.__qualname__}"] = obj
    return {name: obj for name, obj in found.items() if name.startswith("streaming.")}


@cache
def documented(*more: str) -> dict[str, Any]:
    """The same, and their public methods, but for those that are explained where they are inherited from."""
    found = dict(public(*more))
    for obj in public(*more).values():
        for kind in obj.__mro__ if inspect.isclass(obj) else ():
            for name, member in vars(kind).items():
                member = getattr(member, "__func__", member)
                inherits = not member.__doc__ and any(hasattr(base, name) for base in kind.__mro__[1:])
                if not inspect.isfunction(member) or inherits or name.startswith("_"):
                    continue
                if kind.__module__.startswith("streaming."):
                    found[f"{kind.__module__}.{kind.__qualname__}.{name}"] = member
    return found


def sections(obj: Any) -> dict[str, str]:
    """The parts of a docstring by their titles, ``''`` for what stands before."""
    text = inspect.cleandoc(obj.__doc__ or "")
    pieces = ["", *SECTION.split(text)]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def entries(section: str) -> dict[str, str]:
    """The names that a section explains, each with its text; one text may be of several names."""
    section = section.split("\n\n", maxsplit=1)[0]
    found: dict[str, str] = {}
    for item in re.split(r"\n {4}(?! )", f"\n{section.strip(chr(10))}")[1:]:
        names, _, text = " ".join(item.split()).partition(":")
        found.update(dict.fromkeys(names.split(", "), text))
    return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the datasets that examples use."""
    folder = tmp_path_factory.mktemp("prepared")
    image = Image.new("RGB", (4, 3))
    box = {
        "img": image,
        "img_id": 7,
        "htot": 3,
        "wtot": 4,
        "bbox_sizes": np.zeros((1, 4)),
        "bbox_labels": np.ones(1, int),
    }
    wiki = {name: np.arange(4, dtype="i4").tobytes() for name in ("input_ids", "input_mask", "segment_ids")}
    ages, sexes, numbers = (72, 34, 66, 58, 81, 45, 63, 29), "FMFFMFMM", "00123345"
    notes = [
        {"age": age, "sex": sex, "patient_id": f"p{patient}"}
        for age, sex, patient in zip(ages, sexes, numbers, strict=True)
    ]
    masked = {"masked_lm_positions": np.array([1], "i4"), "masked_lm_ids": np.array([9], "i4")}
    datasets: dict[str, tuple[dict[str, str], list[dict[str, Any]]]] = {
        "data": ({"label": "int", "text": "str"}, [{"label": i % 10, "text": f"text {i}"} for i in range(64)]),
        "tokens": (
            {"input_ids": "ndarray:int32"},
            [{"input_ids": np.arange(i % 13 + 5, dtype="i4")} for i in range(60)],
        ),
        "patients": ({"age": "int32", "sex": "str", "patient_id": "str"}, notes),
        "images": ({"x": "png", "y": "int"}, [{"x": image, "y": i} for i in range(8)]),
        "scenes": ({"x": "png", "y": "png"}, [{"x": image, "y": image}]),
        "boxes": ({"img": "png", **{k: "ndarray" if k[0] == "b" else "int" for k in box if k != "img"}}, [box]),
        "videos": ({"content_path": "str", "caption": "str"}, [{"content_path": "a.mp4", "caption": "a cat"}]),
        "wiki": (dict.fromkeys([*wiki, *masked], "bytes"), [{**wiki, **{k: v.tobytes() for k, v in masked.items()}}]),
    }  # fmt: skip
    for name, (columns, rows) in datasets.items():
        side = columns if name == "patients" else None
        with streaming.MDSWriter(
            columns=columns, out=str(folder / name), size_limit="1kb", side_columns=side and list(side)
        ) as out:
            for row in rows:
                out.write(row)
    return folder


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An own directory; what is registered in it is forgotten."""
    shutil.copytree(prepared, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = [registry.snapshot() for registry in REGISTRIES]
    yield
    for registry, there in zip(REGISTRIES, before, strict=True):
        registry.restore(there)


@pytest.mark.parametrize("name", [name for name, obj in documented().items() if ">>>" in (obj.__doc__ or "")])
@pytest.mark.usefixtures("here")
def test_the_example_runs(name: str) -> None:
    known = {own: getattr(streaming, own) for own in streaming.__all__}
    known |= {"streaming": streaming, "np": np, "torch": torch}
    module: Any = inspect.getmodule(documented()[name])
    known |= {own: getattr(module, own) for own in module.__all__}
    found = doctest.DocTestParser().get_doctest(inspect.cleandoc(documented()[name].__doc__), known, name, name, 0)
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(found, out=said.append)
    assert result.failed == 0, "".join(said)


@pytest.mark.apart
def test_everything_public_has_an_example() -> None:
    def needs_none(name: str, obj: Any) -> bool:
        raised = inspect.isclass(obj) and issubclass(obj, BaseException)  # by the library, not by its user
        return raised or (name not in FEW_NEED_ONE and any(fnmatch(name, pattern) for pattern in WITHOUT))

    bare = [
        name for name, obj in public(*ENGINES).items() if ">>>" not in (obj.__doc__ or "") and not needs_none(name, obj)
    ]
    assert bare == []


def test_what_has_no_example_exists() -> None:
    unused = [pattern for pattern in WITHOUT if not any(fnmatch(name, pattern) for name in public(*ENGINES))]
    assert [pattern for pattern in unused if "spark" not in pattern] == []


def parameters(obj: Any) -> list[str]:
    """What a call takes, as far as the class itself says so."""
    if inspect.isclass(obj):
        if "__init__" not in vars(obj) or issubclass(obj, BaseException) or getattr(obj, "_is_protocol", False):
            return []
        obj = obj.__init__
    return [own for own in inspect.signature(obj).parameters if own not in ("self", "cls")]


def test_arguments_are_those_of_the_signature() -> None:
    wrong: dict[str, Any] = {}
    for name, obj in documented(*ENGINES).items():
        parts, taken = sections(obj), parameters(obj)
        listed = list(entries(parts.get("Args") or parts.get("Attributes", "")))
        if (
            listed != taken
            if "Args" in parts
            else taken and name in public(*ENGINES) and not EXPLAINED.search(parts[""]) and not listed
        ):
            wrong[name] = listed, taken
    assert wrong == {}


def test_errors_exist() -> None:
    wrong: list[str] = []
    for name, obj in documented(*ENGINES).items():
        places = [vars(place) for place in (errors, builtins, inspect.getmodule(obj))]
        for raised, text in entries(sections(obj).get("Raises", "")).items():
            kind = next((place[raised] for place in places if raised in place), None)
            also = re.findall(r"^ *\(an? ``(\w+)``\)", text)
            if kind is None or not all(issubclass(kind, getattr(builtins, base)) for base in also):
                wrong.append(f"{name}: {raised}{text}")
    assert wrong == []


def test_there_is_a_summary() -> None:
    summaries = {
        name: inspect.cleandoc(obj.__doc__ or "").split("\n\n")[0] for name, obj in documented(*ENGINES).items()
    }
    assert [name for name, summary in summaries.items() if not summary.endswith((".", ":"))] == []
