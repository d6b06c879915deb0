"""``streaming check``: proofs of what a run will serve."""

from __future__ import annotations

from argparse import Namespace

from streaming.cli.reading.runs import opened, request_of
from streaming.cli.shell.output import print_json, print_line, print_table, print_title
from streaming.core.errors import ConfigError

__all__ = ["run"]

EXIT_WRONG = 1


def run(args: Namespace) -> int:
    """Look at a run and print what was found."""
    request = request_of(args)
    with opened(request) as dataset:
        report = dataset.check(
            num_nodes=request.nodes,
            ranks_per_node=request.ranks,
            num_workers=request.workers,
            replication=request.replication,
            steps=request.steps,
            worlds=[_world(word) for word in args.worlds.split(",") if word],
            most=args.most,
        )
    name = ", ".join(request.names)
    if args.json:
        facts = report.to_json()
        facts["plan"]["name"] = name
        print_json(facts)
    else:
        print_title(name)
        styles = ["green" if finding.holds else "red" for finding in report.findings]
        rows = [["holds" if f.holds else "WRONG", f.name, f.text] for f in report.findings]
        print_table(rows, indent=2, styles=styles)
        print_line("all of it holds" if report.holds else "something does not hold")
    return 0 if report.holds else EXIT_WRONG


def _world(text: str) -> tuple[int, int, int]:
    try:
        nodes, ranks, workers = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise ConfigError(f"--worlds: expected NODESxRANKSxWORKERS such as 2x8x4, got {text!r}.") from error
    return nodes, ranks, workers
