"""Which layer may import which: read from the sources, held against the table."""

from __future__ import annotations

import ast
import runpy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import streaming

ROOT = Path(streaming.__file__).parent
PACKAGE = "streaming"

# Each layer and those it may import; what a layer may import, it may import all the way down.
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "units": {"core"},
    "format": {"core"},
    "storage": {"core"},
    "order": {"core"},
    "packing": {"core", "order", "units"},
    "columns": {"core", "format", "storage"},
    "cache": {"core", "units", "format", "storage"},
    "inplace": {"core", "columns", "format", "storage", "cache", "sources"},
    "sources": {"core", "format", "storage", "columns", "cache"},
    "converting": {"core", "format", "storage", "columns", "sources", "inplace", "writing"},
    "writing": {"core", "format", "storage", "columns"},
    "planning": {"core", "order", "cache"},
    "dataset": {
        "core",
        "format",
        "storage",
        "order",
        "units",
        "packing",
        "columns",
        "cache",
        "sources",
        "inplace",
        "planning",
    },
    "loader": {"core", "format", "storage", "order", "cache", "dataset"},
    "cli": {
        "converting",
        "core",
        "inplace",
        "units",
        "format",
        "storage",
        "order",
        "packing",
        "columns",
        "cache",
        "writing",
        "dataset",
        "loader",
        "planning",
    },
    "converters": {"core", "format", "storage", "sources", "converting", "writing"},
    "metrics": {"core", "format", "storage", "order", "cache", "dataset", "loader"},
    "trainers": {"core", "format", "storage", "order", "cache", "dataset", "loader"},
    "collate": {"core", "format", "storage", "order", "cache", "dataset", "loader", "vision"},
    **{
        name: {"core", "format", "storage", "order", "cache", "writing", "dataset", "loader", "converting"}
        for name in ("text", "vision", "multimodal")
    },
    "base": {"core", "format", "storage", "order", "cache", "writing", "dataset", "loader", "converters"},
}
# No file of these layers may import these, anywhere.
FORBIDDEN_PACKAGES = {
    "core": {"torch", "obstore", "numpy.random"},
    "format": {"torch", "obstore", "requests"},
    "order": {"torch", "obstore", "os", "time", "random", "threading"},
    "storage": {"torch", "numpy"},
    "writing": {"torch"},
    "cache": {"torch", "obstore"},
}


def nodes_of(path: Path) -> list[ast.AST]:
    """What a file consists of."""
    return list(ast.walk(ast.parse(path.read_text())))


@cache
def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, at the top or inside functions."""
    found: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


SOURCES = sorted(p for p in ROOT.rglob("*.py") if p.parent != ROOT)


def test_every_folder_is_a_layer() -> None:
    folders = {layer_of(p) for p in SOURCES}
    assert folders <= set(ALLOWED)
    assert len(SOURCES) > 20


@pytest.mark.parametrize("layer", sorted({layer_of(p) for p in SOURCES}))
def test_imports_go_down(layer: str) -> None:
    for path, name in ((path, name) for path in SOURCES if layer_of(path) == layer for name in imports_of(path)):
        parts = name.split(".")
        if parts[0] == PACKAGE:
            assert len(parts) > 1, f"{path} imports the package's face, not a layer"
            assert parts[1] in ALLOWED[layer] | {layer}, f"{path}: {layer} must not import {name}"
        for forbidden in FORBIDDEN_PACKAGES.get(layer, set()):
            assert not f"{name}.".startswith(f"{forbidden}."), f"{path}: {layer} must not import {name}"


def test_names_that_are_strings_obey_too() -> None:
    """Registries name modules in text: those must go down as well."""
    for path in SOURCES:
        layer = layer_of(path)
        for node in nodes_of(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
                if text.startswith(f"{PACKAGE}.") and ":" in text and " " not in text:
                    assert text.split(".")[1] in ALLOWED[layer] | {layer}, f"{path}: {text}"


@pytest.fixture(scope="module")
def drawing() -> dict[str, Any]:
    """The program that draws the layers."""
    path = Path(__file__).parent.parent / "tools" / "architecture.py"
    return runpy.run_path(str(path))


def test_rooms_import_in_one_direction(drawing: dict[str, Any]) -> None:
    """Neither layers nor the rooms and modules of a layer import each other in a circle."""
    layers, rooms = drawing["graphs"]()
    for graph in (layers, *rooms.values()):
        assert sorted(name for row in drawing["floors"](graph) for name in row) == sorted(graph)
    assert {"bookkeeping", "files", "fetching", "planning", "reading"} <= rooms["cache"].keys()


def test_rooms_are_small() -> None:
    for folder in {p.parent for p in SOURCES}:
        assert len([p for p in folder.glob("*.py") if p.name != "__init__.py"]) <= 15, folder


def test_the_drawing_is_of_the_sources(drawing: dict[str, Any]) -> None:
    assert drawing["PICTURE"].read_text() == drawing["draw"](), "run: python tools/architecture.py"


def test_the_readme_has_every_layer_below_what_it_imports() -> None:
    lines = (Path(__file__).parents[1] / "README.md").read_text().splitlines()
    listed = lines[lines.index("    src/streaming/") + 1 :]
    listed = listed[: listed.index("")]
    layers = [name.strip(" /") for line in listed for name in line.strip().split("  ")[0].split(",")]
    assert sorted(layers) == sorted(ALLOWED)
    for layer, imported in ALLOWED.items():
        for other in imported:
            assert layers.index(other) < layers.index(layer), f"{layer} imports {other}, which comes later"
