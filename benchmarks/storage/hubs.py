"""What a store over a vendor's client costs: the Hugging Face Hub and Databricks's volumes, against the tests' fakes.

    python benchmarks/storage/hubs.py                          # our stores, and the vendors' clients used bare
    python benchmarks/storage/hubs.py --former REVISION        # and the stores of another revision of this repository

Every system runs in a process of its own, in turn, several times; medians are compared. The servers are on loopback in a
process of their own, so that what is measured is what the client and the store do, not the network.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
BIG, SMALL = 64 * MIB, 4096
TIMEOUT_S = 120

SERVE = f"""
import hashlib, json, sys, types
sys.path.insert(0, {str(ROOT / "tests")!r})
import hubs
from hubs import DATABRICKS_TOKEN, HF_TOKEN, databricks_server, hub_server

# The fake hashes what it has for each request, which is not what is measured.
sha1 = hashlib.sha1
hubs.hashlib = types.SimpleNamespace(sha1=lambda data: sha1(data[:4096] + str(len(data)).encode()))
hubs._Handler.disable_nagle_algorithm = True  # else every reply waits for an acknowledgement
class Quick(bytes):
    __repr__ = lambda self: str(len(self))

with hub_server() as hub, databricks_server() as workspace:
    hub.repos.add("datasets/owner/name")
    for name, size in (("big", {BIG}), ("small", {SMALL})):
        hub.files[f"datasets/owner/name@main/data/{{name}}"] = Quick(size)
        workspace.files[f"/Volumes/c/s/v/data/{{name}}"] = bytes(size)
    print(json.dumps([hub.url, HF_TOKEN, workspace.url, DATABRICKS_TOKEN]), flush=True)
    sys.stdin.read()
"""
OURS = """
from streaming.storage.registry import open_store
options = {"endpoint": at, "token": token} if family == "hf" else {"host": at, "token": token}
url = "hf://datasets/owner/name/data" if family == "hf" else "dbfs:/Volumes/c/s/v/data"
read = open_store(url, options).get
"""
BARE = """
if family == "hf":
    from huggingface_hub import HfFileSystem
    hub = HfFileSystem(endpoint=at, token=token)
    read = lambda name: hub.cat_file(f"datasets/owner/name/data/{name}")
else:
    from databricks.sdk import WorkspaceClient
    files = WorkspaceClient(host=at, token=token).files
    read = lambda name: files.download(f"/Volumes/c/s/v/data/{name}").contents.read()
"""
MEASURE = """
import json, sys, time
begun = time.perf_counter()
family, at, token = sys.argv[1:4]
READER
first = len(read("small")), time.perf_counter() - begun
times = []
for name, count in (("small", 100), ("big", 4)):
    read(name)
    start = time.perf_counter()
    for _ in range(count):
        size = len(read(name))
    times.append((size, (time.perf_counter() - start) / count))
print(json.dumps({"first_s": first[1], "small_s": times[0][1], "mib_s": times[1][0] / times[1][1] / 2**20}))
"""


def measure(reader: str, source: Path, family: str, server: list[str]) -> dict[str, float]:
    """Measure one system in a process."""
    program = MEASURE.replace("READER", reader)
    env = {**os.environ, "PYTHONPATH": str(source)}
    where = server[:2] if family == "hf" else server[2:]
    command = [sys.executable, "-c", program, family, *where]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--former", help="a revision whose stores are measured as well")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        systems = {"ours": (OURS, ROOT / "src"), "bare": (BARE, ROOT / "src")}
        if arguments.former:
            archive = subprocess.run(
                ["git", "archive", arguments.former, "src"], cwd=ROOT, capture_output=True, check=True
            )
            subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
            systems["former"] = OURS, Path(folder, "src")
        command = [sys.executable, "-c", SERVE]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout
            server = json.loads(process.stdout.readline())
            results: dict[tuple[str, str], list[Any]] = {}
            for _ in range(arguments.rounds):
                for family in ("hf", "volumes"):
                    for name, (reader, source) in systems.items():
                        results.setdefault((family, name), []).append(measure(reader, source, family, server))
            process.communicate()
    print("| | first object, with the client's import | an object of 4 KiB | 64 MiB at a time |\n|---|---:|---:|---:|")
    for (family, name), runs in results.items():
        first, small, speed = (median(run[key] for run in runs) for key in ("first_s", "small_s", "mib_s"))
        print(f"| `{family}`, {name} | {first:.2f} s | {small * 1e3:.2f} ms | {speed:,.0f} MiB/s |")


if __name__ == "__main__":
    main()
