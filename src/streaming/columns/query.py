"""A condition of SQL over one Parquet file, by DuckDB: nothing else can be read, and nothing is left when it is answered."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.columns.parquet import open_parquet
from streaming.columns.words import unknown_column
from streaming.core.errors import ConfigError
from streaming.core.imports import optional_import

__all__ = ["select_rows"]

logger = logging.getLogger(__name__)

_NOT_FOUND = re.compile(r'Referenced column "(.*?)" not found|does not have a column named "(.*?)"')
_SETTINGS = (
    "SET temp_directory = ''",
    "SET allowed_paths = ['{path}']",
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",  # variables of a program are no tables
    "SET lock_configuration = true",
)
#: Names, texts and numbers, compared: nothing that makes NULL of what is not.
_PLAIN = re.compile(
    r"""\s+ | (?:and|or|not|in|between)\b | (?!(?:null|unknown|case)\b)[a-z_]\w*(?!\w|\s*\() | '[^']*' | "[^"]*"
    | \d+(?:\.\d*)? | [<>=]+ | != | [-+*(),]""",
    re.VERBOSE | re.IGNORECASE,
)
_CALL = re.compile(r'([a-z_]\w*)"?\s*\(|([a-z_]\w*)', re.IGNORECASE)
_TEXT = re.compile(r"'[^']*'")
_BORDER = re.compile(r"""'[^']*'|"[^"]*"|\band\b|[()]""", re.IGNORECASE)
#: Comments, and texts that end otherwise.
_ODD = re.compile(r"--|/\*|[\\$;]")
#: What SQL calls without brackets.
_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
#: In a path, these would stand for other files.
_PATTERN = re.compile(r"[*?\[\]{}]")


def select_rows(path: str, names: Sequence[str], num_rows: int, condition: str, origin: str = "") -> NDArray[np.bool_]:
    """Evaluate a condition; see ``SideColumns.where``.

    Args:
        path: The Parquet file.
        names: Of its columns.
        num_rows: Its rows.
        condition: What follows WHERE.
        origin: Where the columns are from, for error texts; the file by default.

    Returns:
        ``bool[num_rows]``.
    """
    duckdb = optional_import("duckdb", "sql", "A condition of SQL")
    _check_one(duckdb, condition)
    with _plain(path) as plain, closing(duckdb.connect()) as connection:
        for setting in _SETTINGS:
            connection.execute(setting.format(path=plain.replace("'", "''")))
        _check_stable(connection, condition)
        row = "#" * (1 + max(map(len, names), default=0))  # longer than any column's name, so none's
        table = _table(plain, names, row)
        try:
            # Bound as what follows WHERE, where nothing that adds rows up is allowed, and by itself, for its type.
            bound = connection.execute(f"DESCRIBE SELECT ({condition}\n) FROM {table} WHERE ({condition}\n)").fetchall()
            if len(bound) != 1 or bound[0][1] != "BOOLEAN":
                raise ConfigError(
                    f"The condition {condition!r} is no truth value but {', '.join(str(row[1]) for row in bound)}. Compare: "
                    "'age > 60', 'label = 3'."
                )
            if _is_never_null(condition, plain):  # then DuckDB can leave out what no row fits in
                query = f'SELECT "{row}" AS found FROM {table} WHERE ({condition}\n)'
            else:
                # A row whose condition is NULL comes as the negative of its number, less 1: so one pass tells all.
                parts = _parts(duckdb, connection, condition, table, bound[0][0])
                query = (
                    f'SELECT CASE WHEN ({condition}\n) THEN "{row}" ELSE -1 - "{row}" END AS found FROM {table} WHERE '
                    + " AND ".join(f"(({part}\n) IS NOT FALSE)" for part in parts)
                )
            found = connection.execute(query).fetchnumpy()["found"]
        except duckdb.Error as error:
            raise _told(error, condition, names, origin or path) from error
    marks = np.zeros(2 * num_rows, np.bool_)
    marks[np.asarray(found, np.int64)] = True  # those that are negative, from the end
    nulls = int(np.count_nonzero(marks[num_rows:]))
    if nulls:
        logger.warning(
            "the condition %r is NULL for %s of %s samples, which are left out: it compares what is missing there. Say what "
            "to do with them: `... IS NOT NULL`, `coalesce(..., 0)`.",
            condition,
            f"{nulls:,}",
            f"{num_rows:,}",
        )
    return marks[:num_rows].copy()


def _parts(duckdb: Any, connection: Any, condition: str, table: str, shown: str) -> list[str]:
    """Cut a condition at its ANDs. Asked one after the other, the rest is not asked where one is false.

    Args:
        duckdb: The module.
        connection: Where it is asked.
        condition: It.
        table: Of what it is asked.
        shown: How DuckDB shows it, by which it is known whether the parts together are the same.
    """
    if _ODD.search(condition):
        return [condition]
    parts, begin, depth = list[str](), 0, 0
    for token in _BORDER.finditer(condition):
        depth += (token[0] == "(") - (token[0] == ")")
        if token[0].lower() == "and" and not depth:
            parts.append(condition[begin : token.start()])
            begin = token.end()
    parts.append(condition[begin:])
    try:
        again = " AND ".join(f"({part}\n)" for part in parts)
        same = connection.execute(f"DESCRIBE SELECT ({again}) FROM {table}").fetchall()[0][0] == shown
    except duckdb.Error:  # an AND was of another kind: of BETWEEN
        same = False
    return parts if same else [condition]


def _is_never_null(condition: str, path: str) -> bool:
    """Say whether a condition is true or false for every row: it compares, and what it compares is everywhere there."""
    at = 0
    while at < len(condition):
        token = _PLAIN.match(condition, at)
        if token is None:
            return False
        at = token.end()
    with open_parquet(path) as file:
        metadata = file.metadata
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            for column in map(group.column, range(metadata.num_columns)):
                statistics = column.statistics
                missing = statistics.null_count if statistics is not None and statistics.has_null_count else None
                if missing != 0 and column.path_in_schema.partition(".")[0].casefold() in condition.casefold():
                    return False
    return True


def _check_one(duckdb: Any, condition: str) -> None:
    """Check, before it stands in a query, that a text is one expression and no more.

    Raises:
        ConfigError: It is not.
    """
    if not isinstance(condition, str) or not condition.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"A condition is text such as 'age > 60', got {condition!r}.")
    try:
        duckdb.SQLExpression(condition)
    except duckdb.Error as error:
        raise _wrong(error, condition) from error


def _check_stable(connection: Any, condition: str) -> None:
    """Check that a condition says the same of a row whenever it is asked.

    Raises:
        ConfigError: It calls a function that does not.
    """
    words = [match.groups() for match in _CALL.finditer(_TEXT.sub("''", condition))]
    called = {name.lower() for name, _ in words if name} | _CLOCKS & {word.lower() for _, word in words if word}
    if not called:
        return
    changing = connection.execute(
        "SELECT function_name FROM duckdb_functions() WHERE function_type = 'scalar' "
        "GROUP BY function_name HAVING bool_and(stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY'))"
    ).fetchall()
    found = sorted(called & {*(name for (name,) in changing), *_CLOCKS})
    if found:
        raise ConfigError(
            f"The condition {condition!r} calls {', '.join(found)}, which gives something else each time: every process "
            "would choose other samples. For a random part, use dataset.split(...)."
        )


def _table(path: str, names: Sequence[str], row: str) -> str:
    """Return the columns of a file and, by the name ``row``, the number of each row as a table."""
    number = "" if "sample_id" in map(str.casefold, names) else ', file_row_number AS "sample_id"'
    file = path.replace("'", "''")
    return (
        f'(SELECT * EXCLUDE (file_row_number), file_row_number AS "{row}"{number} '
        f"FROM read_parquet('{file}', file_row_number = true))"
    )


@contextmanager
def _plain(path: str) -> Iterator[str]:
    """Give a file a name that stands for no other."""
    path = os.path.realpath(path)
    if _PATTERN.search(path) is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="streaming-columns-") as directory:
        plain = os.path.join(os.path.realpath(directory), "columns.parquet")
        os.symlink(path, plain)
        yield plain


def _told(error: Exception, condition: str, names: Sequence[str], path: str) -> ConfigError:
    """Return what DuckDB says in the words of whoever wrote the condition."""
    missing = _NOT_FOUND.search(str(error))
    if missing is None:
        return _wrong(error, condition)
    name = missing[1] or missing[2]
    told = str(unknown_column(name, [*names, "sample_id"], path))
    if f'"{name}"' in condition:
        told += f" (Double quotes are for names of columns: text is '{name}'.)"
    return ConfigError(f"The condition {condition!r}: {told}")


def _wrong(error: Exception, condition: str) -> ConfigError:
    text = str(error).partition("\n")[0]  # what follows quotes the whole query, which is ours
    return ConfigError(f"DuckDB does not take the condition {condition!r}: {text}")
