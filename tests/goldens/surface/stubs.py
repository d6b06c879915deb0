"""Stubs for type checkers of the modules that ``streaming.base`` makes from its table. Run to write them anew:

    python tests/goldens/surface/stubs.py
"""

from __future__ import annotations

from pathlib import Path

import streaming.base
from streaming.base._aliases import TABLE

ROOT = Path(streaming.base.__file__).parent


def stubs() -> dict[Path, str]:
    """Return the text of each stub by its path."""
    return {_path(module): _text(names) for module, names in TABLE.items() if module}


def _path(module: str) -> Path:
    is_package = any(other.startswith(f"{module}.") for other in TABLE)
    place = ROOT.joinpath(*module.split("."))
    return place / "__init__.pyi" if is_package else place.with_suffix(".pyi")


def _text(names: dict[str, str]) -> str:
    renamed: list[str] = []
    lines = ["# Written by tests/goldens/surface/stubs.py from streaming/base/_aliases.py."]
    for name, home in sorted(names.items(), key=lambda item: (item[1].partition(":")[0], item[0])):
        module, _, attribute = home.partition(":")
        if name == attribute:
            lines.append(f"from {module} import {name} as {name}")
        else:
            lines.append(f"from {module} import {attribute} as _{attribute}")
            renamed.append(f"{name} = _{attribute}")
    return "\n".join([*lines, *renamed]) + "\n"


if __name__ == "__main__":
    for path, text in stubs().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
