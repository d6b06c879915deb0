"""What is published, and what continuous integration runs, is what is in the repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import leftovers

import release
import versions

ROOT = Path(__file__).parents[1]
CACHES = {"__pycache__", ".pytest_cache", ".hypothesis"}


def files_here() -> set[str]:
    """The files of the repository, or of an unpacked source archive."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout.split(
            "\n"
        )
        return {name for name in listed if name and (ROOT / name).is_file() and not name.startswith(".ci/")}
    every = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return {str(path) for path in every if not CACHES & set(path.parts)} - {"PKG-INFO"}


def test_the_source_archive_holds_every_file(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (archive,) = tmp_path.iterdir()
    with tarfile.open(archive) as file:
        packed = {name.partition("/")[2] for name in file.getnames()}
    assert packed == files_here() | {"PKG-INFO"}


def test_versions_of_python_are_the_same_everywhere() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    every = [tuple(re.findall(r'"(3\.\d+)"', line)) for line in workflow.splitlines() if "python: [" in line]
    assert versions.PYTHONS in every
    about = versions.project()
    prefix = "Programming Language :: Python :: "
    named = {name.removeprefix(prefix) for name in about["classifiers"] if name.startswith(f"{prefix}3.")}
    assert named <= set(versions.PYTHONS)
    assert about["requires-python"] == f">={versions.PYTHONS[0]}"


def test_continuous_integration_runs_targets_of_make() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    commands = re.findall(r"^ *- run: (.*)$", workflow, re.M)
    assert len(commands) == workflow.count("run: ") == 4
    assert all(command.split()[0] == "make" and command.split()[1] in targets for command in commands)


def test_lower_bounds_are_those_of_the_project() -> None:
    lows = versions.lower_bounds()
    assert {"torch", "numpy", "obstore", "pytest", "pillow"} <= set(lows)
    assert all(re.fullmatch(r"\d+(\.\d+)*", low) for low in lows.values())


def test_versions_say_what_is_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["versions.py", "--pythons", "3.99", "--dependencies", "newest"])
    assert versions.main() == 1
    assert re.search(r"^3\.99 +newest +not there +no python3\.99 on PATH", capsys.readouterr().out, re.M)


def test_a_release_names_one_version(tmp_path: Path) -> None:
    (tmp_path / "src" / "streaming").mkdir(parents=True)
    (tmp_path / "src" / "streaming" / "__init__.py").write_text('__version__ = "1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.0\n")
    release.check_version(tmp_path, Path("streaming_dataset-1.0-py3-none-any.whl"))
    with pytest.raises(SystemExit, match=r"version 1\.1, streaming\.__version__ 1\.0"):
        release.check_version(tmp_path, Path("streaming_dataset-1.1-py3-none-any.whl"))


def test_torch_with_cuda_is_taken_only_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    builds = ["2.13.0", "2.6.0+cpu", "2.6.0", "2.4.1", "2.4.0"]
    monkeypatch.setattr(sys, "platform", "linux")
    picked = [versions.pick_build(builds, large, low) for low in ("2.4", "2.6", "2.3") for large in (False, True)]
    assert picked == [None, "2.4.0", "2.6.0+cpu", "2.6.0+cpu", None, None]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert versions.pick_build(builds, False, "2.4") == "2.4.0"


def test_what_failed_tests_leave_in_memory_goes_in_the_end(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(60)
    owners = {"told": gone.pid, "told_lately": gone.pid, "talive": os.getpid()}
    for name, owner in owners.items():
        (tmp_path / name / "pytest-of-me").mkdir(parents=True)
        (tmp_path / name / "owner").write_text(str(owner))
        os.utime(tmp_path / name / "owner", (0, 0) if name != "told_lately" else None)
    (tmp_path / "theirs").mkdir()
    made = leftovers.begin(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"told_lately", "talive", "theirs", made.name}
    for name in ("pytest-of-me", "pymp-1", "cache"):
        (made / name).mkdir()
    (made / "file").touch()
    (made / "pytest-of-me" / "said").touch()
    (made / "link").symlink_to(tmp_path / "theirs")
    leftovers.end(made, failed=True)
    assert {path.name for path in made.iterdir()} <= {"owner", "pytest-of-me", "link"}
    (made / "pytest-of-me" / "said").unlink()
    leftovers.end(made, failed=True)
    assert not made.exists()
    made = leftovers.begin(tmp_path)
    leftovers.end(made, failed=False)
    assert not made.exists()
    assert (tmp_path / "theirs").is_dir()
