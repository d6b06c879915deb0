"""A conversion by Ray, ``python cluster_program.py SOURCE OUT MARK SHORT``; a process is lost where MARK is missing."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import streaming

ARGUMENTS: dict[str, Any] = {"size_limit": 2000, "compression": "zstd", "hashes": ["xxh64"], "progress_bar": False}


class Losing:
    """Kills its process, the first time that it is asked for a row in the middle."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __call__(self, row: Any) -> Any:
        if row["id"] == 300 and not os.path.exists(self.mark):
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return row


def convert(engine: Any, source: str, out: str, mark: str | None = None) -> Any:
    fn = None if mark is None else Losing(mark)
    return streaming.convert(source, out, engine=engine, fn=fn, **ARGUMENTS)


def sink(source: str, out: str) -> None:
    """The same rows from Ray Data, some without a value; and rows that do not fit."""
    import ray

    from streaming.converters.ray import MDSSink

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    data = ray.data.read_json(source, lines=True, override_num_blocks=2)
    data.write_datasink(MDSSink(out, size_limit=2000, compression="zstd"))
    tensors = ray.data.range_tensor(4, shape=(2, 3), override_num_blocks=1)
    tensors.write_datasink(MDSSink(f"{out}-tensors"))
    try:
        data.write_datasink(MDSSink(f"{out}-refused", columns={"id": "int64", "maybe": "int64"}))
    except Exception as error:
        print(type(error).__name__, error)
    try:
        data.write_datasink(MDSSink(out))
    except Exception as error:
        print(type(error).__name__, error)


if __name__ == "__main__":
    import ray

    from streaming.cli.main import main

    source, out, mark, short = sys.argv[1:]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 << 20, _temp_dir=short)
    assert main(["convert", source, f"{out}/shell", "--engine", "ray", "--json"]) == 0
    print(convert("ray", source, f"{out}/converted", mark).samples)
    sink(source, f"{out}/sink")
    ray.shutdown()
