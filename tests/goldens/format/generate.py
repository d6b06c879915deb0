"""Write the goldens. Run in an environment with mosaicml-streaming 0.13.0 and Pillow:

    python generate.py

Each case becomes a folder as the original writes it, with ``values.json`` beside it: what the
original reads from it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from format_cases import CASES, describe  # isort: skip
from streaming.base.compression import decompress
from streaming.base.format import reader_from_json

from streaming import CSVWriter, JSONWriter, MDSWriter, TSVWriter, XSVWriter

WRITERS = {
    "mds": MDSWriter,
    "json": JSONWriter,
    "csv": CSVWriter,
    "tsv": TSVWriter,
    "xsv": XSVWriter,
}


def read(directory: Path, scratch: Path) -> list:
    """Return what the original reads."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(directory, scratch)
    values = []
    for entry in json.loads((directory / "index.json").read_text())["shards"]:
        for kind in ("data", "meta"):
            zipped = entry.get(f"zip_{kind}")
            if zipped:
                raw = decompress(entry["compression"], (directory / zipped["basename"]).read_bytes())
                (scratch / entry[f"raw_{kind}"]["basename"]).write_bytes(raw)
        reader = reader_from_json(str(scratch), None, dict(entry))
        values += [describe(reader.get_item(i)) for i in range(reader.samples)]
    shutil.rmtree(scratch)
    return values


def main() -> None:
    """Write all cases."""
    here = Path(__file__).parent
    for name, case in CASES.items():
        directory = here / name
        shutil.rmtree(directory, ignore_errors=True)
        writer = WRITERS[case["format"]]
        with writer(out=str(directory), columns=case["columns"], **case["options"]) as out:
            for sample in case["make"]():
                out.write(sample)
        values = read(directory, here / ".scratch")
        (here / f"{name}.values.json").write_text(json.dumps(values))


if __name__ == "__main__":
    main()
