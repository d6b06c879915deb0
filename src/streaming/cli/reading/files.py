"""Files of the user that a command takes: text, JSON, YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streaming.core.errors import ConfigError, MissingDependencyError

__all__ = ["read_json", "read_text", "read_yaml"]


def read_text(path: str) -> str:
    """Return what is in a file.

    Raises:
        ConfigError: It cannot be read, or is no text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def read_json(path: str) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        ConfigError: There is none.
    """
    try:
        return _as_object(json.loads(read_text(path)), path)
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} is no JSON: {error}") from error


def read_yaml(path: str) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ConfigError: There is none.
        MissingDependencyError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingDependencyError(
            f"{path} is YAML, which needs PyYAML: pip install 'streaming-dataset[cli]'."
        ) from error
    try:
        return _as_object(yaml.safe_load(read_text(path)), path)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {error}") from error


def _as_object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path} holds no names and values, but {type(value).__name__}.")
    return {str(name): entry for name, entry in value.items()}
