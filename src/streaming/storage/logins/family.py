"""What the families of network stores have in common: their options, their endpoints, and the machine they run on."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import Any

from streaming.core.errors import ConfigError
from streaming.storage.url import redact

__all__ = [
    "canonical",
    "check_concurrency",
    "checked_endpoint",
    "client_settings",
    "first_of",
    "given_endpoint",
    "hints",
    "machine_says",
]

_MACHINE = "/sys/class/dmi/id/"


def canonical(
    options: Mapping[str, Any], scheme: str, known: Collection[str], aliases: Mapping[str, str], prefix: str = ""
) -> dict[str, Any]:
    """Return options under the names of their family, without those that are ``None``.

    Args:
        options: What the user gave.
        scheme: Of the URL, for error texts.
        known: The names of the family.
        aliases: Other names for them.
        prefix: What a name may begin with, as its environment variable does.

    Raises:
        ConfigError: A name is not known, or something is given by two names.
    """
    found: dict[str, Any] = {}
    for given, value in options.items():
        name = str(given).lower().removeprefix(prefix)
        name = aliases.get(name, name)
        if name not in known and name != "max_concurrency":
            names = ", ".join(sorted({*known, "max_concurrency"}))
            raise ConfigError(f"Unknown storage option {given!r} for {scheme}://. Known: {names}.")
        if value is None:
            continue
        if name in found:
            raise ConfigError(f"The storage option {name!r} is given twice, once as {given!r}. Give it once.")
        found[name] = value
    check_concurrency(found)
    return found


def check_concurrency(options: Mapping[str, Any]) -> None:
    """Refuse a number of requests under way that is none.

    Raises:
        ConfigError: It is not a whole number from 1.
    """
    most = options.get("max_concurrency", 1)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ConfigError(f"The storage option max_concurrency is {most!r}; expected a whole number from 1.")


def first_of(environ: Mapping[str, str], *names: str) -> tuple[str, str] | None:
    """Return name and value of the first variable that is set, to more than nothing."""
    return next(((name, environ[name]) for name in names if environ.get(name)), None)


def checked_endpoint(source: str, value: Any) -> str:
    """Return an endpoint without a slash at its end.

    Raises:
        ConfigError: It is not a URL.
    """
    if not isinstance(value, str) or not re.match(r"https?://[^/]", value):
        raise ConfigError(f"{source} is {redact(str(value))!r}; expected http://host or https://host.")
    return value.rstrip("/")


def given_endpoint(options: Mapping[str, Any], environ: Mapping[str, str], *variables: str) -> str | None:
    """Return the endpoint that the option or the first variable that is set names, ``None`` if there is none.

    Raises:
        ConfigError: It is not a URL.
    """
    if options.get("endpoint"):
        return checked_endpoint("the option endpoint", options["endpoint"])
    found = first_of(environ, *variables)
    return checked_endpoint(*found) if found else None


def hints(**own: str) -> dict[str, str]:
    """Return what to advise when an operation fails, by the kind of failure (see ``failures``)."""
    common = {"missing": "Check the path.", "throttled": "It asks to slow down: use fewer workers, or more retries."}
    return {**common, **own}


def client_settings(options: Mapping[str, Any], endpoint: str | None) -> dict[str, Any]:
    """Return the settings that every client takes: how it talks to the network."""
    plain = options.get("allow_http", (endpoint or "").startswith("http://"))
    return {
        "client_options": {"allow_http": bool(plain), **options.get("client_options", {})},
        "retry_config": options.get("retry_config", {}),
    }


def machine_says(words: Mapping[str, str]) -> bool:
    """Say whether the firmware of this machine gives one of these names away, by file and beginning in lower case."""
    for name, start in words.items():
        try:
            with open(os.path.join(_MACHINE, name)) as file:
                if file.read(64).lower().startswith(start):
                    return True
        except (OSError, UnicodeDecodeError):
            continue
    return False
