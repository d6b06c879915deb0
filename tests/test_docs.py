"""The programs in README and docs: all are Python, and those that can run do, on folders in place of buckets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from programs import run_program

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# What a page takes for granted.
IMPORTS = """
import numpy as np
import streaming
from streaming import MDSWriter, Side, Stream, StreamingDataLoader, StreamingDataset
"""
WRITE = """
for path in ("data", "web", "code"):
    with MDSWriter(columns={"text": "str"}, out=f"s3://bucket/{path}", size_limit="1kb") as out:
        for i in range(640):
            out.write({"text": f"{path} {i}"})
"""
RUN = {
    "CONTRIBUTING.md": ("", lambda block: True),
    "README.md": ("", lambda block: "streams=[" not in block),
    "writing.md": (
        IMPORTS
        + """
rows = [{"text": str(i)} for i in range(1000)]
texts = ["a", "b"]
order = [1, 0]
for i in order:
    with MDSWriter(columns={"text": "str"}, out=f"s3://bucket/data/{i}") as out:
        out.write({"text": str(i)})
import os
os.makedirs("photos/cat", exist_ok=True)
from PIL import Image
Image.new("RGB", (9, 9)).save("photos/cat/a.jpg")
open("photos/cat/broken.jpg", "w").close()
""",
        lambda block: "spark" not in block,
    ),
    "columns.md": (
        """
import wave
with wave.open("a.wav", "wb") as sound:
    sound.setparams((1, 2, 8000, 0, "NONE", ""))
    sound.writeframes(bytes(16000))
""",
        lambda block: True,
    ),
    "side_columns.md": ("", lambda block: True),
    "in_place.md": ("", lambda block: True),
    "reading.md": (IMPORTS + WRITE + "mask = np.zeros(640, bool)\n", lambda block: "..." not in block.split("\n")[0]),
    "order.md": (
        IMPORTS
        + WRITE
        + """
dataset = StreamingDataset(remote="s3://bucket/data", batch_size=4, shuffle=True)
loader = StreamingDataLoader(dataset, batch_size=4)
for batch in loader:
    break
""",
        lambda block: "(...," not in block,
    ),
    "convert.md": ("", lambda block: True),
    "mixing.md": (IMPORTS + WRITE, lambda block: True),
    "views.md": (IMPORTS, lambda block: True),
    "packing.md": ("", lambda block: True),
    "planning.md": ("", lambda block: True),
    "metrics.md": (
        IMPORTS + WRITE + "dataset = StreamingDataset(remote='s3://bucket/data', batch_size=32)\n",
        lambda block: "start_http_server" not in block and "Trainer(" not in block,
    ),
    "recipes_packing.md": ("", lambda block: True),
    "quickstart.md": ("", lambda block: True),
    "formats.md": ("", lambda block: True),
    "vision.md": ("", lambda block: True),
    "multimodal.md": ("", lambda block: True),
}


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_python(page: Path) -> None:
    for block in blocks(page):
        compile(block, f"{page.name}: {block[:40]}", "exec")


@pytest.mark.parametrize("name", RUN)
def test_blocks_run_one_after_the_other(tmp_path: Path, name: str) -> None:
    before, runs = RUN[name]
    (page,) = [page for page in PAGES if page.name == name]
    chosen = [block for block in blocks(page) if runs(block)]
    assert chosen
    program = "\n".join([before, *chosen])
    program = re.sub(r"\b(s3|gs)://bucket", f"{tmp_path}/bucket", program).replace("/tmp/cache", f"{tmp_path}/cache")
    # Numbers that a page has of a large dataset, in one that is small.
    program = re.sub(r"\b4\d_\d{3}\b|\b123_456\b", lambda number: "7" if number[0] != "41_260" else "9", program)
    program = program.replace('"10m"', "640").replace('"[a-c]*.py"', '"b*.py"')
    (tmp_path / "program.py").write_text(program)
    status, _, said = run_program(tmp_path / "program.py", timeout_s=200)
    assert status == 0, f"{program}\n{said}"


def test_the_first_program_needs_nothing_but_itself(tmp_path: Path) -> None:
    first = next(iter(blocks(ROOT / "README.md")))
    (tmp_path / "first.py").write_text(first)
    for _ in range(2):  # whoever pastes it once pastes it again
        status, out, said = run_program(tmp_path / "first.py", timeout_s=200)
        assert status == 0, said
        assert "torch.Size([32, 128]) document" in out
