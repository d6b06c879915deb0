"""A store as far away as a cloud's: every request waits, every connection has its own bandwidth. Loopback only.

Serves a folder by path-style S3 (`GET` and `HEAD` of `/bucket/key`, with ranges, and lists), which is plain HTTP as well.
Prints its port, and runs until its standard input ends.

    python slow_server.py FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import email.utils
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

#: Bytes that are sent at a time, at most and at least, and seconds that they take.
PART, PART_LEAST, PART_S = 1 << 18, 1 << 12, 0.05
PAGE = 1000


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder: Path
    latency_s: float
    bytes_per_s: float

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        time.sleep(self.latency_s)
        if "list-type=2" in self.path:
            self.list(parse_qs(urlsplit(self.path).query))
            return
        path = (self.folder / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
        if not path.is_relative_to(self.folder) or not path.is_file():
            text = b"<Error><Code>NoSuchKey</Code><Message>There is no such key.</Message></Error>"
            self.send_response(404)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text if body else b"")
            return
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            begin, end = 0, about.st_size
            wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
            if wanted and wanted[1]:
                begin, end = int(wanted[1]), min(int(wanted[2]) + 1 if wanted[2] else end, end)
            elif wanted and wanted[2]:
                begin = max(0, end - int(wanted[2]))
            if wanted and begin >= about.st_size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{about.st_size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{about.st_size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(end - begin))
            self.send_header("ETag", f'"{about.st_size:x}-{about.st_mtime_ns:x}"')
            self.send_header("Last-Modified", email.utils.formatdate(about.st_mtime, usegmt=True))
            self.end_headers()
            if body:
                self.send(file.fileno(), begin, end)

    def list(self, query: dict[str, list[str]]) -> None:
        """Answer with a page of names; the token of the next page is the last name of this one."""
        bucket = self.folder / unquote(urlsplit(self.path).path).strip("/")
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        top = bucket / prefix.rpartition("/")[0]
        names = sorted(str(path.relative_to(bucket)) for path in top.rglob("*") if path.is_file())
        names = [name for name in names if name.startswith(prefix) and name > after]
        parts = ["<IsTruncated>true</IsTruncated>" if len(names) > PAGE else "<IsTruncated>false</IsTruncated>"]
        if len(names) > PAGE:
            parts.append(f"<NextContinuationToken>{escape(names[PAGE - 1])}</NextContinuationToken>")
        for name in names[:PAGE]:
            about = (bucket / name).stat()
            when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(about.st_mtime))
            parts.append(
                f"<Contents><Key>{escape(name)}</Key><LastModified>{when}</LastModified><Size>{about.st_size}</Size>"
                f"<ETag>&quot;{about.st_size:x}-{about.st_mtime_ns:x}&quot;</ETag></Contents>"
            )
        body = f"<ListBucketResult>{''.join(parts)}</ListBucketResult>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send(self, source: int, begin: int, end: int) -> None:
        """Send part by part, each when the bandwidth has had the time for it: no byte comes early."""
        self.wfile.flush()
        start, first = time.perf_counter(), begin
        part = max(PART_LEAST, min(PART, int(self.bytes_per_s * PART_S)))
        while begin < end:
            size = min(part, end - begin)
            early = start + (begin + size - first) / self.bytes_per_s - time.perf_counter()
            if early > 0:
                time.sleep(early)
            while size:
                sent = os.sendfile(self.connection.fileno(), source, begin, size)
                if not sent:
                    raise ConnectionError("the file became shorter")
                begin, size = begin + sent, size - sent

    def log_message(self, format: str, *args: object) -> None: ...


class Server(ThreadingHTTPServer):
    """Connections that clients drop are none of its business."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency-ms", type=float, default=30)
    parser.add_argument("--megabytes-per-s", type=float, default=100)
    args = parser.parse_args()
    Handler.folder = args.folder.resolve()
    Handler.latency_s = args.latency_ms / 1e3
    Handler.bytes_per_s = args.megabytes_per_s * 1e6
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        sys.stdin.read()


if __name__ == "__main__":
    main()
