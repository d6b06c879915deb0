"""What the commands take that ask about the machine, the network and the command line itself."""

from __future__ import annotations

import argparse
from typing import Any

from streaming.cli.arguments.parser import URL, add_command, add_jobs, add_unsafe, count, positive

__all__ = ["add_bench", "add_completion", "add_doctor"]


def add_bench(commands: Any) -> None:
    """Add ``bench``."""
    bench = add_command(
        commands,
        "bench",
        "measure how fast a dataset is read from here",
        "The first byte, bytes a second, and\nsamples a second in batches, shuffled, into an empty cache.",
        "  streaming bench s3://bucket/corpus --workers 8\n  streaming bench /data/photos --seconds 30 --json",
    )
    bench.add_argument("url", metavar="URL", help=URL)
    bench.add_argument("--workers", type=count, default=2, metavar="N", help="of the DataLoader (default 2)")
    bench.add_argument("--batch-size", type=positive, default=32, metavar="N", help="samples in a batch (default 32)")
    bench.add_argument("--seconds", type=positive, default=10, metavar="S", help="for each measurement (default 10)")
    add_unsafe(bench)
    add_jobs(bench)


def add_doctor(commands: Any) -> None:
    """Add ``doctor``."""
    doctor = add_command(
        commands,
        "doctor",
        "look for what may be wrong",
        "Versions, other packages of this import name, limits,\n"
        "shared memory, disks, where credentials are (never what they are), proxies; with a URL,\n"
        "the way to it, and the clock. Exit code 1 if something will not work.",
        "  streaming doctor s3://bucket/corpus\n  streaming doctor",
    )
    doctor.set_defaults(module="doctor.report")
    doctor.add_argument("url", metavar="URL", nargs="?", help=URL)


def add_completion(commands: Any) -> None:
    """Add ``completion``."""
    completion: argparse.ArgumentParser = commands.add_parser(
        "completion",
        help="print a script with which your shell completes commands and options",
        description="Print a script with which your shell completes commands and options.",
        epilog="examples:\n  streaming completion bash > ~/.local/share/bash-completion/completions/streaming\n"
        "  streaming completion zsh > ~/.zfunc/_streaming",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="which shell")
    completion.set_defaults(module="completion", storage_options={})
