"""How requests are signed, whoever the provider is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Login", "unsigned"]


@dataclass(frozen=True)
class Login:
    """How requests are signed.

    Attributes:
        source: Where that comes from, for error texts.
        settings: The client's settings for it; none where it finds the machine's identity by itself. Secret, so never
            shown.
    """

    source: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @property
    def is_unsigned(self) -> bool:
        """Whether requests are not signed."""
        return "skip_signature" in self.settings


def unsigned(source: str = "nowhere (none were found, so it was not signed)") -> Login:
    """Return no login, which is what public places need."""
    return Login(source, {"skip_signature": True})
