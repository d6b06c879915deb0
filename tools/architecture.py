"""Draw the layers of the package and their rooms from the imports in the sources: ``docs/img/architecture.svg``.

A layer stands above all that it imports. An arrow is an import that no chain of other arrows tells already. Inside a layer
that has rooms (folders, drawn in bold), they and the modules at its top stand in the same order; ``·`` parts those of one
height.

    python tools/architecture.py            # draw
    python tools/architecture.py --check    # exit 1 if the drawing is not that of the sources
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "streaming"
PICTURE = ROOT / "docs" / "img" / "architecture.svg"
WIDTH, LINE, PAD, GAP, BETWEEN, PER_LINE = 1120, 17, 10, 16, 44, 4
#: Small layers that stand side by side over the same others are drawn as one.
TOGETHER = ("text", "vision", "multimodal")

Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """Return the files of all modules of the layers, by dotted name."""
    found: dict[str, Path] = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if len(parts) > 1:
            found[".".join(p for p in parts if p != "__init__")] = path
    return found


def imports(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Yield the modules that a file imports, anywhere in it; what a registry names in text, it does not need."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name.removeprefix("streaming.") in known else node.module for name in inner]
        for name in names:
            name = name.removeprefix("streaming.") if name.startswith("streaming.") else ""
            if name in known:
                yield name


def layer_of(name: str) -> str:
    """Return the layer of a module."""
    layer = name.partition(".")[0]
    return " · ".join(TOGETHER) if layer in TOGETHER else layer


@cache
def graphs() -> tuple[Graph, dict[str, Graph]]:
    """Return which layer imports which, and in each layer which room imports which.

    A room is a folder, or one of the modules at the layer's top.
    """
    known = modules()
    imported = {name: set(imports(path, known)) for name, path in known.items()}
    within = {name: {o for o in others if layer_of(o) == layer_of(name)} for name, others in imported.items()}

    def room_of(name: str) -> str:
        return name.partition(".")[2].partition(".")[0]

    layers: Graph = {layer_of(name): set() for name in known}
    rooms: dict[str, Graph] = {layer: {} for layer in layers}
    for name, others in imported.items():
        layer, room = layer_of(name), room_of(name)
        layers[layer] |= {layer_of(other) for other in others} - {layer}
        if room:
            rooms[layer].setdefault(room, set()).update({room_of(other) for other in within[name]} - {room, ""})
    return layers, rooms


def floors(graph: Graph) -> list[list[str]]:
    """Return the nodes by height, the lowest first; each is above all that it reaches.

    Raises:
        ValueError: There is a circle.
    """
    height: dict[str, int] = {}
    left = dict(graph)
    while left:
        free = [name for name, below in left.items() if below <= height.keys()]
        if not free:
            raise ValueError(f"These import each other in a circle: {', '.join(sorted(left))}.")
        for name in free:
            height[name] = 1 + max((height[other] for other in graph[name]), default=-1)
            del left[name]
    found: list[list[str]] = [[] for _ in range(1 + max(height.values()))]
    for name in sorted(graph):
        found[height[name]].append(name)
    return found


def reduced(graph: Graph) -> Graph:
    """Return the graph without the arrows that a chain of others tells already."""

    def reach(name: str) -> set[str]:
        return set().union(*({other} | reach(other) for other in graph[name]))

    return {
        name: {o for o in below if not any(o in reach(p) for p in below if p != o)} for name, below in graph.items()
    }


def labels(layer: str, rooms: Graph) -> list[str]:
    """Return the lines of text in a layer's box: its rooms, from the top down."""
    folders = {path.name for path in (PACKAGE / layer).glob("*/") if (path / "__init__.py").exists()}
    if not folders:
        return []
    lines: list[str] = []
    for row in reversed(floors(rooms)):
        names = sorted(row, key=lambda name: (name not in folders, name))
        shown = [f"<tspan class='f'>{name}</tspan>" if name in folders else name for name in names]
        lines += [" · ".join(shown[i : i + PER_LINE]) for i in range(0, len(shown), PER_LINE)]
    return lines


def _width(text: str) -> float:
    return 6.4 * len(re.sub("<[^>]*>", "", text))


def draw() -> str:
    """Return the picture."""
    layers, rooms = graphs()
    texts = {layer: labels(layer, rooms[layer]) for layer in layers}
    # Those with rooms first: most arrows are theirs.
    rows = [sorted(row, key=lambda layer: -bool(texts[layer])) for row in reversed(floors(layers))]
    boxes: dict[str, tuple[float, float, float, float]] = {}
    shapes: list[str] = []
    top = float(PAD)
    for row in rows:
        wide = [max(118, 9 * len(layer), *map(_width, texts[layer])) + 2 * PAD for layer in row]
        spare = (WIDTH - sum(wide) - GAP * (len(row) - 1)) / (len(row) + 1)
        heights = [(1 + len(texts[layer])) * LINE + 2 * PAD for layer in row]
        left = max(spare, 0.0)
        for layer, width, height in zip(row, wide, heights, strict=True):
            boxes[layer] = left, top, width, height
            left += width + GAP + max(spare, 0.0)
        top += max(heights) + BETWEEN
    for layer, below in sorted(reduced(layers).items()):
        for other in sorted(below):
            shapes.append(_arrow(boxes[layer], boxes[other]))
    for layer, box in boxes.items():
        shapes.append(_box(layer, texts[layer], box))
    total = int(top - BETWEEN + PAD)
    return _PAGE.format(width=WIDTH, height=total, body="\n".join(shapes))


def _arrow(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> str:
    x1, y1, x2, y2 = a[0] + a[2] / 2, a[1] + a[3], b[0] + b[2] / 2, b[1]
    middle = (y1 + y2) / 2
    return f'<path class="a" d="M{x1:.0f} {y1:.0f}C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2 - 5:.0f}"/>'


def _box(layer: str, texts: list[str], box: tuple[float, float, float, float]) -> str:
    x, y, width, height = box
    middle = x + width / 2
    lines = [f'<rect class="b" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6"/>']
    lines.append(f'<text class="t" x="{middle:.0f}" y="{y + PAD + 12:.0f}">{escape(layer)}</text>')
    for i, text in enumerate(texts, 1):
        lines.append(f'<text class="r" x="{middle:.0f}" y="{y + PAD + 12 + i * LINE:.0f}">{text}</text>')
    return "\n".join(lines)


_PAGE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<style>
text {{ font-family: system-ui, sans-serif; text-anchor: middle; fill: #1f2933; }}
.t {{ font-size: 14px; font-weight: 600; }}
.r {{ font-size: 12px; fill: #52606d; }}
.f {{ font-weight: 600; }}
.b {{ fill: #f5f7fa; stroke: #7b8794; }}
.a {{ fill: none; stroke: #9aa5b1; stroke-width: 1.3; marker-end: url(#tip); }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="6" markerHeight="6" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#9aa5b1"/></marker></defs>
<rect width="{width}" height="{height}" fill="#ffffff"/>
{body}
</svg>
"""


def main() -> int:
    """Draw, or compare."""
    picture = draw()
    if "--check" in sys.argv:
        if PICTURE.exists() and PICTURE.read_text(encoding="utf-8") == picture:
            return 0
        print(f"{PICTURE.relative_to(ROOT)} is not that of the sources. Run: python tools/architecture.py")
        return 1
    PICTURE.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
