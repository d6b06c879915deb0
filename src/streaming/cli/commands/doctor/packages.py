"""Versions of this package and of those that it uses, and others with its import name."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata

from streaming.cli.commands.doctor.findings import Finding
from streaming_dataset import NAME, find_missing, find_namesakes

__all__ = ["find_packages"]

_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?\s*(?:>=\s*([\d.]+))?")
#: Extras for those who work on the package itself.
_INNER_EXTRAS = {"all", "bench", "demo", "dev", "docs", "quick", "test"}


def find_packages() -> Iterator[Finding]:
    """Yield the versions of Python, this package and its dependencies; of optional ones, by extra."""
    yield Finding("packages", "python", f"{platform.python_version()}, {sys.executable}")
    yield Finding("packages", "platform", platform.platform())
    yield _itself()
    yield from _namesakes()
    extras: dict[str, list[str]] = {}
    for text in metadata.requires(NAME) or []:
        needed, _, marker = text.partition(";")
        match = _REQUIREMENT.match(needed)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if match is None or (extra and extra[1] in _INNER_EXTRAS):
            continue
        if extra is None:
            yield _dependency(match[1], match[2])
        else:
            extras.setdefault(extra[1], []).append(_optional(match[1], match[2]))
    for name, found in sorted(extras.items()):
        old = any("older than" in text for text in found)
        advice = f"pip install -U '{NAME}[{name}]'" if old else ""
        yield Finding("extras", name, ", ".join(found), "warning" if old else "ok", advice)


def _itself() -> Finding:
    # The package's folder is three above this one.
    here = os.path.abspath(__file__)
    for _ in range(4):
        here = os.path.dirname(here)
    value = f"{metadata.version(NAME)}, {here}"
    missing = find_missing()
    if not missing:
        return Finding("packages", NAME, value)
    value += f", of which {len(missing)} files are missing, such as {missing[0]}"
    why = "Removing a package of the same import name removes files of both."
    return Finding("packages", NAME, value, "problem", f"{why} pip uninstall {NAME}; pip install {NAME}")


def _namesakes() -> Iterator[Finding]:
    known = {_normal(name): _version(name) for name in metadata.packages_distributions().get("streaming", [])}
    for name, version in sorted({**known, **dict(find_namesakes())}.items()):
        if name != NAME and version is not None:
            yield Finding(
                "packages", name, f"{version}, which also installs the import name `streaming`", "problem",
                f"Two packages write into one folder. pip uninstall {name} {NAME}; pip install {NAME}",
            )  # fmt: skip


def _dependency(name: str, least: str | None) -> Finding:
    version = _version(name)
    if version is None:
        return Finding("packages", name, "not installed", "problem", f"pip install {name}")
    if _is_older(version, least):
        return Finding("packages", name, f"{version}, older than {least}", "problem", f"pip install -U {name}")
    return Finding("packages", name, version)


def _optional(name: str, least: str | None) -> str:
    version = _version(name)
    if version is None:
        return f"{name} not installed"
    return f"{name} {version}" + (f", older than {least}" if _is_older(version, least) else "")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_older(version: str, least: str | None) -> bool:
    return least is not None and _numbers(version) < _numbers(least)


def _numbers(version: str) -> list[int]:
    release = re.match(r"\d+(?:\.\d+)*", version)
    return [int(part) for part in release[0].split(".")] if release else []


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
