"""What it takes to build a network client: plain values that any process can be handed."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from typing import Any, NamedTuple

__all__ = ["ClientSpec"]

_CONNECT = timedelta(seconds=10)
_RETRY = timedelta(seconds=30)
_NONE: Mapping[str, str] = {}


class ClientSpec(NamedTuple):
    """A client yet to be built.

    Not a dataclass: to import what makes one takes longer than to build a client, and the helper is waited for.

    Attributes:
        url: The store's root, fit to be shown.
        builder: ``"module:function"`` that builds the client from ``settings``.
        settings: Keyword arguments of the builder. They may hold secrets, so they are never shown.
        write_headers: Headers that go with what is written.
        hints: What to advise when an operation fails, by the kind of failure (see ``failures``).
        env_prefix: Variables that begin like this may be read when the client is built; ``''`` for none.
        environ: Those variables. They may hold secrets as well.
        public: The client to read with when this one's credentials are refused: one that has none.
    """

    url: str
    builder: str
    settings: Mapping[str, Any]
    write_headers: Mapping[str, str] = _NONE
    hints: Mapping[str, str] = _NONE
    env_prefix: str = ""
    environ: Mapping[str, str] = _NONE
    public: ClientSpec | None = None

    def __repr__(self) -> str:
        return f"ClientSpec({self.url})"

    def key(self, stall_s: float) -> bytes:
        """Return bytes that are equal for specs that build equal clients."""
        return pickle.dumps((self.builder, sorted(self.settings.items()), sorted(self.environ.items()), stall_s))

    def for_writing(self) -> ClientSpec:
        """Return the client to write with."""
        if not self.write_headers:
            return self
        options = dict(self.settings.get("client_options", {}))
        options["default_headers"] = {**options.get("default_headers", {}), **self.write_headers}
        return self._replace(settings={**self.settings, "client_options": options}, write_headers={})

    def build(self, stall_s: float) -> Any:
        """Build the client. Does not contact anything.

        Its own timeout covers a whole body, however large, so that is out of the way; its own retries are few and
        quick, enough for a connection that was dropped while idle.

        Args:
            stall_s: Longest silence of the server, in seconds.
        """
        silence = timedelta(seconds=stall_s)
        options: dict[str, Any] = {
            "timeout": "7 days",
            "connect_timeout": min(_CONNECT, silence),
            "read_timeout": silence,
            **self.settings.get("client_options", {}),
        }
        retries: dict[str, Any] = {
            "max_retries": 2,
            "retry_timeout": min(_RETRY, silence),
            "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1)},
            **self.settings.get("retry_config", {}),
        }
        module, _, name = self.builder.partition(":")
        build = getattr(import_module(module), name)
        return build(**{**self.settings, "client_options": options, "retry_config": retries})

    @property
    def is_quick(self) -> bool:
        """Whether it can be built from its settings alone, without signing in anywhere."""
        own = self.builder.startswith("streaming.storage.")
        return own and not {"credential_provider", "odd", "sign_in"} & set(self.settings)

    def adopt_environ(self) -> None:
        """Make this process's variables of the same prefix what they were where the spec was made."""
        if not self.env_prefix:
            return
        for name in [n for n in os.environ if n.startswith(self.env_prefix)]:
            if name not in self.environ:
                del os.environ[name]
        os.environ.update(self.environ)
