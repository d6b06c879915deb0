"""The page that plans a run: of a dataset or a mixture, of a run's file, or of a dataset that is not there yet."""

from __future__ import annotations

import math
from typing import Any

from starlette.requests import Request

from streaming.cli.serving.catalog import Catalog, Opened
from streaming.cli.serving.planner import Planned, Planner
from streaming.cli.serving.question import FIELDS, ask, values_of
from streaming.core.errors import ConfigError, StreamingError

__all__ = ["Plans"]

_ESTIMATE = "2000x4000x60mb"


class Plans:
    """Makes the page.

    Args:
        catalog: Datasets that may be asked about.
        planner: Works plans out.
        file: A YAML file of a run, which is planned where no dataset is named.
    """

    def __init__(self, catalog: Catalog, planner: Planner, file: str | None = None) -> None:
        self._catalog, self._planner, self._file = catalog, planner, file

    def plan(self, request: Request) -> dict[str, Any]:
        """Plan a run, or say what of the question cannot be."""
        query = request.query_params
        opened = self._catalog.open(query["d"]) if "d" in query else None
        file = self._file if opened is None and "estimate" not in query else None
        estimate = "" if opened or file else query.get("estimate", _ESTIMATE).strip()[:100]
        values, mix = values_of(query, file is not None), query.get("mix", "").strip()[:2000]
        try:
            mixed = self._mixed(opened, mix)
            args = ask(values, {one.source.place: share for one, share in mixed}, file, estimate)
            digests = [one.source.index.digest.hex() for one, _ in mixed]
            planned = self._planner.plan([*values.values(), mix, str(file), estimate, *digests], args)
        except StreamingError as error:
            planned = Planned(error=str(error))
        found: dict[str, Any] = {
            "values": values, "fields": FIELDS, "planned": planned, "mix": mix, "estimate": estimate, "file": file,
        }  # fmt: skip
        return found if opened is None else {**found, "opened": opened}

    def _mixed(self, opened: Opened | None, mix: str) -> list[tuple[Opened, float | None]]:
        """Return the datasets of a plan and their shares."""
        if opened is None:
            return []
        if not mix:
            return [(opened, None)]
        shares: list[tuple[Opened, float | None]] = []
        for word in mix.split(","):
            name, equals, text = word.strip().rpartition("=")
            try:
                share = float(text)
            except ValueError:
                share = math.nan
            if not equals or not 0 < share < math.inf:
                raise ConfigError(f"mixture: datasets with their shares, such as web=0.7, code=0.3, not {word[:80]!r}.")
            shares.append((self._catalog.open(name.strip()), share))
        return shares
