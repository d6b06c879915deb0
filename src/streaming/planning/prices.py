"""What data costs where it is stored: a dated table, which the user can replace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from streaming.core.arguments import as_number
from streaming.core.errors import ConfigError, UnknownNameError

__all__ = ["Price", "find_price", "read_prices"]


@dataclass(frozen=True)
class Price:
    """What a store takes.

    Attributes:
        name: Of the price, in its table.
        per_gb: For each 10^9 bytes that leave the store.
        per_million_requests: For each 10^6 reads.
        currency: Of both.
        date: When that was so, ``''`` where nobody said it.
        source: Where that was read, ``''`` where nobody said it.

    Example:
        >>> Price('ours', 0.05).of(10**12, 200_000)
        50.0
    """

    name: str
    per_gb: float
    per_million_requests: float = 0.0
    currency: str = "USD"
    date: str = ""
    source: str = ""

    def of(self, num_bytes: int, requests: int) -> float:
        """Return what bytes and requests cost.

        Args:
            num_bytes: Bytes that leave the store.
            requests: Reads.
        """
        return num_bytes / 1e9 * self.per_gb + requests / 1e6 * self.per_million_requests


def read_prices(text: str | None = None, where: str = "prices.json") -> dict[str, Price]:
    """Return the prices of a table by their names.

    Args:
        text: The table, as JSON: ``date``, ``currency``, and ``prices`` by name, each with ``per_gb`` and
            ``per_million_requests``, and perhaps ``source``; ``None``: the one that comes along.
        where: Its name, for errors.

    Raises:
        ConfigError: It is none.
    """
    if text is None:
        text = (resources.files("streaming.planning") / "prices.json").read_text(encoding="utf-8")
    try:
        table: Any = json.loads(text)
        rows: Mapping[str, Any] = table["prices"]
        return {name: _price(name, row, table) for name, row in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f'{where} is no table of prices: {error!r}. Expected {{"date": ..., "currency": ..., "prices": '
            '{name: {"per_gb": ..., "per_million_requests": ...}}}.'
        ) from error


def _price(name: str, row: Mapping[str, Any], table: Mapping[str, Any]) -> Price:
    return Price(
        name,
        as_number(f"{name}.per_gb", row["per_gb"], 0),
        as_number(f"{name}.per_million_requests", row.get("per_million_requests", 0), 0),
        str(table.get("currency", "USD")),
        str(row.get("date", table.get("date", ""))),
        str(row.get("source", "")),
    )


def find_price(price: Price | str | float | None, table: Mapping[str, Price] | None = None) -> Price | None:
    """Return the price that is meant.

    Args:
        price: A price, its name in the table, or a number: so much for each 10^9 bytes.
        table: The table; ``None``: the one that comes along.

    Raises:
        UnknownNameError: The table has none of that name.
    """
    if price is None or isinstance(price, Price):
        return price
    if not isinstance(price, str):
        return Price("given", as_number("price", price, 0))
    known = read_prices() if table is None else table
    if price not in known:
        raise UnknownNameError(f"There is no price {price!r}. Known: {', '.join(known)}.")
    return known[price]
