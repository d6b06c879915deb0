"""Registries of classes and functions by name, open to installed packages by entry points."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import Any, Generic, TypeVar

from streaming.core.errors import ConfigError, WorkerError
from streaming.core.registry import Registry

__all__ = ["TypedRegistry", "construct_from_registry", "create_registry", "import_file", "save_registry"]

T = TypeVar("T")
S = TypeVar("S")

_registries: dict[tuple[str, ...], TypedRegistry[Any]] = {}


class TypedRegistry(Generic[T]):
    """Objects by name.

    Args:
        namespace: The registry's name, in parts.
        entry_points: Whether installed packages may add to it, by entry points of the group that is named after the
            namespace, its parts joined by ``_``.
        description: What it holds, for people.
        entries: The mapping that holds them, by default a new one.

    Example:
        >>> loggers = TypedRegistry(('my', 'loggers'), description='Where to log.')
        >>> loggers.register('text', func=print)
        <built-in function print>
        >>> 'text' in loggers, loggers.get_all()
        (True, {'text': <built-in function print>})
    """

    def __init__(
        self,
        namespace: Sequence[str],
        entry_points: bool = False,
        description: str = "",
        entries: Registry[T] | None = None,
    ) -> None:
        self.namespace: tuple[str, ...] = tuple(namespace)
        self.entry_points = entry_points
        self.description = description
        self.entry_point_namespace: str = "_".join(self.namespace)
        group = self.entry_point_namespace if entry_points else None
        self.entries: Registry[T] = Registry(" ".join(self.namespace), {}, group) if entries is None else entries

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def __call__(self, name: str, func: Any = None) -> Any:
        """Register an object; see :meth:`register`."""
        return self.register(name, func=func)

    def register(self, name: str, *, func: T | None = None) -> Any:
        """Register an object under a name, in place of what had it.

        Args:
            name: The name.
            func: The object. Without it, a decorator is returned.

        Returns:
            The object, or the decorator.
        """

        def add(obj: T) -> T:
            self.entries[name] = obj
            return obj

        return add if func is None else add(func)

    def register_class(self, name: str, *, func: type[Any] | None = None) -> Any:
        """Register a class; as :meth:`register`."""
        return self.register(name, func=func)  # pyright: ignore[reportArgumentType]

    def get(self, name: str) -> T:
        """Return the object of a name.

        Raises:
            UnknownNameError: (a ``ValueError``) No object has it; the text lists those that have.
        """
        return self.entries[name]

    def get_all(self) -> dict[str, T]:
        """Return all objects by name."""
        return {name: self.entries[name] for name in self.entries}

    def get_entry_points(self) -> dict[str, T]:
        """Return what installed packages add, by name."""
        if not self.entry_points:
            return {}
        return {point.name: point.load() for point in metadata.entry_points(group=self.entry_point_namespace)}

    def get_entry_point(self, name: str, default: T | None = None) -> T | None:
        """Return what an installed package adds under a name, or a default."""
        return self.get_entry_points().get(name, default)

    def find(self, name: str) -> dict[str, str | int | None]:
        """Return where the object of a name is defined: its ``module``, ``file``, ``line_no`` and ``docstring``.

        Raises:
            UnknownNameError: No object has that name.
        """
        obj: Any = self.get(name)
        try:
            line: int | None = inspect.getsourcelines(obj)[1]
            file = inspect.getsourcefile(obj)
        except (TypeError, OSError):
            line = file = None
        module = inspect.getmodule(obj)
        return {
            "module": module.__name__ if module else None,
            "file": file,
            "line_no": line,
            "docstring": inspect.cleandoc(obj.__doc__) if obj.__doc__ else None,
        }


def create_registry(
    *namespace: str, generic_type: Any, entry_points: bool = False, description: str = ""
) -> TypedRegistry[Any]:
    """Make a registry.

    Args:
        namespace: Its name, in parts; not one that another registry has.
        generic_type: Type of what it holds, for type checkers alone.
        entry_points: Whether installed packages may add to it.
        description: What it holds, for people.

    Raises:
        ConfigError: (a ``ValueError``) There is a registry of that name.

    Example:
        >>> with save_registry():
        ...     numbers = create_registry('my', 'numbers', generic_type=int)
        ...     numbers.register('one', func=1)
        1
    """
    del generic_type
    if namespace in _registries:
        raise ConfigError(f"There is a registry {namespace} already; choose another namespace.")
    made: TypedRegistry[Any] = TypedRegistry(namespace, entry_points, description)
    _registries[namespace] = made
    return made


def construct_from_registry(
    name: str,
    registry: TypedRegistry[Any],
    partial_function: bool = True,
    pre_validation_function: Callable[[Any], None] | type | None = None,
    post_validation_function: Callable[[Any], None] | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Make an object of what is registered under a name.

    A class is called with ``kwargs``. So is a function, unless ``partial_function`` is set: it is then returned with them
    bound.

    Args:
        name: The name.
        registry: Where to look.
        partial_function: Whether functions are bound rather than called.
        pre_validation_function: Checks what is registered; or a class that it must be or derive from.
        post_validation_function: Checks what was made.
        kwargs: Arguments.

    Raises:
        UnknownNameError: Nothing has that name.
        ConfigError: What has it is neither class nor function, or not of the class asked for.

    Example:
        >>> kinds = TypedRegistry(('my', 'kinds'))
        >>> _ = kinds.register('fraction', func=complex)
        >>> construct_from_registry('fraction', kinds, kwargs={'real': 1, 'imag': 2})
        (1+2j)
    """
    registered = registry.get(name)
    if inspect.isclass(pre_validation_function):
        if not (inspect.isclass(registered) and issubclass(registered, pre_validation_function)):
            raise ConfigError(f"{name!r} must be a {pre_validation_function.__name__}, but is {registered!r}.")
    elif pre_validation_function is not None:
        pre_validation_function(registered)
    arguments = dict(kwargs or {})
    if inspect.isclass(registered) or (callable(registered) and not partial_function):
        made = registered(**arguments)
    elif callable(registered):
        made = functools.partial(registered, **arguments)
    else:
        raise ConfigError(f"{name!r} must be a class or a function, but is {registered!r}.")
    if post_validation_function is not None:
        post_validation_function(made)
    return made


def import_file(loc: str | os.PathLike[str]) -> ModuleType:
    """Run a Python file, which may register things, as a module.

    Args:
        loc: Its path.

    Raises:
        FileNotFoundError: It is not there.
        WorkerError: (a ``RuntimeError``) It failed.

    Example:
        >>> with open('mine.py', 'w') as file:
        ...     _ = file.write('answer = 42')
        >>> import_file('mine.py').answer
        42
    """
    path = os.fspath(loc)
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file {path}.")
    spec = importlib.util.spec_from_file_location("python_code", path)
    if spec is None or spec.loader is None:
        raise WorkerError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise WorkerError(f"{path} failed: {type(error).__name__}: {error}") from error
    return module


def adopt(registry: TypedRegistry[Any]) -> TypedRegistry[Any]:
    """Have :func:`save_registry` and :func:`create_registry` know of a registry that was made by hand."""
    return _registries.setdefault(registry.namespace, registry)


@contextmanager
def save_registry() -> Iterator[None]:
    """Undo at the end of the block what was registered in it.

    Example:
        >>> from streaming.base.registries import streams_registry
        >>> with save_registry():
        ...     _ = streams_registry.register('mine', func=Stream)
        >>> 'mine' in streams_registry
        False
    """
    before = {namespace: dict(registry.entries.snapshot()) for namespace, registry in _registries.items()}
    try:
        yield
    finally:
        for namespace in set(_registries) - set(before):
            del _registries[namespace]
        for namespace, entries in before.items():
            _registries[namespace].entries.restore(entries)
