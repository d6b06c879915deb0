"""``streaming info``: what a dataset consists of, by its index."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from streaming.cli.reading.facts import describe, metadata
from streaming.cli.reading.source import Source, read_source
from streaming.cli.shell.output import print_json, print_line, print_table, print_title
from streaming.columns.opening import check_fit
from streaming.columns.parquet import COLUMNS_NAME
from streaming.core.errors import ConfigError, MissingDependencyError, StorageError
from streaming.writing.bulk.report import show_bytes
from streaming.writing.side.publish import read_stored_footer

__all__ = ["run"]

_BRIEF = 60


def run(args: Namespace) -> int:
    """Print the facts of a dataset."""
    source = read_source(args.url)
    facts: dict[str, Any] = {**describe(source), "side_columns": side_columns(source), "metadata": metadata(source)}
    if args.json:
        print_json(facts)
        return 0
    print_title(facts["url"])
    rows = [["samples", f"{facts['samples']:,}"], ["shards", f"{facts['shards']:,}"], ["size", _size(facts)]]
    if facts["shards"]:
        rows.append(["per shard", _spread(facts["samples_per_shard"], "{:,}") + " samples"])
        rows.append(["", _spread(facts["bytes_per_shard"], None)])
    if facts["side_columns"] is not None:
        rows.append(["side columns", facts["side_columns"]])
    known = facts["metadata"]
    of_columns = known.get("columns", {})
    rows += [[name, _brief(value)] for name, value in known.items() if name != "columns"]
    print_table(rows, indent=2)
    for schema in facts["schemas"]:
        print_line()
        print_title(f"  {_title(schema, len(facts['schemas']) > 1)}")
        columns = [
            [name, encoding, *(f"{key}: {_brief(value)}" for key, value in of_columns.get(name, {}).items())]
            for name, encoding in schema["columns"].items()
        ]
        width = max(map(len, columns), default=0)
        columns = [row + [""] * (width - len(row)) for row in columns]
        if columns:
            print_table(columns, indent=4)
    return 0


def side_columns(source: Source) -> str | None:
    """Return the names of the side columns beside a dataset, or why they cannot be used; ``None`` if there are none."""
    try:
        footer = read_stored_footer(source.store, COLUMNS_NAME)
        if footer is None:
            return None
        check_fit(footer, source.index.digest, source.index.num_samples, COLUMNS_NAME)
    except StorageError:  # one that may not be looked at is none
        return None
    except (ConfigError, MissingDependencyError) as error:
        return str(error)
    return ", ".join(footer.names)


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}..."


def _spread(spread: dict[str, int], form: str | None) -> str:
    shown = {name: form.format(value) if form else show_bytes(value) for name, value in spread.items()}
    if len(set(shown.values())) == 1:
        return shown["min"]
    return f"{shown['min']} to {shown['max']} (median {shown['median']})"


def _size(facts: dict[str, Any]) -> str:
    text = show_bytes(facts["raw_bytes"])
    if not facts["compressed"]:
        return text
    return f"{text}, stored as {show_bytes(facts['stored_bytes'])} ({facts['raw_bytes'] / facts['stored_bytes']:.2f}x)"


def _title(schema: dict[str, Any], with_count: bool) -> str:
    parts = [
        schema["format"],
        f"compression {schema['compression'] or 'none'}",
        f"hashes {', '.join(schema['hashes']) or 'none'}",
        f"size limit {show_bytes(schema['size_limit']) if schema['size_limit'] else 'none'}",
    ]
    return "; ".join(parts) + (f" ({schema['shards']:,} shards)" if with_count else "")
