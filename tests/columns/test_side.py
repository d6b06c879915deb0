"""Conditions and values of side columns: DuckDB's own answers, errors that say what to do, and nothing else that is read."""

from __future__ import annotations

import logging
import os
import pickle
import signal
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from streaming.columns.opening import open_columns
from streaming.columns.parquet import write_columns
from streaming.columns.side import SideColumns
from streaming.core import imports
from streaming.core.errors import ConfigError, MissingDependencyError

from budget import share
from copies import Later

duckdb = Later("duckdb")

DIGEST = bytes(range(16))
ROWS = 300_000  # of several row groups

Open = Callable[..., SideColumns]


@pytest.fixture
def open_side(tmp_path: Path) -> Open:
    def make(columns: dict[str, object], name: str = "columns.parquet") -> SideColumns:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write_columns(path, columns, DIGEST)
        return open_columns(path, str(tmp_path / "cache"), DIGEST, len(next(iter(columns.values()))))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> SideColumns:
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("people") / "columns.parquet"
    columns = {
        "age": pa.array(rng.integers(0, 100, ROWS), mask=rng.random(ROWS) < 0.1),
        "sex": np.array(["F", "M"])[rng.integers(0, 2, ROWS)],
        "n_tokens": rng.integers(0, 5000, ROWS).astype(np.int32),
    }
    write_columns(path, columns, DIGEST)
    return open_columns(path, "", DIGEST, ROWS)


@pytest.mark.parametrize(
    "condition",
    [
        "age > 60 AND sex = 'F'",
        "coalesce(age, 0) < 5 OR n_tokens BETWEEN 10 AND 20",
        "sex LIKE 'M%' -- a remark",
        "sample_id % 1000 = 7",
        "age IS NULL",
        "sex = 'F' AND n_tokens > 2500 AND sample_id < 200000",
        "1 / (n_tokens - 7) > 0",
        "sex != 'random() or now ()'",
        "n_tokens > (SELECT 2500)",
        "sample_id IN (SELECT 7 * x FROM range(40000) t(x))",
        "FALSE",
    ],
)
def test_answers_are_those_of_duckdb_on_the_file(people: SideColumns, condition: str) -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT sample_id FROM (SELECT *, file_row_number AS sample_id FROM read_parquet('{people.path}', "
            f"file_row_number = true)) WHERE {condition}\n"
        ).fetchnumpy()["sample_id"]
    mask = people.where(condition)
    assert mask.dtype == np.bool_
    assert mask.shape == (ROWS,)
    assert np.flatnonzero(mask).tolist() == sorted(np.asarray(rows).tolist())


@pytest.mark.parametrize(
    "condition", ["random() < 0.5", "now() > now()", "current_date > DATE '2020-01-01'", "uuid () > ''"]
)
def test_conditions_that_change_are_refused(people: SideColumns, condition: str) -> None:
    with pytest.raises(ConfigError, match="gives something else each time"):
        people.where(condition)


def test_what_is_null_is_not_kept_and_told(open_side: Open, caplog: pytest.LogCaptureFixture) -> None:
    columns = open_side({"age": [70, None, 20, None]})
    for condition in ("age > 60", "AGE > 60"):
        assert columns.where(condition).tolist() == [True, False, False, False]
        assert "NULL for 2 of 4 samples" in caplog.text
        caplog.clear()
    assert columns.where("case when sample_id = 0 then true end").tolist() == [True, False, False, False]
    assert "NULL for 3 of 4 samples" in caplog.text
    caplog.clear()
    assert columns.where("age > 60").tolist() == [True, False, False, False]
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "NULL for 2 of 4 samples" in caplog.text
    caplog.clear()
    assert columns.where("age IS NULL OR age > 60").tolist() == [True, True, False, True]
    assert not caplog.records


terms = st.sampled_from(
    [
        "a > 2",
        "b = 'x'",
        "a between 1 and 3",
        "not a = 1",
        "b in ('x', 'and', null)",
        "c < a",
        "a / (c - 1) > 0",
        "b is null",
        "coalesce(a, 1) = 1",
        "b = ' and '",
        "case when a > 1 and c > 1 then b = 'x' end",
        "b != 'it''s' -- and\n",
        "true",
        "b = E'\\' and '",
        "a = c /* and */",
        "b = $$ and $$",
    ]
)
conditions = st.recursive(
    terms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map(" AND ".join),
        st.lists(inner, min_size=2, max_size=3).map(" or ".join),
        inner.map("({})".format),
        inner.map("not {}".format),
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> SideColumns:
    rows = list(product([None, 1, 2, 3, 4], [None, "x", " and ", "it's"], [None, 1, 2, 3]))
    columns = dict(zip("abc", map(list, zip(*rows, strict=True)), strict=True))
    path = tmp_path_factory.mktemp("gaps") / "columns.parquet"
    write_columns(path, columns, DIGEST)
    return open_columns(path, "", DIGEST, len(rows))


@share(0.6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions)
def test_what_is_true_and_what_is_null(gaps: SideColumns, caplog: pytest.LogCaptureFixture, condition: str) -> None:
    with duckdb.connect() as connection:
        (expected,) = connection.execute(f"SELECT list(({condition}\n)) FROM '{gaps.path}'").fetchall()[0]
    caplog.clear()
    assert gaps.where(condition).tolist() == [value is True for value in expected]
    missing = expected.count(None)
    assert [f"is NULL for {missing} of 80 " in text for text in caplog.messages] == [True] * bool(missing)


def test_values_are_as_arrow_has_them(people: SideColumns) -> None:
    table = pq.read_table(people.path)
    for name in people.names:
        assert people.values(name).equals(table[name])
    with pytest.raises(ConfigError, match="no column 'ages'.*Did you mean 'age'"):
        people.values("ages")


def test_a_column_of_that_name_goes_before_the_number_of_the_row(open_side: Open) -> None:
    columns = open_side({"Sample_ID": [5, 6, 7]})
    assert columns.where("sample_id = 6").tolist() == [False, True, False]


def test_columns_of_any_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"A": [1, 2], "#": [7, 8], "##": [9, 10], "row": [1, 2], "found": [5, 6]}), path)
    columns = open_columns(path, "", DIGEST, 2)
    for condition in ("a > 1", '"#" > 7', '"##" = 10', "row = 2", "found > 5"):
        assert columns.where(condition).tolist() == [False, True]


@pytest.mark.parametrize("name", ["it's [a] *.parquet", 'say "hi"{1}?.parquet', "é/ü.parquet"])
def test_any_path(open_side: Open, name: str) -> None:
    assert open_side({"a": [1, 2]}, name).where("a = 2").tolist() == [False, True]


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ("agee > 3", r"no column 'agee'; it has 'age', 'sex', 'n_tokens', 'sample_id'. Did you mean 'age'"),
        ('sex = "F"', "Double quotes are for names of columns: text is 'F'"),
        ("age >", "condition 'age >': .*syntax error"),
        ("age", "no truth value but BIGINT"),
        ("NULL", "no truth value"),
        ("", "A condition is text"),
        (None, "A condition is text"),
        ("age > 3 AS x", "syntax error"),
        ("age, sex", "single expression"),
        ("*", "STAR"),
        ("count(*) > 3", "cannot contain aggregates"),
        ("row_number() OVER () = 1", "cannot contain window functions"),
        ("unnest([true, false])", "UNNEST"),
        ("sex > 5 AND age = 'old'", "old|Conversion"),
    ],
)
def test_what_is_no_condition_is_told(people: SideColumns, condition: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"(?is){text}") as caught:
        people.where(condition)
    assert "read_parquet" not in str(caught.value)  # our own query is nobody's business


@pytest.mark.parametrize(
    "condition",
    [
        "1 = 1; DROP TABLE x",
        "1 = 1); COPY (SELECT 1) TO '{other}.csv'; SELECT (1 = 1",
        "true) , (SELECT 1",
        "true) UNION ALL SELECT * FROM read_text('{other}') WHERE (true",
        "EXISTS (FROM read_text('{other}'))",
        "EXISTS (FROM '{other}')",
        "EXISTS (FROM read_parquet('{other}'))",
        "EXISTS (FROM glob('{folder}/*'))",
        "EXISTS (FROM secret)",
        "EXISTS (FROM query('SELECT * FROM read_text(''{other}'')'))",
        "getenv('HOME') = 'x'",
    ],
)
def test_nothing_but_the_file_is_read_or_written(people: SideColumns, tmp_path: Path, condition: str) -> None:
    secret = pa.table({"a": [1]})  # a variable of the program is no table
    pq.write_table(secret, tmp_path / "other.parquet")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError):
        people.where(condition.format(other=tmp_path / "other.parquet", folder=tmp_path))
    assert sorted(tmp_path.iterdir()) == before


def test_it_travels_by_pickle(people: SideColumns) -> None:
    again = pickle.loads(pickle.dumps(people))
    assert again == people
    assert again.where("sample_id = 3").sum() == 1


def threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs Linux's /proc")
def test_no_thread_is_left(people: SideColumns) -> None:
    people.where("age > 3")  # what pyarrow itself starts when it is imported is there now
    people.values("age")
    before = threads()
    for _ in range(3):
        people.where("sex = 'F' AND n_tokens > 100")
        people.values("sex")
        with pytest.raises(ConfigError):
            people.where("nothing > 3")
    assert not threads() - before  # some that earlier tests left may have ended


class Kept(Dataset[int]):
    """Asks in the worker, too."""

    def __init__(self, columns: SideColumns) -> None:
        self.columns = columns
        self.kept = np.flatnonzero(columns.where("age > 98"))

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> int:
        if index % 16 == 0:
            assert (np.flatnonzero(self.columns.where("age > 98")) == self.kept).all()
            assert len(self.columns.values("age")) == ROWS
        return int(self.kept[index])


def test_forked_workers_after_a_condition(people: SideColumns) -> None:
    dataset = Kept(people)
    signal.alarm(120)  # a worker that waits for a thread of its parent would do so for ever
    try:
        loader = DataLoader(dataset, batch_size=8, num_workers=2, multiprocessing_context="fork")
        found = [int(i) for batch in loader for i in batch]
    finally:
        signal.alarm(0)
    assert found == dataset.kept[:64].tolist()


@pytest.mark.parametrize("package", ["duckdb", "pyarrow"])
def test_what_to_install_is_told(open_side: Open, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    columns = open_side({"age": [1]})

    def missing(module: str) -> object:
        if module.startswith(package):
            raise ImportError(module)
        return pytest.importorskip(module)

    monkeypatch.setattr(imports, "import_module", missing)
    with pytest.raises(MissingDependencyError, match=r"pip install 'streaming-dataset\[sql\]'"):
        columns.where("age > 3") if package == "duckdb" else columns.values("age")


def test_rows_of_different_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="of one length"):
        write_columns(tmp_path / "a.parquet", {"a": [1], "b": [1, 2]}, DIGEST)
    assert not list(tmp_path.iterdir())
