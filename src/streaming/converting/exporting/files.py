"""JSON lines, tars as WebDataset reads them, and folders of files."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from streaming.converting.exporting.samples import FILES, suffix_of
from streaming.core.errors import ConfigError
from streaming.format.encodings import base_name
from streaming.format.values import as_file, as_json
from streaming.sources.contract import Row
from streaming.sources.names import media_of

__all__ = ["KEY", "NOTES", "file_column", "write_folder", "write_lines", "write_tar"]

#: The column of what the members of a row have in common.
KEY = "__key__"
#: What a folder says of its files.
NOTES = "metadata.jsonl"
_KNOWN = {"bin", "txt", "text", "json", "jsn", "cls", "npy"}


def write_lines(path: str, rows: Iterable[Row], columns: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
    """Write a file of JSON lines, compressed if its name says so. Bytes are ``{"base64": ...}``, arrays lists."""
    del columns, metadata
    with _compressing(path) as file:
        for row in rows:
            line = json.dumps({name: as_json(value) for name, value in row.items()}, ensure_ascii=False)
            file.write(line.encode("utf-8", "surrogatepass") + b"\n")


def _compressing(path: str) -> Any:
    if path.endswith(".gz"):
        return gzip.GzipFile(path, "wb", mtime=0)
    if path.endswith(".zst"):
        import zstandard

        return zstandard.ZstdCompressor().stream_writer(open(path, "wb"))
    return open(path, "wb")


def write_tar(path: str, rows: Iterable[Row], columns: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
    """Write a tar: of each row the members ``KEY.COLUMN.SUFFIX``, or ``KEY.COLUMN`` where the column says what it is."""
    del metadata
    stem = os.path.basename(path).partition(".")[0]
    with tarfile.open(path, "w") as archive:
        for number, row in enumerate(rows):
            key = str(row.get(KEY, f"{stem}-{number:06d}"))
            for name, value in row.items():
                if name == KEY or value is None:
                    continue
                suffix, data = _member(columns[name], value)
                is_told = name.rpartition(".")[2].lower() in _KNOWN or media_of(f"x.{name}") is not None
                info = tarfile.TarInfo(f"{key}.{name}" if is_told else f"{key}.{name}.{suffix}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def _member(encoding: str, value: Any) -> tuple[str, bytes]:
    base = base_name(encoding)
    if base in FILES:
        return suffix_of(base, value), value
    if isinstance(value, bytes):
        return "bin", value
    if base == "str":
        return "txt", cast("str", value).encode("utf-8", "surrogatepass")
    if isinstance(value, np.ndarray):
        return "npy", as_file(value)
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return "cls", str(int(cast("Any", value))).encode()
    if base == "pil":
        return "png", as_file(value)
    return "json", json.dumps(as_json(value), ensure_ascii=False).encode()


def file_column(columns: Mapping[str, str]) -> str:
    """Return the column of which a folder's files are.

    Raises:
        ConfigError: There is none, or several.
    """
    found = [name for name, encoding in columns.items() if encoding.rstrip("?") in FILES]
    if len(found) != 1:
        raise ConfigError(
            f"A folder holds one file a sample, and there are {len(found)} columns of files{': ' if found else ''}"
            f"{', '.join(found)}. Name the columns by `columns`, or take another format."
        )
    return found[0]


def write_folder(path: str, rows: Iterable[Row], columns: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
    """Write a folder: of each row a file, in a directory of its class's name, and what else it has to ``metadata.jsonl``."""
    name = file_column(columns)
    classes = metadata.get("columns", {}).get("label", {}).get("names")
    others = [column for column in columns if column not in (name, "path", *(["label"] if classes else []))]
    lines: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        data = row[name]
        if data is None:
            continue
        place = _place(row, number, os.path.basename(path), classes, suffix_of(columns[name], data))
        full = os.path.join(path, place)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(data)
        lines.append({"file_name": place, **{column: as_json(row[column]) for column in others}})
    if others:
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, NOTES), "w") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _place(row: Row, number: int, stem: str, classes: list[str] | None, suffix: str) -> str:
    """Return where the file of a row goes, below the folder."""
    given = row.get("path")
    if isinstance(given, str) and given and not os.path.isabs(given) and ".." not in given.split("/"):
        return given
    directory = f"{classes[int(row['label'])]}/" if classes else ""
    return f"{directory}{stem}-{number:06d}.{suffix}"
