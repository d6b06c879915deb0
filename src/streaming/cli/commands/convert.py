"""``streaming convert``: what another program has written, to a dataset."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from streaming.cli.shell.output import print_json, print_line, print_note, print_table, print_title
from streaming.converting.convert import Preview, convert, preview
from streaming.core.errors import ConfigError
from streaming.format.values import as_json, summary
from streaming.writing.bulk.report import show_bytes
from streaming.writing.bulk.workers import default_workers
from streaming.writing.options import WriterOptions
from streaming.writing.parts.engines import get_engine

__all__ = ["WORDS", "run"]

_LISTED = 20
#: What the errors of the functions call what options are here.
WORDS = {
    "exist_ok=True": "--force",
    "on_error='skip'": "--skip",
    "schema='union'": "--schema union",
    "`columns`": "--columns",
    "`format`": "--format",
    "`split`": "--split",
    "`tokenizer`": "--tokenizer",
}


def run(args: Namespace) -> int:
    """Convert, or show what that would do."""
    given: dict[str, Any] = {
        "columns": _columns(args.columns),
        "tokenizer": args.tokenizer,
        "text": args.text,
        "format": args.format,
        "schema": args.schema,
        "split": args.split,
        "config": args.config,
        "version": args.version,
        "labels": args.labels,
        "sort": args.sort,
    }
    if args.dry_run:
        _check(args)
        _show(preview(args.source, **given, on_error="skip" if args.skip else "raise"), args)
        return 0
    report = convert(
        args.source,
        args.target.url,
        **given,
        on_error="skip" if args.skip else "raise",
        engine=args.engine,
        workers=args.jobs,
        compression=args.compression,
        hashes=args.hashes.split(",") if args.hashes else None,
        size_limit=args.size_limit,
        compatible=args.compatible,
        exist_ok=args.force,
        progress_bar=not args.json,
        storage_options={**args.storage_options, **(args.to_options or {})} or None,
    )
    if args.json:
        skipped = [{"input": one.item, "reason": one.reason} for one in report.skipped]
        print_json({"to": str(args.target), "samples": report.samples, "shards": report.shards, "skipped": skipped})
        return 0
    print_line(str(report))
    for one in report.skipped[:_LISTED]:
        print_note(f"left out: {one.reason}")
    if len(report.skipped) > _LISTED:
        print_note(f"and {len(report.skipped) - _LISTED:,} more; --json lists all")
    return 0


def _check(args: Namespace) -> None:
    """Check what a dry run has no use for, and the conversion would refuse.

    Raises:
        ConfigError: It would.
    """
    hashes = args.hashes.split(",") if args.hashes else None
    WriterOptions(compression=args.compression, hashes=hashes, size_limit=args.size_limit)
    if args.engine != "local":
        get_engine(args.engine)


def _columns(text: str | None) -> list[str] | Mapping[str, str | None] | None:
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    names = [name for name, _, _ in pairs]
    if len(set(names)) < len(names) or "" in names:
        raise ConfigError(f"--columns {text!r}: expected different names, joined by commas, such as id,text=str.")
    if any(equals for _, equals, _ in pairs):
        return {name: encoding or None for name, _, encoding in pairs}
    return names


def _show(found: Preview, args: Namespace) -> None:
    if args.json:
        first = [{name: as_json(value) for name, value in row.items()} for row in found.first]
        print_json({**vars(found), "first": first})
        return
    print_title(str(args.source))
    print_table(_facts(found, args.jobs or default_workers()), indent=2)
    print_line()
    print_table([[name, encoding] for name, encoding in found.columns.items()], indent=4)
    for row in found.first:
        print_line()
        print_table([[name, summary(value)] for name, value in row.items()], indent=4)


def _facts(found: Preview, jobs: int) -> list[list[str]]:
    """Return how much there is, and how much of it, and when, there will be."""
    about = "" if found.is_exact else "about "
    samples = "nothing tells" if found.samples is None else f"{about}{found.samples:,}"
    facts = [["files", f"{found.files:,} of {found.format}, {show_bytes(found.bytes)}"], ["samples", samples]]
    if found.raw_bytes is not None and found.seconds is not None:
        facts += [["shards", f"{about}{show_bytes(found.raw_bytes)}, without compression"]]
        facts += [
            ["time", f"about {_time(found.seconds / jobs)} with {jobs} processes, without compression and upload"]
        ]
    return facts


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
