"""Checks of arguments: each returns the value in plain form, or says what was expected and what came.

The first argument names the owner and the argument, as "Box: lower". A value of the wrong kind raises TypeError, one that
cannot be raises ValueError; `whole` raises ValueError for both.
"""

import inspect
from collections.abc import Callable, Sequence
from math import inf, isfinite
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "check_function",
    "check_kind",
    "check_sizes",
    "points_of",
    "positive",
    "real_number",
    "real_numbers",
    "set_fields",
    "shown",
    "table",
    "traced",
    "vector",
    "whole",
]

Point = tuple[float, ...]
Bound = float | int | None


MOST_DIMENSIONS = 1000


def shown(value: object) -> str:
    """The value as Python writes it, cut where that is long."""
    try:
        text = repr(value)
    except Exception:  # an integer of 10,000 digits, or a class whose repr fails
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 300 else f"{text[:200]} … {text[-50:]}"


def whole(what: str, number: object, least: int = 1, most: int | None = None) -> int:
    """The number, where it is an integer (no bool) of at least `least` and at most `most`."""
    integer = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not integer or number < least or (most is not None and number > most):  # type: ignore[operator]
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{what} must be an integer {bounds}, got {shown(number)}.")
    return int(number)  # type: ignore[call-overload]


def real_number(what: str, value: Any, above: Bound = None, least: Bound = None, most: Bound = None) -> float:
    """The value as a float, where it is one finite real number (no bool) within the bounds."""
    if hasattr(value, "tolist"):  # NumPy and JAX scalars; jnp.asarray would round a float64 to 32 bits
        value = value.tolist()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{what} must be a real number, got {shown(value)}.")
    try:
        number = float(value)
    except OverflowError:  # an integer or a fraction beyond 1e308
        number = inf
    too_low = (above is not None and number <= above) or (least is not None and number < least)
    if not isfinite(number) or too_low or (most is not None and number > most):
        raise ValueError(f"{what} must be {_bounds(above, least, most)}, got {shown(value)}.")
    return number


def table(what: str, value: Any) -> np.ndarray:
    """The value as an array of numbers of their own kind, real or complex; TypeError where it holds anything else, such as
    text, ValueError where rows differ in length."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{what} must be rows of equal length, got {shown(value)}.") from error
    if array.dtype.kind not in "iufc":
        raise TypeError(f"{what} must hold numbers, got {shown(value)}.")
    return array if array.dtype.kind == "c" else array.astype(float)


def _bounds(above: Bound, least: Bound, most: Bound) -> str:
    if most is not None and above is not None:
        return f"in ({above:g}, {most:g}]"
    if most is not None:
        return f"at most {most:g}" if least is None else f"from {least:g} to {most:g}"
    if least is not None:
        return f"at least {least:g}"
    return "finite" if above is None else "positive" if above == 0 else f"above {above:g}"


def _entries(what: str, value: Any) -> Sequence[Any] | None:
    """The entries of a sequence or array, None for what is not one; an empty one is refused."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return None
    if not value:
        raise ValueError(f"{what} must not be empty.")
    return value


def real_numbers(what: str, value: Any, above: Bound = None) -> float | Point:
    """One number, or a tuple of them where a sequence was given."""
    entries = _entries(what, value)
    if entries is None:
        return real_number(what, value, above)
    return tuple(real_number(what, entry, above) for entry in entries)


def positive(owner: str, **values: Any) -> dict[str, float]:
    """The values as floats, where each is one positive number."""
    return {name: real_number(f"{owner}: {name}", value, above=0) for name, value in values.items()}


def vector(what: str, value: Any, count: int | None = None, above: Bound = None) -> Point:
    """A tuple of numbers, `count` of them (None: any). One number stands for all, or for one where `count` is None."""
    numbers = real_numbers(what, value, above)
    if not isinstance(numbers, tuple):
        return (numbers,) * (count or 1)
    if count is not None and len(numbers) != count:
        raise ValueError(f"{what} must be one number or {count} of them, got {shown(value)}.")
    return numbers


def points_of(what: str, value: Any, dim: int | None = None, least: int = 0) -> tuple[Point, ...]:
    """At least so many points (n, dim) as tuples; dim None: of as many coordinates as the first."""
    rows = value.tolist() if hasattr(value, "tolist") else value
    listed = isinstance(rows, Sequence) and all(isinstance(row, Sequence) or np.ndim(row) for row in rows)
    if listed and len(rows) >= least:
        points = tuple(vector(what, row) for row in rows)
        if len({dim or len(points[0]), *map(len, points)} if points else ()) <= 1:
            return points
    number = f"at least {least} points" if least else "points"
    raise ValueError(
        f"{what} must be a list of {number} (n, {dim or 'dim'}), such as [(0.0, 0.0)], got {shown(value)}."
    )


def check_sizes(owner: str, **values: float | Point) -> int:
    """The common length of those that are sequences, 1 where none is; ValueError where they differ."""
    sizes = {name: len(value) for name, value in values.items() if isinstance(value, tuple)}
    if len(set(sizes.values())) > 1:
        counted = ", ".join(f"{name} has {size} entries" for name, size in sizes.items())
        raise ValueError(f"{owner}: {counted}.")
    return max(sizes.values(), default=1)


def check_kind(what: str, value: object, kind: Any, expected: str) -> None:
    """TypeError where the value is no instance of `kind`, which the message calls `expected`."""
    if not isinstance(value, kind):
        raise TypeError(f"{what} must be {expected}, got {shown(value)}.")


def check_function(what: str, value: object, of: str, arguments: int = 1) -> None:
    """TypeError where the value is no function `of`, such as "of a point x (dim,) -> scalar", or takes other arguments."""
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"{what} must be a function {of}, got {shown(value)}.")
    try:
        signature = inspect.signature(value)
    except (ValueError, TypeError):  # a function in C whose arguments cannot be seen
        return
    try:
        signature.bind(*[None] * arguments)
    except TypeError as error:
        hint = " Coordinates are x[0], x[1], … of one argument." if of.startswith("of a point") else ""
        raise TypeError(f"{what} must be a function {of}; one of {signature} came.{hint}") from error


def traced(what: str, function: Callable[..., Any], *dims: int) -> Any:
    """Shape and dtype of the function at points of so many coordinates; TypeError or ValueError where it fails there."""
    points = [jax.ShapeDtypeStruct((dim,), jnp.result_type(float)) for dim in dims]
    try:
        return jax.eval_shape(function, *points)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        raise TypeError(
            f"{what} cannot be traced by JAX: it turns x into a Python number or branches on it. Write it with jax.numpy: "
            "jnp.sqrt(x[0]) for math.sqrt(x[0]) or float(x[0]), jnp.where(x[0] > 0, a, b) for `a if x[0] > 0 else b`. "
            f"JAX said: {str(error).splitlines()[0]}"
        ) from error
    except Exception as error:
        if str(error).startswith(what):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        reason = next(iter(str(error).splitlines()), "no reason given")
        raise kind(
            f"{what} fails at a point of {dims[0]} coordinates: {type(error).__name__}: {reason}"
        ) from error


def set_fields(instance: Any, **values: Any) -> None:
    """Give fields of a frozen dataclass their checked values, in its __init__."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)
