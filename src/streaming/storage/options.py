"""What a user gives to get into a store, kept out of sight.

``storage_options`` come in three forms: a mapping of names to values, a function that returns one (called again when the
store no longer accepts what it returned), or a store object of ``obstore``. They hold secrets, so all that keeps them
keeps them sealed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from multiprocessing.reduction import ForkingPickler
from types import FunctionType
from typing import Any, cast

from streaming.core.errors import ConfigError

__all__ = ["Sealed", "StorageOptions", "is_client", "seal"]

StorageOptions = Mapping[str, Any] | Callable[[], Mapping[str, Any]] | Any
"""A mapping, a function that returns one, or an ``obstore`` store."""

# Values of these names say where something is, not who may have it.
_PLAIN = {
    "account_name", "allow_http", "anon", "endpoint", "endpoint_url", "namespace", "profile", "region", "region_name",
    "request_payer", "skip_signature", "virtual_hosted_style_request",
}  # fmt: skip

# What this process has put tokens for into pickles.
_sealed_here: dict[str, Sealed] = {}


class Sealed:
    """Storage options that no ``repr`` and no pickle shows.

    A pickle holds a token in their place, which is worth something in this process and in those it forks. There are two
    exceptions: what ``multiprocessing`` sends to another process of the same program, which nobody else sees, has the
    options themselves, so that spawned workers get them; and a function of a module, or a mapping without a secret, is
    pickled as it is.

    Args:
        value: The options.
    """

    def __init__(self, value: StorageOptions) -> None:
        self._value = value
        self._token = ""
        self._lost = ""

    def __repr__(self) -> str:
        return f"<storage options: {self._names()}>"

    def __copy__(self) -> Sealed:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Sealed:
        return self

    def reveal(self) -> Any:
        """Return the options.

        Raises:
            ConfigError: They are not in this process.
        """
        if self._lost:
            raise ConfigError(
                f"The storage options ({self._lost}) are not in this process: they may be secret, so a pickle leaves them "
                "out, except when multiprocessing passes it on. Give storage_options as a function of a module, which is "
                "called where it is needed, or set the credentials in this process's environment."
            )
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        if self._lost:
            return _unseal, ("", self._lost)
        if self._is_plain():
            return Sealed, (self._value,)
        self._token = self._token or secrets.token_hex(16)
        _sealed_here[self._token] = self
        return _unseal, (self._token, self._names())

    def reduce_for_process(self) -> tuple[Any, ...]:
        """Return what ``multiprocessing`` sends to another process.

        Raises:
            ConfigError: The options are a function that another process cannot import.
        """
        if self._lost:
            return self.__reduce__()
        if isinstance(self._value, FunctionType) and not _is_importable(self._value):
            raise ConfigError(
                f"The function {self._value.__qualname__} given as storage_options cannot be sent to another process, "
                "such as a DataLoader worker that is spawned. Define it at the top level of a module."
            )
        return Sealed, (self._value,)

    def _is_plain(self) -> bool:
        value = self._value
        if isinstance(value, FunctionType):
            return _is_importable(value)
        if not isinstance(value, Mapping):
            return False
        options = cast("Mapping[str, Any]", value)
        return all(name in _PLAIN and "@" not in str(setting) for name, setting in options.items())

    def _names(self) -> str:
        value = self._value
        if self._lost:
            return self._lost
        if isinstance(value, Mapping):
            return ", ".join(sorted(map(str, cast("Mapping[Any, Any]", value)))) or "none"
        return f"a {type(value).__name__}"


def seal(options: StorageOptions | Sealed | None) -> Sealed:
    """Seal storage options; ``None`` is the same as none at all, and what is sealed stays so.

    Raises:
        ConfigError: They are not of one of the three forms.
    """
    if isinstance(options, Sealed):
        return options
    if isinstance(options, Mapping):
        return Sealed(dict(cast("Mapping[str, Any]", options)))
    if options is not None and not callable(options) and not is_client(options):
        # Not the value itself: it may be a secret.
        raise ConfigError(
            f"storage_options must be a mapping, a function that returns one, or an obstore store; got a "
            f"{type(options).__name__}."
        )
    return Sealed({} if options is None else options)


def is_client(value: Any) -> bool:
    """Say whether a value is a store object of ``obstore``."""
    return any(kind.__module__.partition(".")[0] in ("obstore", "_obstore") for kind in type(value).__mro__)


def _is_importable(function: FunctionType) -> bool:
    return "<" not in function.__qualname__


def _unseal(token: str, names: str) -> Sealed:
    if token in _sealed_here:
        return _sealed_here[token]
    sealed = Sealed(None)
    sealed._lost = names  # pyright: ignore[reportPrivateUsage]
    return sealed


ForkingPickler.register(Sealed, Sealed.reduce_for_process)
