"""The examples of views print what they say of themselves, also over what they wrote before."""

from __future__ import annotations

from pathlib import Path

import pytest

from programs import run_program

VIEWS = Path(__file__).parents[2] / "examples" / "views"
EXPECTED = {
    "two_jobs": """\
language = 'de': 1000 samples
language <> 'fr' AND n_chars > 30: 1428 samples
files fetched by both jobs: 26, shards: 26
""",
    "embeddings": """\
12 100 True
111 ['id', 'model_3', 'model_4', 'text'] document 1 1.3
""",
    "patients": """\
{'train': (790, 158), 'val': (210, 42)} set()
validated on others: True
{'train': (1144, 237), 'val': (306, 63)} set()
nobody moved: True
""",
}


def test_there_is_a_test_of_each() -> None:
    assert {path.stem for path in VIEWS.glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("two_jobs", 2),
        ("embeddings", 1),
        ("patients", 1),
        pytest.param("embeddings", 2, marks=pytest.mark.long),
        pytest.param("patients", 2, marks=pytest.mark.long),
    ],
)
def test_prints_what_is_expected(tmp_path: Path, name: str, times: int) -> None:
    for _ in range(times):
        code, out, said = run_program(VIEWS / f"{name}.py", str(tmp_path))
        assert (code, out) == (0, EXPECTED[name]), said
