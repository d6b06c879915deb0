"""The site: it is built without a warning, notebooks run, and what pages say of messages is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from programs import run_program

pytest.importorskip("myst_nb", reason="the extra `docs` is not installed")

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


class Page(HTMLParser):
    """The anchors of a page, and where it leads: links, pictures, scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (tag, name) == ("a", "name"):
                self.anchors.add(value or "")
            elif name in ("href", "src"):
                self.links.add(value or "")


def broken_links(site: Path) -> Iterator[str]:
    """Go through all links of a site: those within lead to a file, and to an anchor of it; others have the form of a URL."""
    pages = {path.resolve(): Page(path.read_text()) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for link in sorted(page.links):
            url, anchor = urldefrag(link)
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                # `data:` is a picture within the page.
                whole = re.fullmatch(r"https?://[\w-]+(\.[\w-]+)+(:\d+)?(/\S*)?", url) or parts.scheme == "data"
                why = "" if whole else "is no URL of the web"
            else:
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                there = pages.get(target)
                why = "" if target.is_file() else "leads nowhere"
                if not why and anchor and there is not None and unquote(anchor) not in there.anchors:
                    why = "leads to no anchor"
            if why:
                yield f"{path.relative_to(site.resolve())}: {link} {why}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-D", "nb_execution_mode=off"]
    done = subprocess.run(
        [*command, "-d", str(folder / "trees"), str(DOCS), str(folder / "site")],
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_the_site_is_built_without_a_warning(site: Path) -> None:
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.html")}
    assert {"index.html", "search.html", "api/reading.html", "notebooks/packing.html", "changelog.html"} <= pages
    assert "cache_limit" in (site / "api/reading.html").read_text()
    listed = re.findall(r"\]\(([\w/]+\.html)\)", (site / "llms.txt").read_text())
    assert len(listed) > 15
    assert set(listed) <= pages
    assert (site / "SKILL.md").is_file()


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    assert not list(broken_links(site))


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    links = ("b.html", "b.html#there", "#here", "c.html", "b.html#else", "#no", "https://example", "a b", "img.png")
    text = "".join(f'<a href="{link}">x</a>' for link in links)
    (tmp_path / "a.html").write_text(f'<p id="here">{text}<img src="no.svg">')
    (tmp_path / "b.html").write_text('<h1 id="there">b</h1>')
    found = [line.split(": ", 1)[1] for line in broken_links(tmp_path)]
    assert sorted(found) == [
        "#no leads to no anchor", "a b leads nowhere", "b.html#else leads to no anchor", "c.html leads nowhere",
        "https://example is no URL of the web", "img.png leads nowhere", "no.svg leads nowhere",
    ]  # fmt: skip


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
