"""``streaming plan``: what a run will fetch, wait for and cost."""

from __future__ import annotations

from argparse import Namespace

from streaming.cli.reading.planned import plan_of
from streaming.cli.shell.output import print_json, print_note, print_table, print_title
from streaming.planning import Plan

__all__ = ["run", "show"]


def run(args: Namespace) -> int:
    """Make a plan and print it."""
    request, plan = plan_of(args)
    show(plan, ", ".join(request.names), args.json)
    if args.pictures is not None:
        for path in plan.draw(args.pictures):
            print_note(f"wrote {path}")
    return 0


def show(plan: Plan, name: str, as_json: bool) -> None:
    """Print a plan.

    Args:
        plan: The plan.
        name: What was asked about.
        as_json: Whether to print JSON.
    """
    if as_json:
        print_json({**plan.to_json(), "name": name})
        return
    print_title(name)
    print_table(plan.rows(), indent=2)
