"""The table of a run, as text, JSON and a plot."""

from __future__ import annotations

import json
import os
import platform
import statistics
from pathlib import Path
from typing import Any

from cases import PEERS, ROWS, SYSTEMS, Row

# results[group][system][operation] is a list of what the runs gave: figures, {"absent": True} or {"error": ...}.
Results = dict[str, dict[str, dict[str, list[dict[str, Any]]]]]


def median(runs: list[dict[str, Any]], metric: str) -> float | None:
    """Return the median of the runs that succeeded."""
    values = [run[metric] for run in runs if metric in run]
    return statistics.median(values) if values else None


def summary(row: Row, results: Results) -> dict[str, Any] | None:
    """Return the figures of a row, or None if its group did not run."""
    if row.group not in results:
        return None
    found = {"title": row.title, "group": row.group, "unit": row.unit, "values": {}, "failed": {}, "runs": {}}
    for system, operations in results[row.group].items():
        runs = operations.get(row.operation, [])
        value = median(runs, row.metric)
        errors = [run["error"] for run in runs if "error" in run]
        if value is not None:
            found["values"][system] = value
            found["runs"][system] = [run[row.metric] for run in runs if row.metric in run]
        if errors:
            found["failed"][system] = f"{len(errors)} of {len(runs)}: {errors[0]}"
    ours = found["values"].get("ours")
    ratios = {name: value / ours for name, value in found["values"].items() if ours and name != "ours"}
    found["to_limit"] = 1 / ratios["limit"] if ratios.get("limit") else None
    found["to_original"] = ratios.get("original")
    peers = {name: ratios[name] for name in PEERS if name in ratios}
    found["best_peer"] = min(peers, key=lambda name: peers[name]) if peers else None
    found["to_peer"] = peers[found["best_peer"]] if peers else None
    found["bar"], found["met"] = bar(row, ratios)
    return found


def bar(row: Row, ratios: dict[str, float]) -> tuple[str, bool | None]:
    """Return the bar in words, and whether it is met, None if there is nothing to compare with."""
    wanted = [("original", row.bar)] if row.bar else []
    wanted += [row.peer] if row.peer else []
    words = ", ".join(f"{least:g}x" if name == "original" else f"{least:g}x {name}" for name, least in wanted)
    known = [ratios[name] >= least for name, least in wanted if name in ratios]
    return words, all(known) if known else None


def figure(value: float | None, unit: str) -> str:
    """Write a figure with as many digits as it bears."""
    if value is None:
        return ""
    if unit == "s" and value < 0.1:
        value, unit = (value * 1e3, "ms") if value >= 1e-3 else (value * 1e6, "µs")
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def ratio(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}x" if value >= 20 else f"{value:.1f}x"


def table(results: Results) -> str:
    """Return the table in Markdown: a row for each that has run."""
    systems = [name for name in SYSTEMS if any(name in group for group in results.values())]
    head = ["what", *systems, "ours / limit", "original / ours", "best peer / ours", "bar", "met"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 3) + "---|---|"]
    for row in ROWS:
        found = summary(row, results)
        if found is None:
            continue
        cells = [row.title]
        for name in systems:
            value, failed = figure(found["values"].get(name), row.unit), found["failed"].get(name)
            share = f"FAILED {failed.partition(':')[0]}" if failed else ""
            cells.append(f"{value} ({share})" if value and failed else value or share)
        cells += [ratio(found["to_limit"]), ratio(found["to_original"]), ratio(found["to_peer"]), found["bar"]]
        cells.append({True: "yes", False: "no", None: ""}[found["met"]])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def failures(results: Results) -> list[str]:
    """Return a line for each operation of a system that failed."""
    lines = []
    for group, systems in results.items():
        for system, operations in systems.items():
            for operation, runs in operations.items():
                errors = [run["error"] for run in runs if "error" in run]
                if errors:
                    lines.append(f"FAILED {group} {operation} {system}, {len(errors)} of {len(runs)}: {errors[0]}")
    return lines


def machine() -> dict[str, Any]:
    """Describe the machine in neutral words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def save(results: Results, about: dict[str, Any], out: Path) -> None:
    """Write results.json, results.md and results.png."""
    rows = [found for row in ROWS if (found := summary(row, results))]
    text = json.dumps({"machine": machine(), **about, "rows": rows, "runs": results}, indent=1)
    (out / "results.json").write_text(text)
    (out / "results.md").write_text(table(results) + "\n" + "".join(f"\n{line}\n" for line in failures(results)))
    plot(rows, out / "results.png")


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw how many times our figure the others' are."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        print("matplotlib is not installed: no plot.")
        return
    rows = [row for row in rows if len(row["values"]) > 1 and row["values"].get("ours")][::-1]
    if not rows:
        return
    figure_, axes = plt.subplots(figsize=(9, 1.5 + 0.22 * len(rows)), layout="constrained")
    marks = {
        "limit": "k|",
        "original": "C3o",
        "community": "C4v",
        "neprr": "C5D",
        "litdata": "C0s",
        "webdataset": "C1^",
        "hf": "C2x",
    }
    for name, mark in marks.items():
        places = [i for i, row in enumerate(rows) if row["values"].get(name)]
        if places:
            values = [rows[i]["values"][name] / rows[i]["values"]["ours"] for i in places]
            axes.plot(values, places, mark, ms=10 if name == "limit" else 5, label=name)
    axes.axvline(1, color="0.7", lw=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [row["title"].replace("`", "") for row in rows], fontsize=7)
    axes.set_xlabel("times ours (right of the line: slower, or larger)")
    axes.legend(loc="lower right", fontsize=7)
    axes.grid(axis="x", alpha=0.3)
    figure_.savefig(path, dpi=110)
    plt.close(figure_)
