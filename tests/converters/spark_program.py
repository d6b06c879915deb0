"""Spark's own small cluster, whose executors are processes, and a partition that is written while one of them is lost."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark

__all__ = ["OPTIONS", "Losing", "begin", "parent_of"]

# Java's second compiler, and collectors with threads of their own, pay in hours; checks of Spark's bytecode never.
OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"


def begin(master: str, **config: str) -> Any:
    """A session of Spark on this machine."""
    from pyspark.sql import SparkSession

    os.environ.update(PYSPARK_PYTHON=sys.executable, PYSPARK_DRIVER_PYTHON=sys.executable)
    known = {
        "spark.ui.enabled": "false",
        "spark.driver.extraJavaOptions": OPTIONS,
        "spark.executor.extraJavaOptions": OPTIONS,
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        **config,
    }
    builder: Any = SparkSession.builder.master(master)
    for name, value in known.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.addPyFile(__file__)
    return session


def own_home(path: Path) -> str:
    """Spark's files where its cluster may write beside them."""
    path.mkdir()
    for entry in Path(pyspark.__file__).parent.iterdir():
        (path / entry.name).symlink_to(entry)
    return str(path)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Losing:
    """Makes samples of frames; the first that comes to one loses its process: Python's, or the executor that began it."""

    def __init__(self, mark: str, at: int, executor: bool) -> None:
        self.mark, self.at, self.executor = mark, at, executor

    def __call__(self, frame: Any) -> Iterator[dict[str, Any]]:
        for number in map(int, frame["id"]):
            if number == self.at and not os.path.exists(self.mark):
                Path(self.mark).touch()
                os.kill(parent_of(os.getppid()) if self.executor else os.getpid(), signal.SIGKILL)
            yield {"id": number, "text": "x" * 100}


if __name__ == "__main__":
    from streaming.converters.spark import dataframe_to_mds

    out, work = sys.argv[1], Path(sys.argv[2])
    os.environ["SPARK_HOME"] = own_home(work / "home")
    session = begin("local-cluster[2,1,512]", **{"spark.executor.memory": "512m"})
    frame = session.range(0, 600, 1, 4)
    arguments: Any = {"out": out, "columns": {"id": "int", "text": "str"}, "size_limit": 2000}
    dataframe_to_mds(frame, True, arguments, Losing(str(work / "mark"), 200, executor=True))
    session.stop()
