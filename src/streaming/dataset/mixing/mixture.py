"""The table of a run: what the schedule says, what was changed on the way, and whether a checkpoint's past is the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from streaming.core.errors import CheckpointError
from streaming.dataset.mixing.schedule import Schedule
from streaming.order.table import HORIZON, Record

__all__ = ["Mixture", "Table", "changed"]

Table = tuple[Record, ...]


class Mixture:
    """A schedule, for streams with names.

    Args:
        schedule: The schedule.
        names: The streams' names, in order.
        tokens: How many a sample has room for, where samples are bins of tokens.

    Raises:
        UnknownNameError: The schedule names a stream that is not there.
    """

    def __init__(self, schedule: Schedule, names: Sequence[str], tokens: int | None = None) -> None:
        self._schedule = schedule
        self._tokens = tokens
        self.names = tuple(names)
        schedule.check_names(self.names)

    def table(self, saved: Any, global_batch: int) -> Table:
        """Return the table that holds.

        Args:
            saved: What :meth:`saved` returned, or ``None`` where nothing but the schedule says anything.
            global_batch: Samples of a batch over all ranks.
        """
        return self.records(global_batch)[0] if saved is None else _decoded(saved["records"])

    def records(self, global_batch: int) -> tuple[Table, tuple[str, ...]]:
        """Return what the schedule says, and which of its positions were rounded; see :meth:`Schedule.records`."""
        return self._schedule.records(self.names, global_batch, self._tokens)

    def saved(self, table: Table, declared: Table) -> dict[str, Any]:
        """Return a table as lists, for checkpoints and other processes.

        Args:
            table: The table.
            declared: What the schedule says.
        """
        records = [_encoded(record) for record in table]
        digest = blake2b(json.dumps(records).encode(), digest_size=8).hexdigest()
        return {"digest": digest, "records": records, "declared": [_encoded(record) for record in declared]}

    def state(self, saved: Any, global_batch: int) -> dict[str, Any]:
        """Return what a checkpoint says of the table; arguments as for :meth:`table`."""
        if saved is not None:
            return dict(saved)
        table = self.table(None, global_batch)
        return self.saved(table, table)

    def resumed(self, saved: Any, position: int, global_batch: int) -> dict[str, Any]:
        """Return the table with which a run continues: the past of a checkpoint, and the future of this schedule.

        Args:
            saved: What the checkpoint says of its table.
            position: Where in the run it was made.
            global_batch: Samples of a batch over all ranks.

        Raises:
            CheckpointError: It is damaged, or the schedule had other weights in the past; the text says where.
        """
        try:
            table, declared = _decoded(saved["records"]), _decoded(saved["declared"])
            self._check_table(table)
            self._check_table(declared)
        except (TypeError, KeyError, ValueError, IndexError) as error:
            raise CheckpointError(
                f"The checkpoint's `mix` was not written by state_dict(), or is damaged: {error}."
            ) from None
        now = self.table(None, global_batch)
        self._check_past(declared, now, position)
        if now == declared:
            return dict(saved)
        past = [record for record in table if record.begin < position]
        # What a former continuation began right here goes on as it was, as far as the new schedule lets it.
        same = [Record(position, record.end, past[-1].weights) for record in table if past]
        live = [record for record in table if record not in declared and record not in same]
        coming = [record for record in (*now, *live) if record.begin >= position]
        coming = list({record.begin: record for record in sorted(coming, key=lambda record: record.begin)}.values())
        then = coming[0].begin if coming else HORIZON
        if past and then != next((record.begin for record in table if record.begin >= position), HORIZON):
            coming.insert(0, Record(position, then, past[-1].weights))
        return self.saved((*past, *coming), now)

    def _check_table(self, table: Table) -> None:
        if not table or table[0].begin or any(a.begin >= b.begin or a.end < b.begin for a, b in pairwise(table)):
            raise ValueError("positions out of order")
        for record in table:
            for weights in (record.weights, record.to or record.weights):
                if len(weights) != len(self.names) or not min(weights) >= 0 or not 0.999 < sum(weights) < 1.001:
                    raise ValueError(f"weights {weights}")

    def _check_past(self, declared: Table, now: Table, position: int) -> None:
        then = [record for record in declared if record.begin < position]
        present = [record for record in now if record.begin < position]
        for number, (old, new) in enumerate(zip(then, present, strict=False)):
            difference = self._difference(old, new, position)
            if difference:
                raise _past(position, f"phase {number}{difference}")
        if len(then) != len(present):
            number = min(len(then), len(present))
            which, other = (then, "now there is none") if len(then) > len(present) else (present, "it had none then")
            raise _past(position, f"phase {number} begins at {which[number].begin}; {other}")

    def _difference(self, old: Record, new: Record, position: int) -> str:
        if old.begin != new.begin:
            return f" began at {old.begin} in the checkpoint, at {new.begin} now"
        pairs = [("weight", old.weights, new.weights)]
        if old.to is not None and new.to is not None:
            pairs.append(("weight at the ramp's end", old.to, new.to))
            if old.end != new.end:
                return f", a ramp, ended at {old.end} in the checkpoint, at {new.end} now"
        elif old.to != new.to:
            return (
                f" was {'a ramp' if old.to else 'no ramp'} in the checkpoint, and is {'one' if new.to else 'none'} now"
            )
        for what, before, after in pairs:
            for name, a, b in zip(self.names, before, after, strict=True):
                if a != b:
                    return f", stream {name!r}: {what} {a:.6g} in the checkpoint, {b:.6g} now"
        return ""


def changed(table: Table, begin: int, weights: tuple[float, ...]) -> Table:
    """Return a table with other weights from a position on, until its next record begins."""
    before = [record for record in table if record.begin < begin]
    after = [record for record in table if record.begin > begin]
    return (*before, Record(begin, after[0].begin if after else HORIZON, weights), *after)


def _past(position: int, difference: str) -> CheckpointError:
    return CheckpointError(
        f"The schedule has another past than the checkpoint, which was made {position} samples into the run: {difference}. "
        "Leave what lies behind as it was and change what comes after, or begin a new run."
    )


def _encoded(record: Record) -> list[Any]:
    return [record.begin, record.end, list(record.weights), *([list(record.to)] if record.to is not None else [])]


def _decoded(records: Any) -> Table:
    table: list[Record] = []
    for begin, end, weights, *to in records:
        if len(to) > 1 or not 0 <= begin < end <= HORIZON:
            raise ValueError(f"record {[begin, end, weights, *to]}")
        table.append(Record(int(begin), int(end), _floats(weights), _floats(to[0]) if to else None))
    return tuple(table)


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
