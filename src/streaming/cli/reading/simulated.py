"""The YAML files that the simulator of mosaicml-streaming reads: of a training run, the dataset and the machines."""

from __future__ import annotations

import inspect
import re
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from streaming.cli.reading.runs import Request, settings_of
from streaming.cli.shell.output import print_note
from streaming.core.errors import ConfigError

__all__ = ["request_of_yaml"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*(ep|ba)")


def request_of_yaml(document: Mapping[str, Any], path: str, args: Namespace) -> Request:
    """Return what a file asks about; what options of the command say goes before.

    Args:
        document: The file.
        path: Its name, for errors.
        args: The parsed arguments of the command.

    Raises:
        ConfigError: Something that is needed is not in it.
    """
    document = _mapping(document.get("parameters", document), path, "parameters")
    loader, dataset = _loader_and_dataset(document, path)
    nodes: int = args.nodes or 1
    ranks = args.ranks or _ranks(document, nodes, path)
    batch = _global_batch(document, path)
    if args.batch_size is None and batch % (nodes * ranks):
        raise ConfigError(
            f"{path}: the global batch of {batch} samples does not divide by {nodes} nodes of {ranks} ranks."
        )
    streams, settings = _streams_and_settings(dataset, path)
    size = args.batch_size or batch // (nodes * ranks)
    settings = {**settings, "batch_size": size, **({"shuffle": False} if args.no_shuffle else {}), **settings_of(args)}
    epochs, steps = args.epochs, args.steps
    if epochs is None and steps is None:
        epochs, steps = _duration(document, path)
    names = tuple(str(stream.get("remote", name)) for name, stream in streams.items())
    workers = args.workers if args.workers is not None else int(loader.get("num_workers", 1))
    return Request((path, *names), streams, settings, nodes, ranks, workers, args.replication, epochs, steps)


def _loader_and_dataset(document: Mapping[str, Any], path: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return arguments of the loader and of the dataset, wherever in the file they are."""
    if "train_loader" in document:
        loader = _mapping(document["train_loader"], path, "train_loader")
        if "dataset" in loader:
            return loader, _flat(_mapping(loader["dataset"], path, "train_loader.dataset"), path)
    else:
        place = _mapping(document.get("dataset", {}), path, "dataset")
        found = place.get("train_dataset", document.get("train_dataset"))
        if found is not None:
            dataset = _mapping(found, path, "train_dataset")
            return _mapping(dataset.get("dataloader_kwargs", {}), path, "dataloader_kwargs"), _flat(dataset, path)
    raise ConfigError(
        f"{path} names no dataset: train_loader.dataset, dataset.train_dataset or train_dataset is expected."
    )


def _flat(dataset: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    return {**dataset, **_mapping(dataset.get("streaming_kwargs", {}), path, "streaming_kwargs")}


def _mapping(value: Any, path: str, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path}: {name} must be names and values, got {value!r}.")
    return {str(key): entry for key, entry in value.items()}


def _ranks(document: Mapping[str, Any], nodes: int, path: str) -> int:
    gpus = _mapping(document.get("compute", {}), path, "compute").get("gpus")
    if gpus is None:
        raise ConfigError(f"{path} does not say how many GPUs there are (compute.gpus): give --ranks, those of a node.")
    if int(gpus) % nodes:
        raise ConfigError(f"{path}: {gpus} GPUs do not divide by {nodes} nodes. Give another --nodes.")
    return int(gpus) // nodes


def _global_batch(document: Mapping[str, Any], path: str) -> int:
    place = document.get("dataset")
    inner: Any = place.get("train_batch_size") if isinstance(place, Mapping) else None
    for value in (document.get("global_train_batch_size"), document.get("batch_size"), inner):
        if value is not None:
            return int(value)
    raise ConfigError(
        f"{path} has no global batch size: global_train_batch_size, batch_size or dataset.train_batch_size is expected."
    )


def _duration(document: Mapping[str, Any], path: str) -> tuple[int | None, int | None]:
    """Return epochs or steps."""
    trainer = document.get("trainer")
    inner: Any = trainer.get("max_duration") if isinstance(trainer, Mapping) else None
    text = document.get("max_duration", inner)
    if text is None:
        raise ConfigError(f"{path} has no max_duration: give --epochs or --steps.")
    match = _DURATION.fullmatch(str(text).strip())
    if match is None:
        raise ConfigError(
            f"{path}: max_duration {text!r} is not in epochs ('2ep') or batches ('1000ba'): give --steps."
        )
    number = int(float(match[1]))
    return (number, None) if match[2] == "ep" else (None, number)


def _streams_and_settings(dataset: Mapping[str, Any], path: str) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return arguments of each stream, and of the dataset; where data would be cached does not count."""
    from streaming.dataset.dataset import StreamingDataset
    from streaming.dataset.stream import Stream

    of_stream = inspect.signature(Stream.__init__).parameters
    of_dataset = inspect.signature(StreamingDataset.__init__).parameters
    streams = dataset.get("streams")
    if streams is not None:
        if not isinstance(streams, Mapping):
            raise ConfigError(f"{path}: streams must be names, each with its arguments, got {streams!r}.")
        found = {str(name): dict(_mapping(stream, path, f"streams.{name}")) for name, stream in streams.items()}
    else:
        remotes, locals_ = _listed(dataset.get("remote")), _listed(dataset.get("local"))
        if len(remotes or locals_) != len(locals_ or remotes):
            raise ConfigError(f"{path}: there are {len(remotes)} remotes and {len(locals_)} local directories.")
        count = max(len(remotes), len(locals_))
        found = {
            str(i): {name: values[i] for name, values in (("remote", remotes), ("local", locals_)) if values}
            for i in range(count)
        }
    for name, stream in found.items():
        where = stream.get("remote") or stream.get("local")
        if where is None:
            raise ConfigError(f"{path}: stream {name} has neither remote nor local.")
        known = {key: value for key, value in stream.items() if key in of_stream and key not in ("remote", "local")}
        found[name] = {**known, "remote": where}
    without = {"self", "streams", "remote", "local", "batch_size"}
    settings = {key: value for key, value in dataset.items() if key in of_dataset and key not in without}
    ignored = sorted(set(dataset) - set(of_dataset) - {"streaming_kwargs", "dataloader_kwargs"})
    if ignored:
        print_note(f"{path}: {', '.join(ignored)} of the dataset says nothing about a plan, and is left out")
    return found, settings


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
