"""``streaming doctor``: what was found, by topic; exit code 1 if something will not work."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby

from streaming.cli.commands.doctor.findings import Finding
from streaming.cli.commands.doctor.logins import find_logins, find_proxies
from streaming.cli.commands.doctor.machine import find_machine
from streaming.cli.commands.doctor.network import find_network
from streaming.cli.commands.doctor.packages import find_packages
from streaming.cli.shell.output import print_json, print_line, print_table, print_title

__all__ = ["run"]

EXIT_PROBLEMS = 1
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def run(args: Namespace) -> int:
    """Look, and print what was found."""
    findings = list(_find(args))
    problems = [finding for finding in findings if finding.level == "problem"]
    if args.json:
        print_json({"ok": not problems, "findings": [asdict(finding) for finding in findings]})
    else:
        _print(findings)
        warnings = sum(finding.level == "warning" for finding in findings)
        print_title(f"{len(problems)} problems, {warnings} warnings")
    return EXIT_PROBLEMS if problems else 0


def _find(args: Namespace) -> Iterator[Finding]:
    place = args.url
    yield from find_packages()
    yield from find_machine(place.path if place is not None and place.is_local else None)
    yield from find_logins()
    yield from find_proxies()
    if place is not None:
        yield from find_network(place)


def _print(findings: list[Finding]) -> None:
    for topic, group in groupby(findings, lambda finding: finding.topic):
        of_topic = list(group)
        print_title(topic)
        rows = [[finding.level, finding.name, finding.value] for finding in of_topic]
        print_table(rows, indent=2, styles=[_STYLES[finding.level] for finding in of_topic])
        for finding in of_topic:
            if finding.advice:
                print_line(f"  {finding.name}: {finding.advice}")
        print_line()
