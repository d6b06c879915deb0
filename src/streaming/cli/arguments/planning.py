"""What the commands take that look ahead at a run."""

from __future__ import annotations

import argparse
from typing import Any

from streaming.cli.arguments.parser import URL, add_command, add_options, count, positive

__all__ = ["add_check", "add_plan"]


def add_plan(commands: Any) -> None:
    """Add ``plan``."""
    plan = add_command(
        commands,
        "plan",
        "say what a run will fetch, wait for and cost",
        "From the index and the order alone:\nno sample is read. Several URLs are mixed. A YAML file is read\n"
        "as the simulator of mosaicml-streaming reads it.",
        "  streaming plan s3://bucket/corpus --nodes 8 --ranks 8 --workers 4 --batch-size 32 \\\n"
        "      --bandwidth 500mb --latency 0.03 --step 0.28 --price aws-internet\n"
        "  streaming plan --estimate 2000x4000x60mb --ranks 8 --workers 8 --steps 1000\n"
        "  streaming plan s3://bucket/web s3://bucket/code --mix '0:0.8,0.2; 10m-20m:0.5,0.5' --steps 100000\n"
        "  streaming plan conf.yaml --out pictures",
    )
    plan.set_defaults(module="planning.plan")
    _add_run(plan)
    plan.add_argument("--bandwidth", metavar="SIZE", help="bytes a second that a node receives, such as 500mb")
    plan.add_argument("--connection", metavar="SIZE", help="the same of one request, where the store limits that")
    training = plan.add_mutually_exclusive_group()
    for name, text in (
        ("latency", "from a request to its first byte"),
        ("decode", "in which a worker makes a sample"),
        ("step", "of a training step"),
        ("sample", "that a rank trains on one sample, instead of --step"),
    ):
        add = training if name in ("step", "sample") else plan
        add.add_argument(f"--{name}", type=_seconds, metavar="S", help=f"seconds {text}")
    plan.add_argument("--bench", metavar="FILE", help="take speeds from what `streaming bench --json` printed")
    plan.add_argument("--price", metavar="NAME", help="what data costs: a name of the table, or a number for each GB")
    plan.add_argument("--prices", metavar="FILE", help="another table of prices, as JSON")
    plan.add_argument("--out", dest="pictures", metavar="DIR", help="write pictures there, as SVG")


def add_check(commands: Any) -> None:
    """Add ``check``."""
    check = add_command(
        commands,
        "check",
        "prove what a run will serve",
        "Every sample as often as it should be, ranks with\n"
        "equally many, the same batches in other worlds, the same rest after resuming, and a\n"
        "cache that suffices. Exit code 1 if anything does not hold.",
        "  streaming check s3://bucket/corpus --nodes 2 --ranks 8 --worlds 1x16x0,4x4x2\n"
        "  streaming check /data/corpus --ranks 8 --cache-limit 100gb --json > report.json",
    )
    check.set_defaults(module="planning.check")
    _add_run(check)
    check.add_argument("--worlds", metavar="LIST", default="", help="others, as NODESxRANKSxWORKERS, joined by commas")
    check.add_argument(
        "--most",
        type=positive,
        default=1 << 24,
        metavar="N",
        help="look at every sample up to so many (default 16 million)",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("urls", metavar="URL", nargs="*", default=[], help=f"{URL}; or a YAML file")
    parser.add_argument(
        "--estimate",
        metavar="SHARDSxSAMPLESxSIZE",
        help="a dataset that is not there yet: shards, and of each its samples "
        "and bytes, with xSIZE for compressed ones",
    )
    parser.add_argument("--nodes", type=positive, metavar="N", help="nodes (default 1)")
    parser.add_argument("--ranks", type=positive, metavar="N", help="ranks, or GPUs, of each (default 1)")
    parser.add_argument("--workers", type=count, metavar="N", help="DataLoader workers of each rank (default 0)")
    parser.add_argument("--batch-size", type=positive, metavar="N", help="samples of a batch of a rank (default 32)")
    parser.add_argument("--replication", type=positive, metavar="N", help="consecutive ranks that get the same samples")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive, metavar="N", help="epochs (default 1)")
    length.add_argument("--steps", type=positive, metavar="N", help="global batches, instead")
    parser.add_argument("--cache-limit", metavar="SIZE", help="what a node's cache may hold, such as 100gb")
    parser.add_argument("--no-shuffle", action="store_true", help="samples as they were written")
    parser.add_argument("--proportions", metavar="LIST", help="shares of the streams, joined by commas")
    parser.add_argument(
        "--mix",
        metavar="PHASES",
        help="shares that change, instead: '0:0.8,0.2; 2b:0.5,0.5; 3b-4b:0.2,0.8' begins a phase at sample 2 billion "
        "and ends with a ramp; 2000ba: at a batch",
    )
    parser.add_argument("--resume", metavar="FILE", help="go on where a checkpoint was made: its JSON")
    add_options(parser, "--set", None, "settings", "argument of StreamingDataset, such as shuffle_algo=py1e")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds, got {text!r}")
    return seconds
