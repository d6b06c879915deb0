"""Plain web servers, read by range requests. They cannot be listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streaming.storage.remote import RemoteStore
from streaming.storage.spec import ClientSpec
from streaming.storage.url import redact


def open_http(url: str, options: Mapping[str, Any]) -> RemoteStore:
    return RemoteStore(url, options, resolve_http)

def resolve_http(url: str, options: Mapping[str, Any], find_region: bool) -> ClientSpec:
    return ClientSpec(redact(url), "streaming.storage.http:build_http", {"url": url, "client_options": {"allow_http": True, "timeout": "7 days"}, "retry_config": {"max_retries": 2}}, {})

def build_http(**settings: Any) -> Any:
    from obstore.store import HTTPStore

    return HTTPStore(**settings)
