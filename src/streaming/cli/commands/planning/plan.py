"""``streaming plan``: what a run will fetch, wait for and cost."""

from __future__ import annotations

from argparse import Namespace

from streaming.cli.reading.files import read_json, read_text
from streaming.cli.reading.runs import opened, request_of
from streaming.cli.shell.output import print_json, print_note, print_table, print_title
from streaming.planning import Plan, Price, Speed, read_prices
from streaming.planning.prices import find_price

__all__ = ["run", "show"]


def run(args: Namespace) -> int:
    """Make a plan and print it."""
    request = request_of(args)
    given = {"bandwidth": args.bandwidth, "connection": args.connection}
    given |= {"latency_s": args.latency, "decode_s": args.decode, "step_s": args.step}
    if args.sample is not None and args.step is None:
        given["step_s"] = args.sample * request.settings["batch_size"]
    given = {name: value for name, value in given.items() if value is not None}
    speed = Speed(**given) if args.bench is None else Speed.of_bench(read_json(args.bench), **given)
    price = _price(args)
    with opened(request) as dataset:
        plan = dataset.plan(
            num_nodes=request.nodes,
            ranks_per_node=request.ranks,
            num_workers=request.workers,
            replication=request.replication,
            epochs=request.epochs,
            steps=request.steps,
            speed=speed,
            price=price,
        )
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


def _price(args: Namespace) -> Price | None:
    table = None if args.prices is None else read_prices(read_text(args.prices), args.prices)
    if args.price is None:
        return None if table is None else next(iter(table.values()), None)
    try:
        return find_price(float(args.price))
    except ValueError:
        return find_price(args.price, table)
