"""The pictures of a plan: lines in a frame, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streaming.planning.facts import Facts, NodePlan

__all__ = ["Chart", "Line", "draw"]

Numbers = NDArray[np.float64]

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 320, 70, 34, 20, 46
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f")
_MOST_POINTS, _MOST_LINES = 1500, 8
_TICKS = 6
_BYTES = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))
_TIMES = ((86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a chart. Legend: X points.

    Attributes:
        name: What it is.
        x: ``float64[X]``, ascending.
        y: ``float64[X]``.
        is_stepped: Whether a value holds until the next.
    """

    name: str
    x: Numbers
    y: Numbers
    is_stepped: bool = False


@dataclass(frozen=True, eq=False)
class Chart:
    """A chart of lines from 0 up.

    Attributes:
        title: Stands above it.
        x_name: Of the axis from left to right, with its unit.
        y_name: Of the other.
        lines: The lines.
    """

    title: str
    x_name: str
    y_name: str
    lines: Sequence[Line]

    def svg(self) -> str:
        """Return the chart as SVG."""
        lines = [_thinned(line) for line in self.lines[:_MOST_LINES]]
        x_most = max((float(line.x.max(initial=0)) for line in lines), default=0) or 1.0
        y_most = max((float(line.y.max(initial=0)) for line in lines), default=0) or 1.0
        y_most = _step(y_most) * math.ceil(y_most / _step(y_most) - 1e-9)
        parts = [*self._frame(x_most, y_most)]
        for line, colour in zip(lines, _COLOURS, strict=False):
            points = " ".join(f"{_x(x / x_most):.1f},{_y(y / y_most):.1f}" for x, y in _corners(line))
            parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>')
        if len(lines) > 1:
            parts += _legend(lines)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
            'font-family="sans-serif" font-size="12">'
        )
        return "\n".join([head, f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>', *parts, "</svg>\n"])

    def _frame(self, x_most: float, y_most: float) -> Iterable[str]:
        yield _text(_LEFT, 20, self.title, "start", ' font-weight="bold"')
        for value in _ticks(y_most):
            y = _y(value / y_most)
            yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
            yield _text(_LEFT - 6, y + 4, _number(value), "end")
        for value in _ticks(x_most):
            yield _text(_x(value / x_most), _HEIGHT - _BOTTOM + 18, _number(value), "middle")
        yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, self.x_name, "middle")
        yield _text(0, 0, self.y_name, "middle", f' transform="translate(14 {_HEIGHT / 2}) rotate(-90)"')


def _step(most: float) -> float:
    """Return 1, 2 or 5 times a power of ten, of which some go into a number."""
    power = 10.0 ** math.floor(math.log10(most / _TICKS))
    return power * next(step for step in (1, 2, 5, 10) if most / (power * step) <= _TICKS)


def _ticks(most: float) -> list[float]:
    step = _step(most)
    return [i * step for i in range(int(most / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _legend(lines: Sequence[Line]) -> Iterable[str]:
    for i, (line, colour) in enumerate(zip(lines, _COLOURS, strict=False)):
        y = _TOP + 8 + 16 * i
        yield f'<line x1="{_LEFT + 10}" x2="{_LEFT + 30}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
        yield _text(_LEFT + 36, y + 4, line.name, "start")


def _thinned(line: Line) -> Line:
    """Return a line of no more points than can be seen, its last among them."""
    if len(line.x) <= _MOST_POINTS:
        return line
    kept = np.unique(np.linspace(0, len(line.x) - 1, _MOST_POINTS).astype(np.int64))
    return Line(line.name, line.x[kept], line.y[kept], line.is_stepped)


def _corners(line: Line) -> Iterable[tuple[float, float]]:
    before: float | None = None
    for x, y in zip(line.x.tolist(), line.y.tolist(), strict=True):
        if line.is_stepped and before is not None:
            yield x, before
        yield x, y
        before = y


def draw(plan: Facts, directory: Path) -> list[Path]:
    """Write the pictures of a plan, and return their files."""
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, chart in charts(plan).items():
        written.append(directory / f"{name}.svg")
        written[-1].write_text(chart.svg(), encoding="utf-8")
    return written


def charts(plan: Facts) -> dict[str, Chart]:
    """Return the charts of a plan by the names of their files."""
    timing, quality = plan.timing, plan.quality
    begin, end = np.zeros(1), np.array([timing.total_s])
    size, bytes_name = _unit(float(timing.arrived[-1]) if len(timing.arrived) else 0.0, _BYTES)
    span, time_name = _unit(timing.total_s, _TIMES)
    x = np.concatenate([begin, timing.arrivals, end]) / span
    arrived = timing.arrived.astype(np.float64) / size
    y = np.concatenate([begin, arrived, arrived[-1:] if len(arrived) else begin])
    most = max(float(node.replayed.held.max(initial=0)) for node in plan.nodes) + plan.index_bytes
    disk, disk_name = _unit(most, _BYTES)
    by_step = [_node_lines(node, plan, disk) for node in plan.nodes]
    random = np.full(len(quality.steps), quality.at_random)
    mixing = [
        Line("a batch", quality.steps.astype(np.float64), quality.shards.astype(np.float64)),
        Line("at random", quality.steps.astype(np.float64), random),
    ]
    return {
        "download": Chart("Downloaded by all nodes", time_name, bytes_name, [Line("all nodes", x, y, is_stepped=True)]),
        "cache": Chart("On the disk of each node", "step", disk_name, [held for held, _ in by_step]),
        "in_use": Chart("Shards in use at a time, on each node", "step", "shards", [used for _, used in by_step]),
        "quality": Chart("Shards that a global batch draws on", "step", "shards", mixing),
    }


def _unit(most: float, units: Sequence[tuple[float, str]]) -> tuple[float, str]:
    """Return the unit in which a number is no small one."""
    return next((unit for unit in units if most >= 2 * unit[0]), units[-1])


def _node_lines(node: NodePlan, plan: Facts, unit: float) -> tuple[Line, Line]:
    demand, first, last = node.demand, node.nodes[0], node.nodes[-1]
    name = f"node {first}" if first == last else f"nodes {first} to {last}"
    ends = np.array([plan.counts.steps], np.float64)
    held = (node.replayed.held + plan.index_bytes) / unit
    cache = Line(
        name,
        np.append(demand.first.astype(np.float64), ends),
        np.append(held, held[-1:] if len(held) else ends * 0),
        True,
    )
    edges = np.concatenate([demand.first, demand.last + 1]).astype(np.float64)
    turn = np.argsort(edges, kind="stable")
    change = np.repeat([1.0, -1.0], len(demand.first))[turn]
    steps, at = np.unique(edges[turn], return_index=True)
    counts = np.add.reduceat(change, at) if len(at) else change
    return cache, Line(name, steps, np.cumsum(counts), True)
