"""The program ``simulator``: what the simulator of mosaicml-streaming is asked, answered by plans and their page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from streaming.cli.main import main as streaming
from streaming.cli.shell.output import print_note

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Open the page of plans, or print the plan of a YAML file.

    Args:
        argv: Arguments; ``None``: those of this process.

    Returns:
        The exit code of ``streaming serve`` or ``streaming plan``.
    """
    parser = argparse.ArgumentParser(
        prog="simulator",
        description="Serve a page on which a run is planned. With a file, print its plan, as `streaming plan FILE` "
        "does, which knows more options.",
    )
    parser.add_argument("-f", "--file", metavar="FILE", help="the run's YAML file")
    parser.add_argument("--page", action="store_true", help="serve the page of the file's plan rather than print it")
    parser.add_argument(
        "--port", default="8080", metavar="N", help="port of the page (default 8080; 0: any that is free)"
    )
    parser.add_argument("-n", "--nodes", metavar="N", help="nodes")
    parser.add_argument("-d", "--devices", metavar="N", help="devices of each")
    parser.add_argument("-t", "--time_per_sample", type=float, metavar="S", help="seconds a device takes for a sample")
    parser.add_argument("-b", "--node_network_bandwidth", metavar="SIZE", help="bytes a second that a node receives")
    args = parser.parse_args(argv)
    if args.page or args.file is None:
        return streaming(["serve", "--port", args.port, *([] if args.file is None else ["--run", args.file])])
    given = {"--nodes": args.nodes, "--ranks": args.devices, "--bandwidth": args.node_network_bandwidth}
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    if args.time_per_sample is not None:
        words += ["--sample", str(args.time_per_sample)]
    print_note("here is the plan; with --page, in a browser")
    return streaming(["plan", args.file, *words])
