"""Measure this library against the original, its peers and the physical limit, in one interleaved run.

    make bench
    make bench BENCH_ARGS=--quick
    make bench BENCH_ARGS='--only read-tokens,cold --systems ours,original'
    STREAMING_ORIGINAL_PYTHON=/path/to/python make bench     # a Python that has mosaicml-streaming 0.13

Each system runs in processes and in an environment of its own, in turn, several times; medians are compared. What a
system cannot do, or fails at, leaves a hole in the table and a line below it; the rest goes on. Everything is written
under benchmarks/out: the environments and the data stay for the next run. The orders have their own measures in
benchmarks/order.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import environments
import report
from cases import BOTH, DATA, FORKS, GROUPS, ROWS, SYSTEMS, Group

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"
PREPARE_TIMEOUT_S = 300
ATTEMPTS = 4
TOO_LONG = "not done after"
PEER_ROUNDS = 2


def run_child(
    system: str, python: str, job: dict[str, Any], timeout_s: float, extra: dict[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Run one process and return what it gave for each operation; whatever happens to it is a result, too."""
    env = {**environments.environ(system), **(extra or {}), "BENCH_SPAWNED": repr(time.time())}
    segments = set(glob.glob("/dev/shm/0*"))
    process = subprocess.Popen(
        [python, str(HERE / "child.py"), json.dumps({**job, "system": system})],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=env, cwd=OUT,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=timeout_s)
        end = (err.strip().splitlines() or [f"it ended with {process.returncode}"])[-1][:300]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        end = f"{TOO_LONG} {timeout_s:g} s"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # workers that outlive it
    if system in ("original", *FORKS):
        remove_segments(segments)
    results = {}
    for line in out.splitlines():
        if line.startswith('{"operation"'):
            result = json.loads(line)
            results[result.pop("operation")] = result
    for name in job["operations"]:
        results.setdefault(name, {"error": end})
    return results


def is_sudden(result: dict[str, Any]) -> bool:
    """Say whether an operation failed, and not for taking too long."""
    return "error" in result and not result["error"].startswith(TOO_LONG)


def remove_segments(before: set[str]) -> None:
    """Remove the shared memory that the original left behind: new, and mapped by no process."""
    new = set(glob.glob("/dev/shm/0*")) - before
    if not new:
        return
    mapped = ""
    for path in glob.glob("/proc/[0-9]*/maps"):
        with contextlib.suppress(OSError), open(path) as file:
            mapped += "".join(line for line in file if "/dev/shm/" in line)
    for path in new:
        if path not in mapped:
            with contextlib.suppress(OSError):
                os.unlink(path)


def prepare(system: str, python: str, name: str, quick: bool, folder: Path) -> str | None:
    """Write a dataset for a system, unless an earlier run did; return what went wrong."""
    data = DATA[name]
    samples = data.quick if quick else data.samples
    options = {"samples": samples, "shard_bytes": data.shard_bytes, "compression": data.compression}
    mark = folder.with_name(f"{name}.json")
    wanted = json.dumps({"kind": data.kind, **options})
    if mark.exists() and mark.read_text() == wanted:
        return None
    mark.unlink(missing_ok=True)
    for path in (folder, folder.with_name(f"{name}-opened")):
        shutil.rmtree(path, ignore_errors=True)
    job = {"kind": data.kind, "folder": str(folder), "operations": ["prepare"], "options": options}
    print(f"  writing {name} for {system}", flush=True)
    result = run_child(system, python, job, PREPARE_TIMEOUT_S)["prepare"]
    if "error" in result:
        return f"its data could not be written: {result['error']}"
    mark.write_text(wanted)
    return None


def write_index(folder: Path, shards: int) -> None:
    """Write the index of a dataset of which nothing else exists."""
    if (folder / "index.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    entry = (
        '{"column_encodings":["int"],"column_names":["id"],"column_sizes":[8],"compression":null,"format":"mds",'
        '"hashes":[],"raw_data":{"basename":"shard.%07d.mds","bytes":1000000,"hashes":{}},"samples":100,'
        '"size_limit":67108864,"version":2,"zip_data":null}'
    )
    with open(folder / "index.part", "w") as file:
        file.write('{"version":2,"shards":[')
        file.write(",".join(entry % number for number in range(shards)))
        file.write("]}")
    os.replace(folder / "index.part", folder / "index.json")


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Start the far server and return its address."""
    command = [sys.executable, str(HERE / "slow_server.py"), str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


class Run:
    """A run: the Pythons of the systems, the results so far, and the time that is left."""

    def __init__(self, pythons: dict[str, str], quick: bool, rounds: int | None, minutes: float) -> None:
        self.pythons, self.quick, self.rounds = pythons, quick, rounds
        self.deadline = time.monotonic() + minutes * 60
        self.results: report.Results = {}
        self.broken: dict[tuple[str, str], str] = {}
        self.data = OUT / ("data-quick" if quick else "data")
        self.address = ""

    def prepare(self, groups: list[Group]) -> None:
        """Write what the groups read."""
        for group in groups:
            for system in group.systems:
                if system in self.pythons and group.data and (system, group.data) not in self.broken:
                    folder = self.data / system / group.data
                    problem = prepare(system, self.pythons[system], group.data, self.quick, folder)
                    if problem:
                        self.broken[system, group.data] = problem
                        print(f"  {system} {group.data}: FAILED: {problem}", flush=True)
            if "shards" in group.options:
                write_index(self.data / "index" / group.name, group.options["shards"])

    def job(self, group: Group, system: str) -> dict[str, Any]:
        """Return what a process is told."""
        options = {**group.options, "abrupt": True}
        folder = OUT / "scratch" / f"{system}-{group.name}"
        kind = options.pop("kind", None) or DATA[group.data or ""].kind
        if "shards" in options:
            folder.mkdir(parents=True, exist_ok=True)
            source, target = self.data / "index" / group.name / "index.json", folder / "index.json"
            if not target.exists():
                shutil.copyfile(source, target)
        elif group.operations == ("remote",):
            assert group.data
            data = DATA[group.data]
            place = self.data / system / group.data
            options["samples"] = data.quick if self.quick else data.samples
            options["endpoint"] = self.address
            scheme = options.get("scheme", "s3")
            options["url"] = f"{self.address if scheme == 'http' else 's3:/'}/{system}/{group.data}"
            options["files"] = sorted(path.name for path in place.glob("*.tar"))
            if "cache_share" in options:
                options["cache_limit"] = int(options["samples"] * 4096 * options.pop("cache_share"))
        elif group.data:
            folder = self.data / system / group.data
        seconds = 0.4 if self.quick else 0.7
        return {"kind": kind, "folder": str(folder), "seconds": seconds, "options": options}

    def measure(self, group: Group, system: str) -> None:
        """Run a group once for a system."""
        kept = self.results.setdefault(group.name, {}).setdefault(system, {})
        problem = self.broken.get((system, group.data or ""))
        parts = [[name] for name in group.operations] if group.apart else [list(group.operations)]
        for operations in parts:
            for _ in range(ATTEMPTS):
                job = {**self.job(group, system), "operations": operations}
                if problem:
                    given: dict[str, dict[str, Any]] = {name: {"error": problem} for name in operations}
                else:
                    given = run_child(system, self.pythons[system], job, group.timeout_s)
                for name, result in given.items():
                    kept.setdefault(name, []).append(result)
                    self.tell(group, system, name, result)
                # What fails at times is given another chance at once, and its failures are told. So is what hangs, of
                # what a server may have a part in.
                failed = [result for result in given.values() if "error" in result]
                if problem or not any(is_sudden(result) or operations == ["remote"] for result in failed):
                    break
        if "shards" in group.options or group.operations == ("remote",):
            shutil.rmtree(OUT / "scratch" / f"{system}-{group.name}", ignore_errors=True)

    def tell(self, group: Group, system: str, name: str, result: dict[str, Any]) -> None:
        """Print a line."""
        if "absent" in result:
            return
        words = "  ".join(f"{key} {value:.4g}" for key, value in result.items() if key != "error")
        if "error" in result:
            words = f"FAILED: {result['error']}"
        print(f"  {group.name:18}{name:12}{system:12}{words}", flush=True)

    def go(self, groups: list[Group]) -> None:
        """Run all groups, round by round; those that had a round are left out once the time is over."""
        self.prepare(groups)
        with server(self.data) as self.address:
            for number in range(max(self.most_rounds(group, "ours") for group in groups)):
                print(f"round {number + 1}", flush=True)
                for group in groups:
                    for system in group.systems:
                        if system not in self.pythons or number >= self.most_rounds(group, system):
                            continue
                        if not number or (time.monotonic() < self.deadline and not self.is_hopeless(group, system)):
                            self.measure(group, system)

    def most_rounds(self, group: Group, system: str) -> int:
        """Return how often a system runs a group."""
        most = group.rounds
        if system not in BOTH and not any(
            row.peer and row.peer[0] == system for row in ROWS if row.group == group.name
        ):
            most = min(most, PEER_ROUNDS)
        return most if self.rounds is None else min(most, self.rounds)

    def is_hopeless(self, group: Group, system: str) -> bool:
        """Say whether a system took too long twice and has never done otherwise, or has no data."""
        runs = [run for part in self.results.get(group.name, {}).get(system, {}).values() for run in part]
        too_long = sum("error" in run and not is_sudden(run) for run in runs)
        return (too_long == len(runs) and too_long > 1) or (system, group.data or "") in self.broken


def choose(args: argparse.Namespace) -> tuple[list[Group], list[str]]:
    """Return the groups and systems of the command line."""
    groups = [group for group in GROUPS if group.quick or not args.quick]
    if args.only:
        names = args.only.split(",")
        groups = [group for group in GROUPS if any(group.name.startswith(name) for name in names)]
        if not groups:
            sys.exit(f"--only {args.only}: no such case. --list shows them.")
    systems = args.systems.split(",") if args.systems else list(SYSTEMS)
    unknown = [name for name in systems if name not in SYSTEMS]
    if unknown:
        sys.exit(f"--systems: there is no {', '.join(unknown)}; known: {', '.join(SYSTEMS)}.")
    return groups, systems


def main() -> None:
    """Set up the systems, run, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer cases, less data, one round: some minutes")
    parser.add_argument("--only", help="names of cases, or how they begin, with commas between them")
    parser.add_argument("--systems", help=f"of {','.join(SYSTEMS)}")
    parser.add_argument("--list", action="store_true", help="show the cases and the systems that can do them")
    parser.add_argument("--rounds", type=int, help="most runs of each system (default: 5 of what has a bar; quick: 1)")
    parser.add_argument("--minutes", type=float, default=40, help="after this time, only the first round is finished")
    args = parser.parse_args()
    groups, systems = choose(args)
    if args.list:
        for group in groups:
            print(f"{group.name:18}{' '.join(group.operations):34}{' '.join(group.systems)}")
        return
    OUT.mkdir(exist_ok=True)
    begin = time.monotonic()
    pythons = {}
    for system in systems:
        python, problem = environments.find(system)
        if python:
            pythons[system] = python
        else:
            print(f"{system} is left out: {problem}", flush=True)
    run = Run(pythons, args.quick, args.rounds or (1 if args.quick else None), args.minutes)
    try:
        run.go(groups)
    finally:
        shutil.rmtree(OUT / "scratch", ignore_errors=True)
        about = {"quick": args.quick, "rounds": run.rounds, "seconds": round(time.monotonic() - begin)}
        report.save(run.results, about, OUT)
    print("\n" + report.table(run.results))
    print("\n".join(report.failures(run.results)))
    print(f"\n{about['seconds']} s. Written to {OUT}: results.json, results.md, results.png.")


if __name__ == "__main__":
    main()
