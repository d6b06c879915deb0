"""What the commands take that ask about the machine, the network and the command line itself."""

from __future__ import annotations

import argparse
from typing import Any

from streaming.cli.arguments.parser import URL, add_command, add_jobs, add_unsafe, count, positive

__all__ = ["add_bench", "add_completion", "add_doctor", "add_serve"]


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


def add_serve(commands: Any) -> None:
    """Add ``serve``."""
    serve = add_command(
        commands,
        "serve",
        "look at datasets in a browser",
        "Datasets below a place, their shards, samples\n(images, sounds, videos, text, tokens, arrays), side columns\n"
        "and SQL over them, the order of an epoch, the plan of a run, and a run as it goes.\n"
        "Nothing can be changed, and only who has the printed address gets an answer.",
        "  streaming serve s3://bucket/corpora\n  streaming serve photos --port 8123\n"
        "  streaming serve tokens --tokenizer gpt2\n  streaming serve --reports runs/7",
    )
    serve.add_argument(
        "url", metavar="URL", nargs="?", help="a dataset, or a place with datasets below it; without one, runs alone"
    )
    serve.add_argument(
        "--run", dest="file", metavar="FILE", help="the run to plan: a YAML file, as `streaming plan` reads it"
    )
    serve.add_argument(
        "--reports", metavar="FOLDER", help="the run to watch: the folder that its loaders have as `report_to`"
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine alone)")
    serve.add_argument("--port", type=_port, default=8080, metavar="N", help="port (default 8080; 0: any that is free)")
    serve.add_argument("--no-token", action="store_true", help="answer any program of this machine")
    serve.add_argument(
        "--tokenizer", metavar="NAME", help="show arrays of token ids as text: a tokenizer.json, or a name at the Hub"
    )


def _port(text: str) -> int:
    number = count(text)
    if number >= 1 << 16:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return number
