"""From the arguments of ``streaming plan`` to the plan."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from streaming.cli.reading.files import read_json, read_text
from streaming.cli.reading.runs import Request, opened, request_of
from streaming.planning import Price, Speed, read_prices
from streaming.planning.prices import find_price

if TYPE_CHECKING:
    from streaming.planning import Plan

__all__ = ["plan_of"]


def plan_of(args: Namespace) -> tuple[Request, Plan]:
    """Return what is asked about, and its plan.

    Args:
        args: The parsed arguments, their URLs made places.

    Raises:
        ConfigError: They name no dataset, or nothing that there could be.
        StorageError: An index cannot be read.
    """
    request = request_of(args)
    speed, price = _speed(args, request), _price(args)
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
    return request, plan


def _speed(args: Namespace, request: Request) -> Speed:
    given = {"bandwidth": args.bandwidth, "connection": args.connection}
    given |= {"latency_s": args.latency, "decode_s": args.decode, "step_s": args.step}
    if args.sample is not None and args.step is None:
        given["step_s"] = args.sample * request.settings["batch_size"]
    given = {name: value for name, value in given.items() if value is not None}
    return Speed(**given) if args.bench is None else Speed.of_bench(read_json(args.bench), **given)


def _price(args: Namespace) -> Price | None:
    table = None if args.prices is None else read_prices(read_text(args.prices), args.prices)
    if args.price is None:
        return None if table is None else next(iter(table.values()), None)
    try:
        return find_price(float(args.price))
    except ValueError:
        return find_price(args.price, table)
