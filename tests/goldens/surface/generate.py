"""Write what mosaicml-streaming 0.13 offers as a JSON file. Run with a Python that has it:

    python generate.py > surface.json

Noted are, of every module, the public names, their signatures, the public methods and attributes of classes, and of a
small dataset and its parts the attributes that objects have once they are made.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")

import streaming  # noqa: E402

SKIPPED = (".convert", "._version", ".converters")
EXTRA = {
    "streaming.base.format.mds.encodings": ["_encodings"],
    "streaming.base.format": ["_readers"],
    "streaming.base.dataset": ["TICK", "NEVER"],
    "streaming.base.shuffle": ["algos"],
    "streaming.base.partition": ["algos"],
    "streaming.base.batching": ["batching_methods"],
    "streaming.base.stream": ["streams_registry"],
    "streaming.base.shared.prefix": ["_get_path"],
    "streaming.base.storage.download": ["DOWNLOADER_MAPPINGS", "BOTOCORE_CLIENT_ERROR_CODES"],
    "streaming.base.storage.upload": ["UPLOADERS", "GCSAuthentication"],
}


def signature(obj) -> list | None:
    try:
        parameters = inspect.signature(obj).parameters.values()
    except (TypeError, ValueError):
        return None
    return [[p.name, p.kind.name, None if p.default is p.empty else default(p.default)] for p in parameters]


def default(value) -> list:
    if value is None or isinstance(value, (bool, int, float, str)):
        return ["value", value]
    return ["other", getattr(value, "__name__", repr(value))]


def describe(obj) -> dict:
    if not inspect.isclass(obj):
        kind = "function" if inspect.isfunction(obj) else "object"
        constant = [obj] if isinstance(obj, (str, int, float)) else None
        return {"kind": kind, "signature": signature(obj) if kind == "function" else None, "constant": constant}
    methods, properties = {}, []
    for cls in obj.__mro__:
        if not cls.__module__.startswith("streaming"):
            continue
        for name, value in vars(cls).items():
            if name.startswith("_") or name in methods or name in properties:
                continue
            if isinstance(value, property):
                properties.append(name)
            elif callable(getattr(obj, name)):
                methods[name] = signature(getattr(obj, name))
    return {"kind": "class", "signature": signature(obj), "methods": methods, "properties": sorted(properties)}


def names_of(module) -> list[str]:
    name = module.__name__
    found = set(getattr(module, "__all__", [])) | set(EXTRA.get(name, []))
    for key, value in vars(module).items():
        home = getattr(value, "__module__", "") or ""
        if key.startswith("_") or inspect.ismodule(value):
            continue
        if home == name or (hasattr(module, "__path__") and home.startswith("streaming.")):
            found.add(key)
        elif name == "streaming.base.constant" and key.isupper():
            found.add(key)
    unwanted = {"TCallable", "TObj", *(() if name == "streaming.base.world" else ("World",))}
    return sorted(n for n in found if not (len(n) == 1 or n in unwanted or n.endswith("BoundT")))


def attributes(obj) -> list[str]:
    return sorted(name for name in dir(obj) if not name.startswith("_"))


def objects() -> dict:
    out = os.path.join(tempfile.mkdtemp(), "data")
    with streaming.MDSWriter(columns={"a": "int"}, out=out) as writer:
        for i in range(100):
            writer.write({"a": i})
        found = {"MDSWriter": attributes(writer)}
    dataset = streaming.StreamingDataset(local=out, batch_size=4, cache_limit="1gb")
    found["StreamingDataset"] = attributes(dataset)
    found["Stream"] = attributes(streaming.Stream(local=out))
    found["MDSReader"] = attributes(dataset.shards[0])
    found["LocalDataset"] = attributes(streaming.LocalDataset(out))
    found["World"] = attributes(streaming.base.world.World(1, 1, 1, 0))
    for name in ("StreamingDataset", "LocalDataset"):
        base = {"StreamingDataset": "IterableDataset", "LocalDataset": "Dataset"}[name]
        theirs = set(dir(getattr(importlib.import_module("torch.utils.data"), base)))
        found[name] = [each for each in found[name] if each not in theirs]
    return found


def main() -> None:
    modules = {}
    every = [streaming.__name__, *(m.name for m in pkgutil.walk_packages(streaming.__path__, "streaming."))]
    for name in every:
        if any(part in name for part in SKIPPED):
            continue
        module = importlib.import_module(name)
        modules[name] = {
            each: describe(getattr(module, each))
            for each in names_of(module)
            if not inspect.ismodule(getattr(module, each))
        }
    json.dump({"modules": modules, "objects": objects()}, sys.stdout, sort_keys=True, separators=(",", ":"))
    sys.stdout.flush()
    os._exit(0)  # its background parts complain at exit


main()
