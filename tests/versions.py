"""Run a quick part of the tests with every Python of the machine, and with the oldest and newest dependencies.

``make test-versions`` calls this. Nothing is left out silently: the table at the end has a row for each pair of a Python
and a choice of dependencies, with what was run, or why it was not.

* ``newest`` is what pip chooses, with the torch of ``constraints.txt``.
* ``lowest`` is the lower bounds of ``pyproject.toml``; of a package whose lower bound has no build for a Python, what pip
  chooses, and the row says so.
* torch is left out, with the tests that need it, where all builds that are offered bring gigabytes of CUDA, unless
  ``--large`` is given.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
DEPENDENCIES = ("lowest", "newest")
TESTS = ("tests/core", "tests/format", "tests/order", "tests/writing/test_writer.py", "tests/dataset/test_dataset.py")
EXTRA = "quick"
# Where a Python may be that is not on PATH.
ELSEWHERE = ("~/.pyenv/versions/{}*/bin/python", "~/.local/share/uv/python/cpython-{}*/bin/python3")
NEEDS_TORCH = re.compile(r"\btorch\b|StreamingDataset|StreamingDataLoader|LocalDataset")
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[(?P<extras>[^\]]*)\])?(>=(?P<low>[\w.]+))?$")


@dataclass
class Row:
    """A line of the table."""

    python: str
    dependencies: str
    result: str = "not run"
    tests: str = ""
    remarks: list[str] = field(default_factory=list)


class NotInstalledError(Exception):
    """The packages of a row cannot be installed."""


def project() -> dict[str, Any]:
    """What pyproject.toml says of the project."""
    try:
        import tomllib
    except ModuleNotFoundError:  # before Python 3.11
        from pip._vendor import tomli as tomllib
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lower_bounds(extra: str = EXTRA) -> dict[str, str]:
    """Return the lower bound of each package that the project needs, with those of an extra."""
    about = project()
    found: dict[str, str] = {}
    left = [*about["dependencies"], *about["optional-dependencies"][extra]]
    while left:
        match = REQUIREMENT.match(left.pop(0).replace(" ", ""))
        assert match, "a requirement of pyproject.toml is not of the form NAME>=VERSION"
        if match["name"] == about["name"]:
            left += [each for name in match["extras"].split(",") for each in about["optional-dependencies"][name]]
        else:
            found[match["name"]] = match["low"]
    return found


def find_python(version: str) -> tuple[str, str] | None:
    """Return path and full version of an interpreter, or ``None``."""
    home = Path.home()
    others = [str(path) for text in ELSEWHERE for path in sorted(home.glob(text[2:].format(version)))]
    for path in filter(None, [shutil.which(f"python{version}"), *others]):
        done = run([path, "-c", "import platform; print(platform.python_version())"], limit_s=60)
        if done.returncode == 0 and done.stdout.startswith(f"{version}."):
            return path, done.stdout.strip()
    return None


def run(command: list[str], limit_s: float, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command within a time; one that takes longer has failed with status 124."""
    try:
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False, **options
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"took more than {limit_s:g} seconds")


def last_line(done: subprocess.CompletedProcess[str], errors_first: bool = True) -> str:
    """Return the last line that a command printed, or its status if a signal ended it before it said anything."""
    first, second = (done.stderr, done.stdout) if errors_first else (done.stdout, done.stderr)
    lines = (first.strip() or second.strip()).splitlines()
    return lines[-1] if lines else f"status {done.returncode}, without a word"


class Environment:
    """A virtual environment with the package and what a row asks for."""

    def __init__(self, python: str, row: Row, where: Path, large: bool) -> None:
        self.row, self.where, self.large, self.base = row, where, large, python
        self.python = str(where / "bin" / "python")

    def pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.python, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
        return run(command, limit_s=1800)

    def must(self, done: subprocess.CompletedProcess[str]) -> None:
        if done.returncode:
            raise NotInstalledError(last_line(done)[:100])

    def prepare(self) -> bool:
        """Install everything, unless it is there from an earlier time, and say whether torch is among it."""
        texts = [(ROOT / name).read_text() for name in ("pyproject.toml", "constraints.txt")]
        key = hashlib.sha256("\0".join([*texts, self.row.python, str(self.large)]).encode()).hexdigest()
        stamp = self.where / "installed.json"
        known = json.loads(stamp.read_text()) if stamp.exists() else {}
        if known.get("key") != key:
            shutil.rmtree(self.where, ignore_errors=True)
            self.must(run([self.base, "-m", "venv", str(self.where)], limit_s=900))
            self.must(self.pip("install", "-q", "-U", "pip"))
            known = {"key": key, "torch": self.install(), "remarks": self.row.remarks}
            stamp.write_text(json.dumps(known))
        self.row.remarks = known["remarks"]
        return known["torch"]

    def install(self) -> bool:
        lows = lower_bounds()
        wanted = [newest_torch()]
        torch_low = lows.pop("torch")
        if self.row.dependencies == "lowest":
            wanted.insert(0, torch_low)
        builds = self.torch_builds()
        torch = next((each for each in map(partial(pick_build, builds, self.large), wanted) if each), None)
        if torch:
            self.must(self.pip("install", "-q", f"torch=={torch}"))
            self.row.remarks.append(f"torch {torch}")
        else:
            self.row.remarks.append(f"without torch {' or '.join(wanted)}: not offered, or only with CUDA (--large)")
        pins = {name: low for name, low in lows.items() if self.row.dependencies == "lowest" and self.exact(name, low)}
        missing = [f"{name} {low}" for name, low in lows.items() if name not in pins]
        if missing and self.row.dependencies == "lowest":
            self.row.remarks.append(f"newest instead of {', '.join(missing)}: no build for this Python")
        every = [f"{name}=={pins[name]}" if name in pins else f"{name}>={low}" for name, low in lows.items()]
        self.must(self.pip("install", "-q", "--only-binary", ":all:", *every))
        self.must(self.pip("install", "-q", "--no-deps", "-e", "."))
        return torch is not None

    def exact(self, name: str, version: str) -> bool:
        """Say whether a version of a package has a build for this Python."""
        asked = self.pip("install", "-q", "--dry-run", "--no-deps", "--only-binary", ":all:", f"{name}=={version}")
        return asked.returncode == 0

    def torch_builds(self) -> list[str]:
        """Return the versions of torch that are offered for this Python, those for CPUs as ``X.Y.Z+cpu``."""
        found = re.search(r"Available versions: (.*)", self.pip("index", "versions", "torch").stdout)
        return found[1].split(", ") if found else []


def newest_torch() -> str:
    """Return the version of torch in constraints.txt."""
    (version,) = re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    return version


def pick_build(builds: list[str], large: bool, version: str) -> str | None:
    """Return the build of a version, the one for CPUs if there is one, and no other on Linux unless ``large``."""
    equal = [
        build for build in builds if re.sub(r"(\.0)+$", "", build.partition("+")[0]) == re.sub(r"(\.0)+$", "", version)
    ]
    small = [build for build in equal if build.endswith("+cpu") or sys.platform == "darwin"]
    return next(iter(small or equal if large else small), None)


def test_files(paths: list[str], torch: bool) -> list[str]:
    """Return the files of tests below some paths, without torch those that do not mention it."""
    found = [
        file
        for path in paths
        for file in sorted([ROOT / path] if path.endswith(".py") else (ROOT / path).rglob("test_*.py"))
    ]
    return [str(file.relative_to(ROOT)) for file in found if torch or not NEEDS_TORCH.search(file.read_text())]


def fill(row: Row, python: str, options: argparse.Namespace) -> None:
    """Prepare the environment of a row, run the tests in it, and note what came of it."""
    name = f"{'.'.join(row.python.split('.')[:2])}-{row.dependencies}"
    where = ROOT / ".venv-versions" / name
    environment = Environment(python, row, where, options.large)
    try:
        torch = environment.prepare()
    except NotInstalledError as error:
        row.result = "not installed"
        row.remarks.append(str(error))
        return
    files = test_files(options.tests, torch)
    # Of the checkout, whatever else is called `streaming` on this machine.
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(options.processes), *files]
    done = run(command, limit_s=options.limit_s, env=surroundings)
    where.with_name(f"{name}.log").write_text(f"{done.stdout}\n{done.stderr}")
    row.result = "passed" if done.returncode == 0 else "FAILED"
    row.tests = re.sub(r" in [\d.]+s.*| ?=+ ?", "", last_line(done, errors_first=False))
    if done.returncode:
        row.remarks.append(f"see .venv-versions/{name}.log")


def table(rows: list[Row]) -> str:
    lines = [("python", "dependencies", "result", "tests", "remarks")]
    lines += [(row.python, row.dependencies, row.result, row.tests, "; ".join(row.remarks)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pythons", nargs="+", default=PYTHONS, metavar="3.X")
    parser.add_argument("--dependencies", nargs="+", choices=DEPENDENCIES, default=DEPENDENCIES)
    parser.add_argument("--tests", nargs="+", default=TESTS, metavar="PATH")
    parser.add_argument("--processes", type=int, default=2, help="tests at once")
    parser.add_argument("--limit-s", type=float, default=1800, help="longest time of the tests of a row, in seconds")
    parser.add_argument("--large", action="store_true", help="install torch with CUDA where there is no other")
    options = parser.parse_args()
    rows: list[Row] = []
    for version in options.pythons:
        found = find_python(version)
        for dependencies in options.dependencies:
            row = Row(found[1] if found else version, dependencies)
            rows.append(row)
            if found is None:
                row.result = "not there"
                row.remarks.append(f"no python{version} on PATH, of pyenv or of uv")
                continue
            print(f"Python {row.python}, {dependencies} dependencies", flush=True)
            fill(row, found[0], options)
    print(table(rows))
    run_at_all = [row for row in rows if row.result != "not there"]
    return 0 if run_at_all and all(row.result == "passed" for row in run_at_all) else 1


if __name__ == "__main__":
    sys.exit(main())
