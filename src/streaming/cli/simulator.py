"""The program ``simulator``: questions as the simulator of mosaicml-streaming takes them, answered by ``streaming plan``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from streaming.cli.main import main as streaming
from streaming.cli.shell.output import print_note

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the plan of a YAML file.

    Args:
        argv: Arguments; ``None``: those of this process.

    Returns:
        The exit code of ``streaming plan``.
    """
    parser = argparse.ArgumentParser(
        prog="simulator",
        description="Print the plan of a run, as `streaming plan FILE` does, which knows more options.",
    )
    parser.add_argument("-f", "--file", required=True, metavar="FILE", help="the run's YAML file")
    parser.add_argument("-n", "--nodes", metavar="N", help="nodes")
    parser.add_argument("-d", "--devices", metavar="N", help="devices of each")
    parser.add_argument("-t", "--time_per_sample", type=float, metavar="S", help="seconds a device takes for a sample")
    parser.add_argument("-b", "--node_network_bandwidth", metavar="SIZE", help="bytes a second that a node receives")
    args = parser.parse_args(argv)
    given = {"--nodes": args.nodes, "--ranks": args.devices, "--bandwidth": args.node_network_bandwidth}
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    if args.time_per_sample is not None:
        words += ["--sample", str(args.time_per_sample)]
    print_note("here is the plan; `streaming serve` shows the dataset in a browser")
    return streaming(["plan", args.file, *words])
