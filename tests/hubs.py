"""Small servers of the web interfaces of the Hugging Face Hub and of Databricks, as far as a store needs them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from servers import LocalServer

__all__ = [
    "DATABRICKS_TOKEN",
    "HF_TOKEN",
    "Databricks",
    "Hub",
    "Oracle",
    "databricks_server",
    "hub_server",
    "oracle_server",
]

HF_TOKEN = "hf_secret-token"
DATABRICKS_TOKEN = "dapi-secret-token"
CLIENT = "principal", "principal-secret"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    state: Any

    def log_message(self, *args: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            pass  # the client has gone

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def json(self, value: Any, status: int = 200, **headers: str) -> None:
        self.reply(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def content(self, data: bytes, **headers: str) -> None:
        wanted = self.headers.get("Range")
        if self.command == "HEAD" or wanted is None:
            self.reply(200, data if self.command != "HEAD" else b"", Content_Length=str(len(data)), **headers)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last) + 1 if last else len(data), len(data))
        if start >= len(data):
            self.reply(416)
        else:
            self.reply(206, data[start:end], Content_Range=f"bytes {start}-{end - 1}/{len(data)}", **headers)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self) -> None:
        data = self.body()
        self.state.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        # A client's look at what the host is may fail without harm.
        if self.state.faults and not self.path.startswith(("/.well-known/", "/oidc/")):
            said = str(self.headers) if self.state.echo else "it is so"
            headers = {"Retry_After": self.state.retry_after} if self.state.retry_after else {}
            self.json({"error_code": "FAULT", "message": said, "error": said}, self.state.faults.pop(0), **headers)
            return
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.answer(unquote(parts.path), query, data)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def answer(self, path: str, query: dict[str, str], data: bytes) -> None:
        raise NotImplementedError


@dataclass
class Hub:
    """A hub, and beside it the network that serves large files.

    Attributes:
        url: Its root.
        files: Content by ``kind/owner/name@revision/path``.
        repos: ``kind/owner/name`` of the repositories.
        gated: Those whose terms have to be accepted.
        buckets: ``owner/name`` of the buckets, whose files are ``buckets/owner/name/path``.
        commits: What a revision held when it was asked for, by the hash of that.
        requests: Method, path, and headers of each request, by lower-case name.
        faults: Statuses to answer the next requests with.
        echo: Whether such an answer says what was sent.
        retry_after: When to come again, in such an answer.
    """

    url: str = ""
    elsewhere: str = ""
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    repos: set[str] = field(default_factory=set[str])
    buckets: set[str] = field(default_factory=set[str])
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict[str, Any])
    gated: set[str] = field(default_factory=set[str])
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list[Any])
    faults: list[int] = field(default_factory=list[int])
    echo: bool = False
    retry_after: str = ""

    def commit(self, start: str) -> str:
        """Return the hash of what is at ``kind/owner/name@revision/`` now, and keep it."""
        revision = start.rstrip("/").rpartition("@")[2]
        if revision in self.commits:
            return revision
        held = {key.removeprefix(start): data for key, data in dict(self.files).items() if key.startswith(start)}
        each = {key: hashlib.sha1(data).hexdigest() for key, data in held.items()}
        sha = hashlib.sha1(repr(sorted(each.items())).encode()).hexdigest()
        self.commits[sha] = held
        return sha


_LARGE = 10_000
_PAGE = 20


class _HubHandler(_Handler):
    state: Hub

    def answer(self, path: str, query: dict[str, str], data: bytes) -> None:
        if path.startswith("/large/"):
            _, _, sha, rest = path.split("/", 3)
            self.content(self.state.commits[sha][rest] if sha != "bucket" else self.state.files[rest])
            return
        parts = path.strip("/").split("/")
        is_api = parts[0] == "api"
        parts = parts[is_api:]
        if parts[0] == "buckets":
            self.bucket("/".join(parts[1:3]), parts[3:])
            return
        kind = parts.pop(0) if parts[0] in ("datasets", "models", "spaces") else "models"
        repo, rest = f"{kind}/{'/'.join(parts[:2])}", parts[2:]
        if repo not in self.state.repos:
            self.json({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        elif repo in self.state.gated and self.headers.get("Authorization") != f"Bearer {HF_TOKEN}":
            self.json({"error": f"Access to {repo} is restricted"}, 401, X_Error_Code="GatedRepo")
        elif is_api:
            self.api(repo, rest, query, data)
        else:
            self.resolve(f"{repo}@{rest[1]}/", "/".join(rest[2:]))

    def resolve(self, start: str, path: str) -> None:
        sha = self.state.commit(start)
        data = self.state.commits[sha].get(path)
        if data is None:
            self.json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
        else:
            self.file(data, f"{sha}/{path}", X_Repo_Commit=sha)

    def file(self, data: bytes, place: str, **headers: str) -> None:
        etag = f'"{hashlib.sha1(data).hexdigest()}"'
        if len(data) > _LARGE:
            location = f"{self.state.elsewhere}/large/{quote(place)}"
            self.reply(302, Location=location, X_Linked_Size=str(len(data)), X_Linked_Etag=etag, **headers)
        else:
            self.content(data, ETag=etag, **headers)

    def bucket(self, name: str, rest: list[str]) -> None:
        start = f"buckets/{name}/"
        below = start + unquote("/".join(rest[1:]))
        if name not in self.state.buckets:
            self.json({"error": "Bucket not found"}, 404, X_Error_Code="BucketNotFound")
        elif not rest:
            self.json(
                {"id": name, "private": False, "createdAt": "2026-01-01T00:00:00.000Z", "size": 0, "totalFiles": 0}
            )
        elif rest[0] == "tree":
            found = sorted(key for key in self.state.files if key.startswith(below))
            self.json(
                [
                    {
                        "type": "file",
                        "path": key.removeprefix(start),
                        "size": len(self.state.files[key]),
                        "xetHash": "1",
                        "mtime": "2026-01-01T00:00:00.000Z",
                    }
                    for key in found
                ]
            )
        elif below in self.state.files:
            self.file(self.state.files[below], f"bucket/{below}")
        else:
            self.json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")

    def api(self, repo: str, rest: list[str], query: dict[str, str], data: bytes) -> None:
        if not rest or rest[0] == "revision":
            self.json(
                {"id": repo.partition("/")[2], "sha": self.state.commit(f"{repo}@{rest[1] if rest else 'main'}/")}
            )
        elif rest[0] == "tree":
            self.tree(f"{repo}@{rest[1]}/", "/".join(rest[2:]), int(query.get("cursor", 0)))
        elif self.headers.get("Authorization") != f"Bearer {HF_TOKEN}":
            self.json({"error": "Invalid token"}, 401)
        elif rest[0] == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(data)["files"]
            ]
            self.json({"files": files})
        elif rest[0] == "commit":
            self.commit(f"{repo}@{rest[1]}/", data)
        else:
            self.reply(404)

    def tree(self, start: str, directory: str, cursor: int) -> None:
        held = self.state.commits[self.state.commit(start)]
        found = sorted(key for key in held if not directory or key.startswith(f"{directory}/"))
        if directory and not found:
            self.json({"error": "not found"}, 404, X_Error_Code="EntryNotFound")
            return
        items: list[dict[str, Any]] = []
        if not cursor:
            items.append({"type": "directory", "path": directory or "x", "size": 0, "oid": "0"})
        for key in found[cursor : cursor + _PAGE]:
            sha = hashlib.sha1(held[key]).hexdigest()
            large = {"lfs": {"oid": sha, "size": len(held[key]), "pointerSize": 1}} if len(held[key]) > _LARGE else {}
            items.append({"type": "file", "path": key, "size": len(held[key]), "oid": "1" if large else sha, **large})
        headers = {}
        if cursor + _PAGE < len(found):
            target = f"{self.path.partition('?')[0]}?recursive=true&cursor={cursor + _PAGE}"
            headers["Link"] = f'<{self.state.url}{target}>; rel="next"'
        self.json(items, **headers)

    def commit(self, start: str, data: bytes) -> None:
        for line in data.decode().splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                self.state.files[start + value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "deletedFile" and self.state.files.pop(start + value["path"], None) is None:
                self.json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
                return
        sha = self.state.commit(start)
        self.json({"commitOid": sha, "commitUrl": f"{self.state.url}/{start.partition('@')[0]}/commit/{sha}"})


@dataclass
class Databricks:
    """A workspace.

    Attributes:
        url: Its root.
        files: Content by path.
        tokens: Those that are accepted.
        made: Tokens given to the principal so far.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    tokens: set[str] = field(default_factory=lambda: {DATABRICKS_TOKEN})
    made: int = 0
    directories: set[str] = field(default_factory=set[str])
    handles: dict[int, tuple[str, bytearray]] = field(default_factory=dict[int, Any])
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list[Any])
    faults: list[int] = field(default_factory=list[int])
    echo: bool = False
    retry_after: str = ""


class _DatabricksHandler(_Handler):
    state: Databricks

    def answer(self, path: str, query: dict[str, str], data: bytes) -> None:
        state = self.state
        given = self.headers.get("Authorization", "")
        if path == "/.well-known/databricks-config":
            self.json({"workspace_id": "1", "oidc_endpoint": f"{state.url}/oidc"})
        elif path == "/oidc/.well-known/oauth-authorization-server":
            authorize, token = f"{state.url}/oidc/v1/authorize", f"{state.url}/oidc/v1/token"
            self.json({"authorization_endpoint": authorize, "token_endpoint": token})
        elif path == "/oidc/v1/token":
            if base64.b64decode(given.removeprefix("Basic ")).decode() != ":".join(CLIENT):
                self.json({"error": "invalid_client"}, 401)
                return
            state.made += 1
            state.tokens.add(f"made-{state.made}")
            self.json({"access_token": f"made-{state.made}", "token_type": "Bearer", "expires_in": 3600})
        elif given.removeprefix("Bearer ") not in state.tokens:
            self.json({"error_code": "403", "message": "Invalid access token."}, 403)
        elif path.startswith("/api/2.0/fs/files"):
            self.file(path.removeprefix("/api/2.0/fs/files"), data)
        elif path.startswith("/api/2.0/fs/directories"):
            self.directory(path.removeprefix("/api/2.0/fs/directories").rstrip("/"), int(query.get("page_token", 0)))
        else:
            fields = query if self.command == "GET" else json.loads(data)
            getattr(self, "dbfs_" + path.rpartition("/")[2].replace("-", "_"))(fields)

    def file(self, path: str, data: bytes) -> None:
        files = self.state.files
        if self.command == "PUT":
            files[path] = data
            self.reply(204)
        elif path not in files:
            self.json({"error_code": "NOT_FOUND"}, 404)
        elif self.command == "DELETE":
            del files[path]
            self.reply(204)
        else:
            self.content(files[path], Last_Modified=formatdate(len(files[path]), usegmt=True))

    def directory(self, path: str, page: int) -> None:
        if self.command == "PUT":
            self.state.directories.add(path)
            self.reply(204)
            return
        found = self.children(path)
        if not found and path not in self.state.directories and path.count("/") > 4:
            self.json({"error_code": "NOT_FOUND"}, 404)
            return
        contents = [
            {
                "path": f"{path}/{name}",
                "is_directory": size is None,
                "file_size": size or 0,
                "last_modified": 1000 * (size or 0),
            }
            for name, size in found[page : page + _PAGE]
        ]
        more = {"next_page_token": str(page + _PAGE)} if page + _PAGE < len(found) else {}
        self.json({"contents": contents, **more})

    def children(self, path: str) -> list[tuple[str, int | None]]:
        """Return names and sizes of what a directory holds, ``None`` for a directory."""
        found: dict[str, int | None] = {}
        for key, value in self.state.files.items():
            if key.startswith(path + "/"):
                name, slash, _ = key[len(path) + 1 :].partition("/")
                found[name] = None if slash else len(value)
        return sorted(found.items())

    def missing(self) -> None:
        self.json({"error_code": "RESOURCE_DOES_NOT_EXIST"}, 404)

    def dbfs_read(self, fields: dict[str, str]) -> None:
        data = self.state.files.get(fields["path"])
        offset, length = int(fields["offset"]), int(fields["length"])
        if data is None:
            self.missing()
        elif length > 1 << 20:
            self.json({"error_code": "MAX_READ_SIZE_EXCEEDED"}, 400)
        elif offset > len(data):
            self.json({"error_code": "INVALID_PARAMETER_VALUE"}, 400)
        else:
            part = data[offset : offset + length]
            self.json({"bytes_read": len(part), "data": base64.b64encode(part).decode()})

    def dbfs_get_status(self, fields: dict[str, str]) -> None:
        path = fields["path"].rstrip("/")
        data = self.state.files.get(path)
        if data is not None:
            self.json({"path": path, "is_dir": False, "file_size": len(data), "modification_time": 1000 * len(data)})
        elif self.children(path) or path in self.state.directories:
            self.json({"path": path, "is_dir": True, "file_size": 0})
        else:
            self.missing()

    def dbfs_list(self, fields: dict[str, str]) -> None:
        path = fields["path"].rstrip("/")
        found = self.children(path)
        if not found:
            self.missing()
            return
        files = [{"path": f"{path}/{name}", "is_dir": size is None, "file_size": size or 0} for name, size in found]
        self.json({"files": files})

    def dbfs_create(self, fields: dict[str, Any]) -> None:
        handle = len(self.state.handles) + 1
        self.state.directories.add(fields["path"].rpartition("/")[0])
        self.state.handles[handle] = fields["path"], bytearray()
        self.json({"handle": handle})

    def dbfs_add_block(self, fields: dict[str, Any]) -> None:
        self.state.handles[fields["handle"]][1].extend(base64.b64decode(fields["data"]))
        self.json({})

    def dbfs_close(self, fields: dict[str, Any]) -> None:
        path, data = self.state.handles[fields["handle"]]
        self.state.handles[fields["handle"]] = path, bytearray()
        self.state.files[path] = bytes(data)
        self.json({})

    def dbfs_delete(self, fields: dict[str, Any]) -> None:
        self.state.files.pop(fields["path"], None)
        self.json({})

    def dbfs_move(self, fields: dict[str, Any]) -> None:
        self.state.files[fields["destination_path"]] = self.state.files.pop(fields["source_path"])
        self.json({})


@dataclass
class Oracle:
    """Oracle's own interface to its object storage.

    Attributes:
        files: Content by ``namespace/bucket/name``.
        signed: The keys that requests were signed with.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    signed: set[str] = field(default_factory=set[str])
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list[Any])
    faults: list[int] = field(default_factory=list[int])
    echo: bool = False
    retry_after: str = ""

    def profile(self, folder: Path) -> str:
        """Write a configuration file whose API key signs; gives its path."""
        key = folder / "key.pem"
        if not key.exists():
            made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            form = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            key.write_bytes(made.private_bytes(serialization.Encoding.PEM, *form))
        lines = [
            "[DEFAULT]",
            "user=ocid1.user.oc1..a",
            f"fingerprint={':'.join(['ab'] * 16)}",
            "tenancy=ocid1.tenancy.oc1..a",
        ]
        (folder / "config").write_text("\n".join([*lines, "region=us-ashburn-1", f"key_file={key}", ""]))
        return str(folder / "config")


class _OracleHandler(_Handler):
    state: Oracle

    def answer(self, path: str, query: dict[str, str], data: bytes) -> None:
        found = re.search(r'keyId="([^"]*)"', self.headers.get("Authorization", ""))
        parts = path.split("/", 6)  # '', n, namespace, b, bucket, o, name
        if found is None:
            self.json({"code": "NotAuthenticated", "message": "not signed"}, 401)
            return
        self.state.signed.add(found[1])
        if len(parts) < 4:
            self.json("space")
        elif parts[4] == "none":
            self.json({"code": "BucketNotFound", "message": "no such bucket"}, 404)
        elif len(parts) < 7 and self.command == "GET":
            self.list(f"{parts[2]}/{parts[4]}/", query)
        elif len(parts) < 7:
            self.reply(200)
        else:
            self.object(f"{parts[2]}/{parts[4]}/{parts[6]}", data)

    def list(self, start: str, query: dict[str, str]) -> None:
        below = start + query.get("prefix", "")
        names = sorted(key.removeprefix(start) for key in self.state.files if key.startswith(below))
        names = [name for name in names if name >= query.get("start", "")]
        page = names[:_PAGE]
        items = [{"name": name, "size": len(self.state.files[start + name]), "etag": "1"} for name in page]
        self.json({"objects": items, **({"nextStartWith": names[_PAGE]} if len(names) > _PAGE else {})})

    def object(self, key: str, data: bytes) -> None:
        files = self.state.files
        if self.command == "PUT":
            files[key] = data
            self.reply(200)
        elif key not in files:
            self.json({"code": "ObjectNotFound", "message": "no such object"}, 404)
        elif self.command == "DELETE":
            del files[key]
            self.reply(204)
        else:
            self.content(files[key], ETag=f"{len(files[key])}")


@contextmanager
def _running(handler: type[_Handler], state: Any) -> Iterator[str]:
    kind = type("Handler", (handler,), {"state": state})
    server = LocalServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Run a hub."""
    state = Hub()
    with _running(_HubHandler, state) as state.url, _running(_HubHandler, state) as state.elsewhere:
        yield state


@contextmanager
def databricks_server() -> Iterator[Databricks]:
    """Run a workspace."""
    state = Databricks()
    with _running(_DatabricksHandler, state) as state.url:
        yield state


@contextmanager
def oracle_server() -> Iterator[Oracle]:
    """Run Oracle's object storage."""
    state = Oracle()
    with _running(_OracleHandler, state) as state.url:
        yield state
