"""What arguments are checked for at once, with a message that says what was expected and what came."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = [
    "like",
    "one_each",
    "one_point",
    "one_size",
    "points_of",
    "positive_number",
    "real_number",
    "real_numbers",
    "whole",
]

Point = tuple[float, ...]

# Checked by value: a run-time check of types would come first.
if TYPE_CHECKING:
    Count = int
else:
    Count = Any


def whole(what: str, number: Count, least: int = 1) -> int:
    """The number, where it is an integer (no bool) of at least `least`; else ValueError: "what must be an integer …"."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
        raise ValueError(f"{what} must be an integer of at least {least}, got {number!r}.")
    return int(number)


def one_point(owner: str, x: Float[Array, " dim"], dim: int | None = None) -> Float[Array, " dim"]:
    """x, after checking that it is one floating-point point of `dim` coordinates (None: any number)."""
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{owner}: a point must be floating-point, got dtype {x.dtype}.")
    if x.ndim != 1 or x.shape[0] != (dim or x.shape[0]):
        expected = "(dim,)" if dim is None else f"({dim},)"
        raise ValueError(
            f"{owner}: expected one point of shape {expected}, got {x.shape}; use jax.vmap for many."
        )
    return x


def like(x: Array, value: Any) -> Any:
    """Numbers as an array in the dtype of x; a single number stays one, as it takes any dtype."""
    return jnp.asarray(value, x.dtype) if isinstance(value, tuple) else value


def real_number(owner: str, name: str, value: Any) -> float:
    """The value as a float, where it is one finite real number. Raises TypeError, ValueError."""
    if hasattr(value, "tolist"):  # NumPy and JAX scalars; jnp.asarray would round a float64 to 32 bits
        value = value.tolist()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{owner}: {name} must be a real number, got {value!r}.")
    if not math.isfinite(value):
        raise ValueError(f"{owner}: {name} must be finite, got {value!r}.")
    return float(value)


def positive_number(owner: str, name: str, value: Any) -> float:
    """`real_number`, where it is positive."""
    number = real_number(owner, name, value)
    if number <= 0:
        raise ValueError(f"{owner}: {name} must be positive, got {number}.")
    return number


def _entries(owner: str, name: str, value: Any) -> Sequence[Any] | None:
    """The entries of a sequence or array, None for what is not one; an empty one is refused."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return None
    if not value:
        raise ValueError(f"{owner}: {name} is empty.")
    return value


def real_numbers(owner: str, name: str, value: Any, positive: bool = False) -> float | Point:
    """One number, or a tuple of them where a sequence was given."""
    check = positive_number if positive else real_number
    entries = _entries(owner, name, value)
    if entries is None:
        return check(owner, name, value)
    return tuple(check(owner, name, entry) for entry in entries)


def one_each(owner: str, name: str, value: Any, count: int, positive: bool = False) -> Point:
    """`count` numbers, one for each centre; a single one is for all."""
    numbers = real_numbers(owner, name, value, positive)
    if not isinstance(numbers, tuple):
        return (numbers,) * count
    if len(numbers) != count:
        raise ValueError(f"{owner}: {name} has {len(numbers)} entries for {count} centres.")
    return numbers


def points_of(owner: str, name: str, value: Any) -> tuple[Point, ...]:
    """Points (n, dim) as tuples."""
    rows = _entries(owner, name, value)
    if rows is None:
        raise TypeError(f"{owner}: {name} must be a sequence of points, got {value!r}.")
    given = [real_numbers(owner, name, row) for row in rows]
    points = tuple(point for point in given if isinstance(point, tuple))
    if len(points) < len(given):
        raise ValueError(f"{owner}: {name} must have shape (n, dim), as in [(0.0, 0.0)], got {value!r}.")
    if len({len(point) for point in points}) > 1:
        raise ValueError(f"{owner}: {name} must all have as many coordinates, got {value!r}.")
    return points


def one_size(owner: str, **values: float | Point) -> None:
    """Raise ValueError where those that are sequences differ in length."""
    sizes = {name: len(value) for name, value in values.items() if isinstance(value, tuple)}
    if len(set(sizes.values())) > 1:
        counted = ", ".join(f"{name} has {size} entries" for name, size in sizes.items())
        raise ValueError(f"{owner}: {counted}.")
