"""`tabulated`: a potential from numbers on a regular grid, in arrays or a file, joined by a spline in double precision."""

import hashlib
import os
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.numerics.checks import check_kind, set_fields, shown, table
from qspin.problem.domain import Box, Domain

__all__ = ["Tabulated", "tabulated"]

_DEGREES = (1, 3, 5)
_EDGE = 1e-9  # of an axis: so far beyond the table rounding may put a point


def tabulated(
    x: Any, values: Any = None, units: Any = "", degree: Any = 3, outside: Any = "refuse"
) -> "Tabulated":
    """V given by its values at the points of a regular grid, in one to three dimensions: a spline that passes through all.

    Args:
        x: the coordinates (n,) in one dimension; a list of them, one for each axis, in two or three; or the path of a text file
            with one row for each point: its coordinates, then V, separated by blanks or commas; # begins a comment.
        values: V at the points, (n,), (n_1, n_2) or (n_1, n_2, n_3). None where x is a file.
        units: of V, such as "cm^-1", for `Problem(units=...)`; nothing is converted.
        degree: of the spline: 3, or 5 for exact and smooth data, or 1 for straight lines.
        outside: "refuse": a box that is larger than the table is refused, and V outside of the table is nan; "nearest": V
            goes on as a constant, the value at the nearest point of the table's edge.

    The spline is SciPy's (`make_interp_spline`, whose third derivative is continuous at the second and the last but one point),
    evaluated by JAX. Derivatives of V jump at its `knots`. A table in single precision is known to seven digits, and so are the
    energies: `solve` says so in its notes.

    Raises TypeError for what are no numbers, ValueError where points are too few, repeated, not finite or no regular grid.

    >>> x = np.linspace(-3, 3, 13)
    >>> V = tabulated(x, x**2 / 2, units="hartree")
    >>> round(float(V(jnp.array([0.3]))), 6)
    0.045
    """
    if isinstance(x, str | os.PathLike):
        if values is not None:
            raise ValueError(
                "tabulated: values must be left out where x is a file, which holds V in its last column."
            )
        axes, numbers, single = *_read(Path(x)), False
    else:
        if values is None:
            raise ValueError(
                "tabulated: values must be given: V at the points x, or x must be the path of a file."
            )
        several = isinstance(x, list | tuple) and len(x) > 0 and all(np.ndim(axis) == 1 for axis in x)
        axes = [table("tabulated: x", axis) for axis in (x if several else [x])]
        numbers = table("tabulated: values", values)
        single = any(
            np.asarray(given).dtype.kind == "f" and np.asarray(given).dtype.itemsize < 8
            for given in (*(x if several else [x]), values)
        )
    shape = tuple(axis.size for axis in axes)
    if any(axis.ndim != 1 for axis in axes) or not 1 <= len(axes) <= 3 or numbers.shape != shape:
        raise ValueError(
            "tabulated: values must have one entry for each point, shape (n,) for coordinates x (n,), or (n_1, n_2) for x = "
            f"[x_1, x_2]; got values of shape {numbers.shape} and axes of {', '.join(str(a.shape) for a in axes)}."
        )
    if np.iscomplexobj(numbers) or not all(np.isfinite(part).all() for part in (numbers, *axes)):
        raise ValueError("tabulated: x and values must be finite real numbers.")
    if not isinstance(degree, int) or isinstance(degree, bool) or degree not in _DEGREES:
        raise ValueError(f"tabulated: degree must be 1, 3 or 5, got {shown(degree)}.")
    if not isinstance(outside, str) or outside not in ("refuse", "nearest"):
        raise ValueError(f'tabulated: outside must be "refuse" or "nearest", got {shown(outside)}.')
    check_kind("tabulated: units", units, str, "a text such as 'eV'")
    for i, axis in enumerate(axes):
        order = np.argsort(axis)
        axes[i], numbers = axis[order], np.take(numbers, order, axis=i)
        if axis.size <= degree or not (np.diff(axes[i]) > 0).all():
            raise ValueError(
                f"tabulated: axis {i} must have at least {degree + 1} different coordinates, got {shown(axis)}."
            )
    return Tabulated(tuple(axes), numbers, units, int(degree), outside, single)


def _read(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """The axes, and V on them, of a file of rows."""
    if not path.is_file():
        raise FileNotFoundError(f"tabulated: expected a text file at {path}, found none.")
    try:
        lines = path.read_text(encoding="utf-8").replace(",", " ").replace(";", " ").splitlines()
        rows = np.loadtxt([line for line in lines if line.split("#")[0].strip()] or ["no numbers"], ndmin=2)
    except ValueError as error:
        raise ValueError(f"tabulated: {path} is no table of numbers: {error}") from error
    if not 2 <= rows.shape[1] <= 4 or len(rows) < 2:
        raise ValueError(
            f"tabulated: {path} must have 2 to 4 columns, coordinates and V, got shape {rows.shape}."
        )
    axes, places = zip(*(np.unique(column, return_inverse=True) for column in rows.T[:-1]), strict=True)
    shape = tuple(axis.size for axis in axes)
    points = np.unique(np.stack(places, axis=1), axis=0)
    if len(points) != len(rows) or len(rows) != np.prod(shape):
        raise ValueError(
            f"tabulated: {path} must hold each point of a regular grid once; its coordinates make "
            f"{' × '.join(map(str, shape))} points, its rows are {len(rows)}, {len(points)} of them different."
        )
    values = np.empty(shape)
    values[places] = rows[:, -1]
    return list(axes), values


@dataclass(frozen=True, eq=False, repr=False)
class Tabulated:
    """The spline through a table, a function of one point x (dim,), made by `tabulated`.

    Attributes: `axes` and `values` are the table; `knots`, for each axis, are the places between which V is one polynomial of
    degree `degree` in each coordinate; `single` says whether the table came in single precision.
    """

    axes: tuple[np.ndarray, ...]
    values: np.ndarray
    units: str
    degree: int
    outside: str
    single: bool
    knots: tuple[np.ndarray, ...] = field(init=False)
    _pieces: tuple[np.ndarray, ...] = field(init=False)
    _coefficients: np.ndarray = field(init=False)
    _digest: str = field(init=False)

    def __post_init__(self) -> None:
        from scipy.interpolate import BSpline, make_interp_spline  # here, as it takes half a second to import

        coefficients, pieces, knots = self.values, [], []
        unit = np.cos(np.pi * (np.arange(self.degree + 1) + 0.5) / (self.degree + 1))  # places in a piece
        powers = np.linalg.inv(np.vander(unit, increasing=True))
        for i, axis in enumerate(self.axes):
            spline = make_interp_spline(axis, np.moveaxis(coefficients, i, 0), self.degree)
            coefficients = np.moveaxis(spline.c, 0, i)
            ends = spline.t[self.degree : len(spline.t) - self.degree]
            places = (ends[:-1, None] + ends[1:, None]) / 2 + unit * np.diff(ends)[:, None] / 2
            rows = BSpline.design_matrix(places.ravel(), spline.t, self.degree).data
            basis = rows.reshape(len(ends) - 1, self.degree + 1, self.degree + 1)
            pieces.append(powers @ basis)  # (piece, power of the place in it, function)
            knots.append(ends)
        set_fields(self, knots=tuple(knots), _pieces=tuple(pieces), _coefficients=coefficients)
        content = b"".join(np.ascontiguousarray(part).tobytes() for part in (self.values, *self.axes))
        rest = f"{self.values.shape} {self.units} {self.degree} {self.outside} {self.single}"
        set_fields(self, _digest=hashlib.sha256(content + rest.encode()).hexdigest())

    @property
    def dim(self) -> int:
        """The number of coordinates."""
        return len(self.axes)

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        if jnp.shape(x) != (self.dim,):
            raise ValueError(f"tabulated: expected one point of shape ({self.dim},), got {jnp.shape(x)}.")
        x = jnp.asarray(x)
        places, factors, inside = [], [], jnp.bool_(True)
        for i, (knots, pieces) in enumerate(zip(self.knots, self._pieces, strict=True)):
            edge = _EDGE * (knots[-1] - knots[0])
            inside &= (x[i] >= knots[0] - edge) & (x[i] <= knots[-1] + edge)
            t = jnp.clip(x[i], float(knots[0]), float(knots[-1])) if self.outside == "nearest" else x[i]
            piece = jnp.clip(
                jnp.searchsorted(jnp.asarray(knots[1:-1], x.dtype), t, side="right"), 0, len(pieces) - 1
            )
            low, high = (jnp.asarray(ends, x.dtype)[piece] for ends in (knots[:-1], knots[1:]))
            u = (2 * t - low - high) / (high - low)
            powers = jnp.stack([u**0, *(u**k for k in range(1, self.degree + 1))])
            places.append(piece)
            factors.append(powers @ jnp.asarray(pieces, x.dtype)[piece])
        block = jax.lax.dynamic_slice(
            jnp.asarray(self._coefficients, x.dtype),
            places,
            (self.degree + 1,) * self.dim,
        )
        value = reduce(lambda rest, factor: jnp.tensordot(factor, rest, 1), factors, block)
        return value if self.outside == "nearest" else jnp.where(inside, value, jnp.nan)

    def check(self, domain: Domain) -> None:
        """Raise ValueError where the table does not cover the domain."""
        lower, upper = (tuple(float(axis[end]) for axis in self.axes) for end in (0, -1))
        covers = f"the table covers {list(lower)} to {list(upper)}"
        if domain.dim != self.dim:
            raise ValueError(f"tabulated: {covers}, {self.dim} coordinates, the domain has {domain.dim}.")
        if self.outside == "nearest":
            return
        if not isinstance(domain, Box):
            raise ValueError(
                f'tabulated: {covers}, the domain is {domain!r}. Write a Box, or outside="nearest".'
            )
        edges = [_EDGE * (high - low) for low, high in zip(lower, upper, strict=True)]
        low = any(a < b - edge for a, b, edge in zip(domain.lower, lower, edges, strict=True))
        if low or any(a > b + edge for a, b, edge in zip(domain.upper, upper, edges, strict=True)):
            raise ValueError(
                f"tabulated: {covers}, the box goes on to {list(domain.lower)} to {list(domain.upper)}. Write "
                f'Box({list(lower)}, {list(upper)}), or outside="nearest".'
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tabulated) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __repr__(self) -> str:
        size = " × ".join(str(axis.size) for axis in self.axes)
        return f"tabulated({size} points, units={self.units!r}, degree={self.degree}, {self._digest[:8]})"
