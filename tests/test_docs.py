"""The programs in README and docs: all are Python, and those that can run do, on folders in place of buckets."""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import streaming

from programs import run_program

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Pages of lines that go into a program of the reader's; another test runs them, or programs that have them.
FRAGMENTS = {"trainers.md", "storage.md"}
#: Pages whose blocks start engines of clusters, which takes long.
ENGINES = {"convert_cluster.md"}
#: Blocks that are left out: Spark, and a port of this machine.
LEFT_OUT = ("pyspark", "start_http_server")


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_python(page: Path) -> None:
    for block in blocks(page):
        compile(block, f"{page.name}: {block[:40]}", "exec")


PROGRAMS = [page for page in PAGES if blocks(page) and page.name not in FRAGMENTS]


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, id=p.name, marks=[pytest.mark.long] if p.name in ENGINES else []) for p in PROGRAMS],
)
def test_blocks_run_when_pasted_one_after_the_other(tmp_path: Path, page: Path) -> None:
    chosen = [block for block in blocks(page) if page.name in ENGINES or not any(word in block for word in LEFT_OUT)]
    program = "\n".join(chosen).replace('"[a-c]*.py"', '"b*.py"')  # a smaller corpus
    (tmp_path / "program.py").write_text(program)
    around = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    status, _, said = run_program(tmp_path / "program.py", environment=around, timeout_s=290)
    assert status == 0, f"{program}\n{said}"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_a_page_says_what_is_learnt(page: Path) -> None:
    text = page.read_text()
    if text.count("\n") > 1 and page.name != "index.md":  # else another file stands in its place
        assert "You will learn" in text[:1200], "begin the page with what its reader will learn"


def test_the_first_program_needs_nothing_but_itself(tmp_path: Path) -> None:
    first = next(iter(blocks(ROOT / "README.md")))
    (tmp_path / "first.py").write_text(first)
    for _ in range(2):  # whoever pastes it once pastes it again
        status, out, said = run_program(tmp_path / "first.py", timeout_s=200)
        assert status == 0, said
        assert "torch.Size([32, 128]) document" in out


def calls(text: str) -> list[ast.Call]:
    """Return the calls of public names in the code that stands within lines."""
    found: list[ast.Call] = []
    for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text):
        with suppress(SyntaxError):
            found += [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_calls_within_lines_have_arguments_that_there_are(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    if page.name == "equivalents.md":  # the first of two columns is what others have
        text = re.sub(r"^\|[^|]*\|", "", text, flags=re.M)
    for call in calls(text):
        name = ast.unparse(call.func).removeprefix("streaming.")
        if name not in streaming.__all__:
            continue
        is_cut = any(isinstance(arg, ast.Starred) or ast.unparse(arg) == "..." for arg in call.args)
        given = [] if is_cut else call.args
        named = {str(keyword.arg): None for keyword in call.keywords if keyword.arg is not None}
        try:
            inspect.signature(getattr(streaming, name)).bind_partial(*given, **named)
        except TypeError as error:
            pytest.fail(f"{ast.unparse(call)}: {error}")
