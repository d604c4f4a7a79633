"""A method as a table of plain values, and back: {"name": "spin", "steps": 600, "network": {"name": "MLP", …}, …}."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from qspin.methods.base import Method

__all__ = ["METHODS", "build_method", "class_of", "describe_method", "fits", "name_of", "spelled"]

METHODS = ("spin", "ritz", "sampled-ritz", "grid", "product-basis")
_OPTIMIZERS = ("adam", "adamw", "lion", "rmsprop", "sgd")


class _NotPlainError(Exception):
    """A value that no table can hold, such as a ready-made optimizer."""


@cache
def _methods() -> dict[str, type[Method]]:
    from qspin.methods.grid.driver import Grid  # SciPy's sparse code: not before it is needed
    from qspin.methods.product_basis.driver import ProductBasis
    from qspin.methods.ritz.driver import Ritz
    from qspin.methods.sampled.driver import SampledRitz
    from qspin.methods.spin.driver import SpIN

    return dict(zip(METHODS, (SpIN, Ritz, SampledRitz, Grid, ProductBasis), strict=True))


@cache
def _parts() -> dict[str, type]:
    """The settings within settings, by class name."""
    from qspin.methods.grid import schemes
    from qspin.methods.sampled import directions, point_sources, updates
    from qspin.methods.spin import estimators, networks, rivals
    from qspin.problem import sampling

    classes: tuple[type, ...] = (
        *(estimators.AveragedCovariance, estimators.AveragedJacobian, rivals.NeuralEF, rivals.NestedLoRA),
        *(networks.MLP, networks.BlockSparseMLP, networks.SeparateMLPs),
        *(sampling.Uniform, sampling.Stratified, sampling.QuasiRandom, sampling.Clustered),
        *(schemes.Differences, schemes.DVR, schemes.Elements),
        *(point_sources.ReferencePoints, point_sources.MetropolisWalkers),
        *(directions.RitzRotation, directions.MaskedOrder, updates.Adam, updates.EnergyMetric),
    )
    return {part.__name__: part for part in classes}


def class_of(name: str) -> type[Method]:
    """The method of that name. Raises ValueError, with the known ones."""
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; known are {', '.join(METHODS)}.")
    return _methods()[name]


def name_of(method: Method) -> str:
    """The name that `class_of` knows a method by."""
    return next(name for name, kind in _methods().items() if type(method) is kind)


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
    if is_dataclass(value) and _parts().get(type(value).__name__) is type(value):
        return {
            "name": type(value).__name__,
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
    if key == "optimizer" and isinstance(value, Mapping) and value.get("name") not in _parts():
        return _optimizer(value, owner)
    if key == "activation":
        activation = _activation(value)
        if activation is None:
            raise ValueError(
                f"{owner}: unknown activation {value!r}; expected a function of jax.numpy or jax.nn."
            )
        return activation
    if isinstance(value, Mapping) or (isinstance(value, str) and value in _parts()):
        table = {"name": value} if isinstance(value, str) else value
        name = table.get("name")
        if name not in _parts():
            raise ValueError(f"{owner}: unknown name {name!r}; known are {', '.join(_parts())}.")
        settings = {k: v for k, v in table.items() if k != "name"}
        return _parts()[name](**_values(_parts()[name], settings, f"{owner} ({name})"))
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
    if table.get("name") not in _OPTIMIZERS:
        raise ValueError(
            f"{owner}: unknown optimizer {table.get('name')!r}; known are {', '.join(_OPTIMIZERS)}."
        )
    try:
        return getattr(optax, table["name"])(**settings)
    except TypeError as error:
        raise TypeError(f"{owner}: {error}.") from error


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
