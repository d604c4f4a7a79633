"""Checks of arguments: each returns the value in plain form, or says what was expected and what came.

The first argument names the owner and the argument, as "Box: lower". A value of the wrong kind raises TypeError, one that
cannot be raises ValueError; `whole` raises ValueError for both.
"""

from collections.abc import Callable, Sequence
from math import isfinite
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
    "traced",
    "vector",
    "whole",
]

Point = tuple[float, ...]
Bound = float | int | None


def whole(what: str, number: object, least: int = 1, most: int | None = None) -> int:
    """The number, where it is an integer (no bool) of at least `least` and at most `most`."""
    integer = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not integer or number < least or (most is not None and number > most):  # type: ignore[operator]
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{what} must be an integer {bounds}, got {number!r}.")
    return int(number)  # type: ignore[call-overload]


def real_number(what: str, value: Any, above: Bound = None, least: Bound = None, most: Bound = None) -> float:
    """The value as a float, where it is one finite real number (no bool) within the bounds."""
    if hasattr(value, "tolist"):  # NumPy and JAX scalars; jnp.asarray would round a float64 to 32 bits
        value = value.tolist()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{what} must be a real number, got {value!r}.")
    number = float(value)
    too_low = (above is not None and number <= above) or (least is not None and number < least)
    if not isfinite(number) or too_low or (most is not None and number > most):
        raise ValueError(f"{what} must be {_bounds(above, least, most)}, got {value!r}.")
    return number


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
        raise ValueError(f"{what} must be one number or {count} of them, got {value!r}.")
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
        f"{what} must be a list of {number} (n, {dim or 'dim'}), such as [(0.0, 0.0)], got {value!r}."
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
        raise TypeError(f"{what} must be {expected}, got {value!r}.")


def check_function(what: str, value: object, of: str) -> None:
    """TypeError where the value is no function `of`, such as "of a point x (dim,) -> scalar"."""
    if not callable(value):
        raise TypeError(f"{what} must be a function {of}, got {value!r}.")


def traced(what: str, function: Callable[..., Any], *dims: int) -> Any:
    """Shape and dtype of the function at points of so many coordinates; TypeError where JAX cannot trace it."""
    try:
        return jax.eval_shape(
            function, *(jax.ShapeDtypeStruct((dim,), jnp.result_type(float)) for dim in dims)
        )
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        raise TypeError(
            f"{what} cannot be traced by JAX: it turns x into a Python number or branches on it. Write it with jax.numpy: "
            "jnp.sqrt(x[0]) for math.sqrt(x[0]) or float(x[0]), jnp.where(x[0] > 0, a, b) for `a if x[0] > 0 else b`. "
            f"JAX said: {str(error).splitlines()[0]}"
        ) from error


def set_fields(instance: Any, **values: Any) -> None:
    """Give fields of a frozen dataclass their checked values, in its __init__."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)
