"""A method as a table of plain values, and back: {"name": "spin", "steps": 600, "network": {"name": "MLP", …}, …}."""

import os
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from qspin.methods.base import METHODS, Method
from qspin.numerics.registry import imported

__all__ = ["build_method", "class_of", "describe_method", "fits", "name_of", "spelled"]


class _NotPlainError(Exception):
    """A value that no table can hold, such as a ready-made optimizer."""


def class_of(name: str) -> type[Method]:
    """The method that is registered by that name, or that stands at "module:Class", be the module in the current folder.

    Raises ValueError for anything else.
    """
    if name in METHODS:
        return METHODS[name]
    found = _at_address(name) if ":" in name else None
    if found is None:
        raise ValueError(
            f'unknown method {name!r}; known are {", ".join(METHODS)}, and "module:Class" of any other.'
        )
    if not (isinstance(found, type) and issubclass(found, Method) and is_dataclass(found)):
        raise ValueError(f"{name} is no method: expected a dataclass that derives from qspin's Method.")
    return found


def _at_address(address: str) -> Any:
    """The object at "module:attribute"; ValueError, with the reason, where there is none."""
    if os.getcwd() not in sys.path and "" not in sys.path:  # the command's own folder is there in its place
        sys.path.append(os.getcwd())
    try:
        return imported(address)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{address!r} cannot be imported: {error}.") from error


def name_of(method: Method) -> str:
    """The name that `class_of` knows a method by."""
    kind = type(method)
    return METHODS.name_of(kind) or f"{kind.__module__}:{kind.__qualname__}"


def _part(name: Any) -> type | None:
    """A setting within settings: a frozen dataclass of qspin by its class name, any other by "module:Class"."""
    if not isinstance(name, str):
        return None
    if ":" in name:
        places = [_at_address(name)]
    else:
        modules = [module for path, module in list(sys.modules.items()) if path.startswith("qspin.")]
        places = [found for module in modules if (found := vars(module).get(name)) is not None]
    return next((place for place in places if _is_part(place)), None)


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]


def _part_name(kind: type) -> str:
    return kind.__name__ if _part(kind.__name__) is kind else f"{kind.__module__}:{kind.__qualname__}"


def build_method(table: Mapping[str, Any], base: Method | None = None) -> Method:
    """The method that a table describes, whose "name" it must hold; fields that it lacks are those of `base`, where that is of
    the same kind, else the defaults.

    Raises ValueError or TypeError for unknown names or fields, with the known ones, and for values that do not fit.
    """
    settings = {key: value for key, value in table.items() if key != "name"}
    kind = class_of(table["name"])
    given = _values(kind, settings, str(table["name"]))
    return replace(base, **given) if type(base) is kind else kind(**given)  # type: ignore[type-var]


def describe_method(method: Method, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every field of a method in a table that `build_method` turns back. What no table can hold stays as it was `given`, or
    is None where it was not (a preset's ready-made optimizer)."""
    table: dict[str, Any] = {"name": name_of(method)}
    for field in fields(method):  # type: ignore[arg-type]
        try:
            table[field.name] = _plain(getattr(method, field.name))
        except _NotPlainError:
            table[field.name] = given.get(field.name)
    return table


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if _is_part(type(value)):
        return {
            "name": _part_name(type(value)),
            **{field.name: _plain(getattr(value, field.name)) for field in fields(value)},
        }
    name = getattr(value, "__name__", "")
    if callable(value) and _activation(name) is value:
        return name
    raise _NotPlainError


def _values(kind: type, settings: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The keyword arguments of a dataclass, from plain values."""
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in known:
            raise ValueError(f"{owner} has no setting {key!r}; it has: {', '.join(known) or 'none'}.")
        made = _made(key, value, f"{owner}.{key}")
        if not fits(made, hints[key]):
            raise TypeError(f"{owner}: {key} must be {spelled(hints[key])}, got {value!r}.")
        values[key] = made
    return values


def _made(key: str, value: Any, owner: str) -> Any:
    """What a plain value stands for, in the field `key`."""
    if isinstance(value, list | tuple):
        return tuple(_made(key, v, owner) for v in value)
    name = value.get("name") if isinstance(value, Mapping) else value
    if key == "optimizer" and isinstance(value, Mapping) and _part(name) is None:
        return _optimizer(value, owner)
    if key == "activation":
        activation = _activation(value)
        if activation is None:
            raise ValueError(
                f"{owner}: unknown activation {value!r}; expected a function of jax.numpy or jax.nn."
            )
        return activation
    kind = _part(name)
    if kind is not None:
        settings = {k: v for k, v in value.items() if k != "name"} if isinstance(value, Mapping) else {}
        return kind(**_values(kind, settings, f"{owner} ({name})"))
    if isinstance(value, Mapping):
        raise ValueError(
            f'{owner}: unknown name {name!r}; expected a class of qspin, such as MLP, or "module:Class".'
        )
    return value


def _activation(name: Any) -> Any:
    """softplus is ours, which is smooth in single precision; the rest are JAX's."""
    import jax

    from qspin.methods.spin import networks

    if not isinstance(name, str) or name.startswith("_"):
        return None
    if name == "softplus":
        return networks.softplus
    found = getattr(jax.numpy, name, None) or getattr(jax.nn, name, None)
    return found if callable(found) else None


def _optimizer(table: Mapping[str, Any], owner: str) -> Any:
    import optax

    settings = {key: value for key, value in table.items() if key != "name"}
    make = getattr(optax, str(table.get("name")), None)
    try:
        made = make(**settings) if callable(make) else None
    except TypeError as error:
        raise TypeError(f"{owner}: {error}.") from error
    if not isinstance(made, optax.GradientTransformation):
        raise ValueError(
            f"{owner}: unknown optimizer {table.get('name')!r}; expected one of optax, such as adam."
        )
    return made


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as far as a glance can tell: what it does not know it lets through."""
    if get_origin(hint) in (Union, UnionType):
        return any(fits(value, option) for option in get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str, NoneType):
        return isinstance(value, hint)
    if get_origin(hint) in (tuple, list):
        return isinstance(value, list | tuple) and all(fits(v, get_args(hint)[0]) for v in value)
    return True


def spelled(hint: Any) -> str:
    """A type in words, for messages."""
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(spelled(option) for option in get_args(hint) if option is not NoneType)
    if get_origin(hint) in (tuple, list):
        return f"a list, each {spelled(get_args(hint)[0])}"
    return words.get(hint, str(hint))
