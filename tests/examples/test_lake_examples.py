"""The example of lakes prints what it says of itself, also over what it wrote before."""

from __future__ import annotations

from pathlib import Path

from programs import run_program

LAKES = Path(__file__).parents[2] / "examples" / "lakes"
EXPECTED = """\
web: 3000 pages, 328 of them chosen
answers at version 0: 300, ['id', 'text']
answers at version newest: 350, ['id', 'text', 'votes']
vectors: 540 rows, the loss fell: True
mixed: 300 of 400 are pages
"""


def test_prints_what_is_expected(tmp_path: Path) -> None:
    assert [path.stem for path in LAKES.glob("*.py")] == ["three_lakes"]
    for _ in range(2):
        code, out, said = run_program(LAKES / "three_lakes.py", str(tmp_path))
        assert (code, out) == (0, EXPECTED), said
