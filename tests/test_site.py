"""The site: it is built without a warning, notebooks run, and what pages say of messages is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from programs import run_program

pytest.importorskip("myst_nb", reason="the extra `docs` is not installed")

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-D", "nb_execution_mode=off"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), str(DOCS), str(tmp_path / "site")],
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = {page.relative_to(tmp_path / "site").as_posix() for page in (tmp_path / "site").rglob("*.html")}
    assert {"index.html", "search.html", "api/reading.html", "notebooks/packing.html", "changelog.html"} <= pages
    assert "cache_limit" in (tmp_path / "site/api/reading.html").read_text()
    listed = re.findall(r"\]\(([\w/]+\.html)\)", (tmp_path / "site/llms.txt").read_text())
    assert len(listed) > 15
    assert set(listed) <= pages
    assert (tmp_path / "site/SKILL.md").is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(tmp_path: Path, path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert not any(cell.get("outputs") for cell in cells), "outputs are made when the site is built"
    code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (tmp_path / "notebook.py").write_text(code)
    status, out, said = run_program(tmp_path / "notebook.py", timeout_s=200)
    assert status == 0, said
    assert out


def test_what_assistants_are_told_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", (DOCS / "assistants/SKILL.md").read_text(), re.M | re.S)
    (tmp_path / "skill.py").write_text(block)
    status, _, said = run_program(tmp_path / "skill.py", timeout_s=200)
    assert status == 0, said


def test_the_messages_are_those_of_the_package() -> None:
    sources = "\n".join(path.read_text() for path in (DOCS.parent / "src").rglob("*.py"))
    plain = re.sub(r'"\s*\n\s*f?"', "", sources)
    rows = re.findall(r"^\| (`.*?) \|", (DOCS / "troubleshooting.md").read_text(), re.M)
    assert len(rows) > 8
    for row in rows:
        for message in re.findall(r"`([^`]+)`", row):
            for part in filter(None, (part.strip(" .") for part in message.split("…"))):
                assert part in plain, f"{part!r} is said nowhere"
