"""``streaming serve``: pages in a browser."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence

from streaming.cli.shell.output import print_json, print_line, print_note
from streaming.core.errors import ConfigError
from streaming.core.imports import optional_import

__all__ = ["run"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def run(args: Namespace) -> int:
    """Serve until interrupted."""
    uvicorn = optional_import("uvicorn", "serve", "Serving pages")
    optional_import("starlette", "serve", "Serving pages")
    optional_import("jinja2", "serve", "Serving pages")
    token = None if args.no_token else secrets.token_urlsafe(24)
    if token is None and args.host not in _LOOPBACK:
        raise ConfigError(
            f"--no-token is for this machine alone, and --host {args.host} is for others too. Leave one out."
        )
    if args.file is not None and not os.path.isfile(args.file):
        raise ConfigError(f"--run: There is no file {args.file}. Check the path.")
    from streaming.cli.serving.application import make_application
    from streaming.cli.serving.catalog import Catalog
    from streaming.cli.serving.guard import Guard
    from streaming.cli.serving.planner import Planner
    from streaming.cli.serving.plans import Plans
    from streaming.cli.serving.run import Run

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # the temporary directory is removed
    with (
        tempfile.TemporaryDirectory(prefix="streaming-serve-", ignore_cleanup_errors=True) as directory,
        _listening(args.host, args.port) as sock,
    ):
        catalog = Catalog(args.url, directory)
        names = catalog.names()[0]  # what is wrong is said now
        plans = Plans(catalog, Planner(), args.file)
        port = sock.getsockname()[1]
        names_of_host = _LOOPBACK if args.host in _LOOPBACK else (args.host, socket.gethostname(), *_LOOPBACK)
        hosts = [f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names_of_host]
        pages = make_application(catalog, plans, Run(args.reports), _decoder(args.tokenizer))
        application = Guard(pages, hosts, token)
        shown = f"[{args.host}]" if ":" in args.host else args.host
        page = "plan" if args.file else "" if args.url else "run" if args.reports else "plan"
        address = f"http://{shown}:{port}/{page}" + (f"?token={token}" if token else "")
        if args.json:
            print_json({"url": address, "datasets": names})
        else:
            what = f"the run of the reports in {args.reports}" if args.reports else "plans of runs"
            what = f"{len(names):,} dataset{'s' * (len(names) != 1)} at {catalog.place}" if names else what
            print_note(f"{what}. Ctrl-C ends it. Open:")
            print_line(address)
        sys.stdout.flush()
        config = uvicorn.Config(application, log_level="error", server_header=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[sock])
    return 0


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"Port {port} of {host} cannot be listened at: {error}. Give another: --port 0 takes any."
        ) from error


def _decoder(tokenizer: str | None) -> Callable[[Sequence[int]], str] | None:
    if tokenizer is None:
        return None
    from streaming.converting.tokens import Tokens

    loaded = Tokens(tokenizer).load()
    return lambda ids: loaded.decode(list(ids), skip_special_tokens=False)
