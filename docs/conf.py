"""The site: every page of this folder, and a reference made of the docstrings. ``make docs`` builds it."""

import re
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

project = "streaming"
author = "The authors of streaming"
release = version = version_of("streaming-dataset")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.intersphinx"]
exclude_patterns = ["_site", "assistants"]

maximum_signature_line_length = 90

html_theme = "furo"
html_title = f"streaming {release}"
html_extra_path = ["assistants"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

nb_execution_mode = "force"  # `-D nb_execution_mode=off` leaves outputs out
nb_execution_raise_on_error = True
nb_execution_timeout = 300
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_display_short_literal_types = True
intersphinx_mapping: dict[str, tuple[str, None]] = {}  # nothing is fetched while the site is built

_LINK = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]*)(#[^)]*)?\)")
#: Pages of the site that show a file beside this folder.
_SHOWN = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}


def _inside(match: re.Match[str]) -> str:
    """Return a link to the page that shows a file; of other files of the repository, their names."""
    text, path, anchor = match[1], match[2], match[3] or ""
    page = _SHOWN.get(path)
    return (
        f"[{text}]({page}{anchor if page != 'index.md' else ''})"
        if page
        else f"{text} (`{path}`)"
        if path not in text
        else text
    )


def _read(app: Any, name: str, source: list[str]) -> None:
    del app
    if "/" in name:  # lower down, they are links to pages
        return
    shown = next((path for path, page in _SHOWN.items() if page == f"{name}.md" and page != "index.md"), None)
    if shown is not None:
        text = (HERE.parent / shown).read_text()
        source[0] = re.sub(
            r"\]\(docs/", "](", re.sub(r"\[([^\]]+)\]\((?!docs/|https?:|#)([^)]*)\)", r"[\1](../\2)", text)
        )
    source[0] = _LINK.sub(_inside, source[0])


def setup(app: Any) -> dict[str, bool]:
    """Have links to files beside this folder lead to pages."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
