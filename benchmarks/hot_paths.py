"""Where the time goes in the hottest paths: functions by their own time, per sample, of the tokens that run.py wrote.

    python benchmarks/hot_paths.py [DATA]        # tokens, text, small, images, columns

The profiler's own cost is in the figures: shares mean something, sums do not.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

from child import BATCH, ids_of  # noqa: E402
from systems import mds  # noqa: E402

COUNT = 20_000
SHOWN = 8


def paths(kind: str, folder: Path) -> dict[str, Callable[[], int]]:
    """Return what to profile, by name; each tells how many samples it read."""
    data = mds.dataset(folder, shuffle=True)
    ids = ids_of(data.num_samples, COUNT, 0)
    batches = mds.batches(kind, folder, 0, BATCH)

    def get() -> int:
        for i in ids:
            data[i]
        return len(ids)

    def iterate() -> int:
        return sum(1 for _ in data)

    def load() -> int:
        return sum(BATCH for _ in batches)

    return {"ds[i]": get, "for s in ds, shuffled": iterate, "StreamingDataLoader, 0 workers": load}


def place(function: tuple[str, int, str]) -> str:
    """Return a function's place without the machine's folders."""
    file, line, name = function
    short = "/".join(Path(file).parts[-2:])
    return f"{short}:{line} {name}" if line else name


def main() -> None:
    """Print a table for each path."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "tokens"
    folders = [HERE / "out" / name / "ours" / kind for name in ("data", "data-quick")]
    folder = next((path for path in folders if path.exists()), None)
    if folder is None:
        sys.exit(f"There is no data of kind {kind!r} yet: run benchmarks/run.py --only read-{kind} first.")
    for name, work in paths(kind, folder).items():
        work()
        profile = cProfile.Profile()
        profile.enable()
        count = work()
        profile.disable()
        stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
        total = sum(own for _, _, own, _, _ in stats.values())
        print(f"\n{name}: {total / count * 1e6:.2f} µs a sample under the profiler")
        for function, (_, calls, own, _, _) in sorted(stats.items(), key=lambda item: -item[1][2])[:SHOWN]:
            print(f"  {own / total:5.0%}  {calls / count:8.3f} calls a sample  {place(function)}")


if __name__ == "__main__":
    main()
