"""Whether a dataset can be reached, how soon, and whether the clock agrees with the server's."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from streaming.cli.commands.doctor.findings import Finding
from streaming.cli.reading.source import read_source
from streaming.columns.shards import with_retries
from streaming.core.errors import StreamingError
from streaming.storage.location import Location
from streaming.storage.network import share_ca_bundle
from streaming.storage.url import redact, redact_text
from streaming.writing.bulk.report import show_bytes

__all__ = ["find_network"]

_TIMEOUT_S = 10
_SKEW_S, _REFUSED_S = 30, 300
#: By scheme: variables that name a server, and the one without them.
_SERVERS = {
    "s3": (("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "https://s3.amazonaws.com"),
    "gs": (("GCS_ENDPOINT_URL",), "https://storage.googleapis.com"),
    "azure": (("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"), "https://login.microsoftonline.com"),
    "az": (("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"), "https://login.microsoftonline.com"),
    "hf": (("HF_ENDPOINT",), "https://huggingface.co"),
    "oci": (("OCI_ENDPOINT_URL",), ""),
    "dbfs": (("DATABRICKS_HOST",), ""),
}


def find_network(place: Location) -> Iterator[Finding]:
    """Yield what is known of the way to a dataset.

    Args:
        place: Where it is.
    """
    server = _server_of(place)
    if server:
        yield _clock(server)
    yield from _reach(place)


def _server_of(place: Location) -> str:
    if place.scheme in ("http", "https"):
        parts = urlsplit(place.base)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    options = place.options.reveal()
    given = next((str(options[name]) for name in ("endpoint", "endpoint_url", "base_url") if options.get(name)), "")
    variables, usual = _SERVERS.get(place.scheme, ((), ""))
    return given or next((os.environ[name] for name in variables if os.environ.get(name)), usual)


def _clock(server: str) -> Finding:
    share_ca_bundle()
    shown = redact(server)
    if urlsplit(server).scheme not in ("http", "https"):
        server = f"https://{server}"
    try:
        date = _ask_date(urllib.request.Request(server, method="HEAD"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Finding("network", "clock", f"{shown} did not answer: {redact_text(str(reason))}", "warning")
    if date is None:
        return Finding("network", "clock", f"{shown} does not tell its own")
    off_s = abs(time.time() - date)
    text = f"{off_s:.0f} s from that of {shown}"
    if off_s < _SKEW_S:
        return Finding("network", "clock", text)
    return Finding(
        "network", "clock", text, "problem" if off_s > _REFUSED_S else "warning",
        "Set it (NTP): servers refuse requests that are signed at another time.",
    )  # fmt: skip


def _ask_date(request: urllib.request.Request) -> float | None:
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            text = answer.headers.get("Date")
    except urllib.error.HTTPError as error:  # an answer, too
        text = error.headers.get("Date")
        error.close()
    return parsedate_to_datetime(text).timestamp() if text else None


def _reach(place: Location) -> Iterator[Finding]:
    begin = time.monotonic()
    try:
        source = read_source(place)
        ms = 1000 * (time.monotonic() - begin)
        index = source.index
        shards = f"{index.num_samples:,} samples, {index.num_shards:,} shards"
        size = show_bytes(len(source.data))
        yield Finding("dataset", source.name, f"{shards}; an index of {size} in {ms:,.0f} ms")
        if index.num_shards:
            info = index.shard(0)
            name = (info.zip[0] or info.raw[0]).basename
            begin = time.monotonic()
            with_retries(lambda: source.store.get_range(name, 0, 1))
            ms = 1000 * (time.monotonic() - begin)
            yield Finding("dataset", "first byte", f"of {name}, in {ms:,.1f} ms")
    except (StreamingError, OSError) as error:
        yield Finding("dataset", str(place), str(error), "problem")
