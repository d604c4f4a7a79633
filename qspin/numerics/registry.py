"""Names and the classes they stand for: built in, registered by anybody, or offered by an installed package."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

__all__ = ["Registry"]


class Registry(Mapping[str, Any]):
    """A table of classes or functions by name, each imported when it is first asked for.

    Args:
        what: what they are, for messages: "method".
        group: entry points of this group are in the table, too, so that a package of another author need not be imported first:
            `[project.entry-points."qspin.methods"]` with `lanczos = "my_package:Lanczos"`.

    >>> shapes = Registry("shape", "qspin.no_such_group")
    >>> shapes.register("counter", "collections:Counter")
    >>> shapes["counter"]
    <class 'collections.Counter'>
    """

    def __init__(self, what: str, group: str) -> None:
        self.what, self.group = what, group
        self._entries: dict[str, Any] = {}

    def register(self, name: str, target: Any) -> None:
        """Let `name` stand for `target`: an object, or "module:attribute". ValueError where it stands for another already."""
        known = self._entries.get(name, target)
        if known != target and known != _address(target) and _address(known) != target:
            raise ValueError(f"qspin: the {self.what} {name!r} is registered already, as {known!r}.")
        self._entries[name] = target

    def __call__(self, name: str) -> Callable[[Any], Any]:
        """A decorator that registers a class or function."""

        def registered(target: Any) -> Any:
            self.register(name, target)
            return target

        return registered

    def _all(self) -> dict[str, Any]:
        found = {point.name: point.value for point in entry_points(group=self.group)}
        return {**found, **self._entries}

    def __getitem__(self, name: str) -> Any:
        """What the name stands for. KeyError, with the names there are, where it stands for nothing."""
        entries = self._entries if name in self._entries else self._all()
        if name not in entries:
            raise KeyError(f"there is no {self.what} {name!r}; known are {', '.join(sorted(entries))}.")
        target = entries[name]
        return imported(target) if isinstance(target, str) else target

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def name_of(self, target: Any) -> str | None:
        """The name that a class or function is registered by; None where it has none."""
        addresses = {target, _address(target)}
        return next((name for name, entry in self._all().items() if entry in addresses), None)


def imported(address: str) -> Any:
    """The object at "module:attribute"."""
    module, _, attribute = address.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _address(target: Any) -> Any:
    if isinstance(target, str):
        return target
    return f"{getattr(target, '__module__', '')}:{getattr(target, '__qualname__', '')}"
