"""Columns of dates, times of day, moments and durations, all little-endian integers.

=============  ====================================================================
``date``       i32: days since 1970-01-01
``time``       i64: microseconds since midnight, without a zone
``datetime``   i64: microseconds since 1970-01-01 00:00, of a clock without a zone
``datetime:Z`` i64: microseconds since 1970-01-01 00:00 UTC, read in the zone ``Z``
``timedelta``  i64: microseconds
=============  ====================================================================

The original library knows none of them.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from struct import Struct, error
from typing import Any

import numpy as np

from streaming.core.errors import ColumnTypeError, ColumnValueError, ConfigError
from streaming.format.encodings.base import Encoding

__all__ = ["Date", "DateTime", "Time", "TimeDelta", "zone_of"]

_INT32, _INT64 = Struct("<i"), Struct("<q")
_DAY0 = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


class _Microseconds(Encoding):
    """Eight bytes."""

    size = 8

    def decode(self, data: bytes) -> Any:
        """Return the value.

        Raises:
            ColumnValueError: The bytes are none.
        """
        try:
            return self._value(_INT64.unpack(data)[0])
        except (error, OverflowError, ValueError) as cause:
            raise ColumnValueError(f"no {type(self).__name__.lower()}: {bytes(data)!r} ({cause})") from cause

    def _value(self, number: int) -> Any:
        raise NotImplementedError


class Date(Encoding):
    """``datetime.date``, as days."""

    size = 4

    def encode(self, obj: Any) -> bytes:
        """Return four bytes.

        Raises:
            ColumnTypeError: It is no date, or has a time of day.
        """
        obj = _of_numpy(obj)
        self._validate(obj, date)
        if isinstance(obj, datetime):
            raise ColumnTypeError(f"expected a date, got {obj!r}; give value.date(), or use the encoding 'datetime'")
        return _INT32.pack(obj.toordinal() - _DAY0)

    def decode(self, data: bytes) -> date:
        """Return the date.

        Raises:
            ColumnValueError: The bytes are none.
        """
        try:
            return date.fromordinal(_INT32.unpack(data)[0] + _DAY0)
        except (error, OverflowError, ValueError) as cause:
            raise ColumnValueError(f"no date: {bytes(data)!r} ({cause})") from cause


class Time(_Microseconds):
    """``datetime.time`` without a zone, as microseconds."""

    def encode(self, obj: Any) -> bytes:
        """Return eight bytes.

        Raises:
            ColumnTypeError: It is no time of day.
            ColumnValueError: It has a zone.
        """
        self._validate(obj, time)
        if obj.tzinfo is not None:
            raise ColumnValueError(f"{obj!r} has a zone, which a time of day alone cannot keep; store a 'datetime:UTC'")
        return _INT64.pack(((obj.hour * 60 + obj.minute) * 60 + obj.second) * 1_000_000 + obj.microsecond)

    def _value(self, number: int) -> time:
        if not 0 <= number < 86_400_000_000:
            raise ValueError("not within a day")
        return (_EPOCH + number * _MICROSECOND).time()


class DateTime(_Microseconds):
    """``datetime.datetime``: without a zone, or moments, read in the zone of the column.

    Args:
        zone: Name of a zone, such as ``'UTC'`` or ``'Europe/Berlin'``, or an offset such as ``'+02:00'``; ``None``:
            values have none.

    Raises:
        ConfigError: There is no such zone.
    """

    def __init__(self, zone: str | None = None) -> None:
        self._zone = None if zone is None else zone_of(zone)
        self._name = zone

    def encode(self, obj: Any) -> bytes:
        """Return eight bytes.

        Raises:
            ColumnTypeError: It is no datetime.
            ColumnValueError: It has a zone and the column none, or the other way round; or parts of a microsecond.
        """
        obj = _of_numpy(obj)
        self._validate(obj, datetime)
        if getattr(obj, "nanosecond", 0):
            raise ColumnValueError(f"{obj!r} has nanoseconds; round it, or store them as 'int64'")
        if (obj.utcoffset() is None) != (self._zone is None):
            if self._zone is None:
                raise ColumnValueError(f"{obj!r} has a zone and the column none; declare it, such as 'datetime:UTC'")
            raise ColumnValueError(f"{obj!r} has no zone, and the column has {self._name!r}; say which it is of")
        return _INT64.pack((obj - (_EPOCH if self._zone is None else _EPOCH_UTC)) // _MICROSECOND)

    def _value(self, number: int) -> datetime:
        if self._zone is None:
            return _EPOCH + number * _MICROSECOND
        return (_EPOCH_UTC + number * _MICROSECOND).astimezone(self._zone)


class TimeDelta(_Microseconds):
    """``datetime.timedelta``, as microseconds."""

    def encode(self, obj: Any) -> bytes:
        """Return eight bytes.

        Raises:
            ColumnTypeError: It is no duration.
            ColumnValueError: It has parts of a microsecond, or is too long.
        """
        obj = _of_numpy(obj)
        self._validate(obj, timedelta)
        if getattr(obj, "nanoseconds", 0):
            raise ColumnValueError(f"{obj!r} has nanoseconds; round it, or store them as 'int64'")
        number = obj // _MICROSECOND
        if not -(1 << 63) <= number < 1 << 63:
            raise ColumnValueError(f"{obj!r} does not fit 64 bits of microseconds")
        return _INT64.pack(number)

    def _value(self, number: int) -> timedelta:
        return number * _MICROSECOND


def zone_of(name: str) -> tzinfo:
    """Return a time zone.

    Args:
        name: Such as ``'UTC'``, ``'Europe/Berlin'`` or ``'+02:00'``.

    Raises:
        ConfigError: There is none of that name.
    """
    if name == "UTC":
        return timezone.utc
    if match := _OFFSET.fullmatch(name):
        sign, hours, minutes = match.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        if offset < timedelta(days=1):
            return timezone(-offset if sign == "-" else offset)
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except Exception as cause:  # of many kinds: a name may be no path, or one of a directory
        raise ConfigError(
            f"There is no time zone {name!r}. Use a name such as 'UTC' or 'Europe/Berlin' (on a system without zones: "
            "pip install tzdata), or an offset such as '+02:00'."
        ) from cause


def _of_numpy(obj: Any) -> Any:
    """Return Python's value of a NumPy one, if it has it exactly."""
    if not isinstance(obj, (np.datetime64, np.timedelta64)):
        return obj
    exact = obj.item()
    if isinstance(exact, int):  # nanoseconds, or far away
        exact = obj.astype(f"{obj.dtype.kind}8[us]")
        if exact != obj:
            raise ColumnValueError(f"{obj!r} has parts of a microsecond; round it, or store it as 'int64'")
        exact = exact.item()
    if exact is None or isinstance(exact, int):
        raise ColumnValueError(f"{obj!r} is none, or out of range")
    return exact
