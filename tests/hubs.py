"""Small servers of the web interfaces of the Hugging Face Hub and of Databricks, as far as a store needs them."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from servers import LocalServer

__all__ = ["DATABRICKS_TOKEN", "HF_TOKEN", "Databricks", "Hub", "databricks_server", "hub_server"]

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
        start, end = int(first), min(int(last) + 1, len(data))
        if start >= len(data):
            self.reply(416)
        else:
            self.reply(206, data[start:end], Content_Range=f"bytes {start}-{end - 1}/{len(data)}", **headers)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self) -> None:
        data = self.body()
        self.state.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        if self.state.faults:
            self.reply(self.state.faults.pop(0), b"fault")
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
        requests: Method, path, and headers of each request, by lower-case name.
        faults: Statuses to answer the next requests with.
    """

    url: str = ""
    elsewhere: str = ""
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    repos: set[str] = field(default_factory=set[str])
    gated: set[str] = field(default_factory=set[str])
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list[Any])
    faults: list[int] = field(default_factory=list[int])


_LARGE = 10_000
_PAGE = 50


class _HubHandler(_Handler):
    state: Hub

    def answer(self, path: str, query: dict[str, str], data: bytes) -> None:
        if path.startswith("/large/"):
            self.content(self.state.files[path.removeprefix("/large/")])
            return
        parts = path.strip("/").split("/")
        is_api = parts[0] == "api"
        parts = parts[is_api:]
        kind = parts.pop(0) if parts[0] in ("datasets", "models", "spaces") else "models"
        repo, rest = f"{kind}/{'/'.join(parts[:2])}", parts[2:]
        if repo not in self.state.repos:
            self.json({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        elif repo in self.state.gated and self.headers.get("Authorization") != f"Bearer {HF_TOKEN}":
            self.json({"error": f"Access to {repo} is restricted"}, 401, X_Error_Code="GatedRepo")
        elif is_api:
            self.api(repo, rest, query, data)
        else:
            self.resolve(f"{repo}@{rest[1]}/{'/'.join(rest[2:])}")

    def resolve(self, key: str) -> None:
        data = self.state.files.get(key)
        if data is None:
            self.json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
        elif len(data) > _LARGE:
            size = str(len(data))
            location = f"{self.state.elsewhere}/large/{key}"
            self.reply(302, Location=location, X_Linked_Size=size, X_Linked_Etag=f'"{len(data)}"')
        else:
            self.content(data, ETag=f'"{len(data)}"')

    def api(self, repo: str, rest: list[str], query: dict[str, str], data: bytes) -> None:
        if not rest:
            self.json({"id": repo})
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
        below = f"{start}{directory}/" if directory else start
        found = sorted(key for key in self.state.files if key.startswith(below))
        if directory and not found:
            self.json({"error": "not found"}, 404, X_Error_Code="EntryNotFound")
            return
        items: list[dict[str, Any]] = [{"type": "directory", "path": directory or "x", "size": 0}] if not cursor else []
        for key in found[cursor : cursor + _PAGE]:
            items.append(
                {"type": "file", "path": key.removeprefix(start), "size": len(self.state.files[key]), "oid": "1"}
            )
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
        self.json({"commitOid": "1", "commitUrl": f"{self.state.url}/{start.partition('@')[0]}/commit/1"})


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


class _DatabricksHandler(_Handler):
    state: Databricks

    def answer(self, path: str, query: dict[str, str], data: bytes) -> None:
        state = self.state
        given = self.headers.get("Authorization", "")
        if path == "/oidc/v1/token":
            if base64.b64decode(given.removeprefix("Basic ")).decode() != ":".join(CLIENT):
                self.json({"error": "invalid_client"}, 401)
                return
            state.made += 1
            state.tokens.add(f"made-{state.made}")
            self.json({"access_token": f"made-{state.made}", "expires_in": 3600})
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
            self.content(files[path], Last_Modified=f"{len(files[path])}")

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
            {"path": f"{path}/{name}", "is_directory": size is None, "file_size": size or 0, "last_modified": size or 0}
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
            self.json({"path": path, "is_dir": False, "file_size": len(data), "modification_time": len(data)})
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
        self.state.files[path] = bytes(data)
        self.json({})

    def dbfs_delete(self, fields: dict[str, Any]) -> None:
        self.state.files.pop(fields["path"], None)
        self.json({})

    def dbfs_move(self, fields: dict[str, Any]) -> None:
        self.state.files[fields["destination_path"]] = self.state.files.pop(fields["source_path"])
        self.json({})


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
