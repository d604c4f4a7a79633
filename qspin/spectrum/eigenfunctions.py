"""Eigenfunctions: what every method's wavefunctions offer, how files keep them, and their values on tensor grids."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from jax.tree_util import Partial
from jaxtyping import Float, Inexact

from qspin.numerics.checks import shown, table
from qspin.numerics.laplacian import Function
from qspin.numerics.precision import evaluated
from qspin.numerics.registry import Registry
from qspin.problem.domain import Box, Domain
from qspin.problem.hamiltonian import Operator

__all__ = [
    "EIGENFUNCTIONS",
    "Eigenfunctions",
    "GridValues",
    "PointwiseFunctions",
    "Rotated",
    "arrays_under",
    "check_shapes",
    "combined",
    "recorded",
    "restored",
    "tensor_axes",
    "tensor_points",
]

EIGENFUNCTIONS = Registry("kind of eigenfunctions", "qspin.eigenfunctions")
_MOST_VALUES = 2**30  # of all states on a tensor grid


class Eigenfunctions(ABC):
    """Orthonormal functions on a domain, with a rule to integrate them by.

    A class that is registered, as `@EIGENFUNCTIONS("my kind")`, and has `record` and `from_record`, can be saved and loaded.
    """

    @property
    @abstractmethod
    def n_states(self) -> int:
        """Number of functions, N."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of coordinates."""

    @abstractmethod
    def __call__(self, points: Float[np.ndarray, "points dim"]) -> Inexact[np.ndarray, "points states"]:
        """Values at points (P, dim) -> (P, N), float64, or complex."""

    @abstractmethod
    def quadrature(self) -> tuple[Float[np.ndarray, "points dim"], Float[np.ndarray, " points"]]:
        """Points (P, dim) and weights (P,) with Σ_p w_p f(x_p) ≈ ∫ f dx for products of these functions."""

    @abstractmethod
    def image(self, operator: Operator) -> Inexact[np.ndarray, "points states"]:
        """(operator ψ_n)(x_p) at the points of `quadrature`, (P, N)."""

    def times(self, factors: Inexact[np.ndarray, " states"]) -> Eigenfunctions:
        """Each function times a number, factors (N,), real or complex. Those that hold coefficients multiply them instead."""
        return Rotated.of(self, np.diag(factors))

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Settings, as JSON, and arrays: what `from_record` makes the functions from."""
        raise ValueError(f"save: {type(self).__name__} cannot be saved: it has no method record.")

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> Eigenfunctions:
        """The functions that `record` described. An exception of any type says that the record cannot be used."""
        raise ValueError(f"{cls.__name__} cannot be loaded: it has no class method from_record.")


class PointwiseFunctions(Eigenfunctions):
    """Functions given point by point, with the points (P, dim) and weights (P,) that inner products are taken on."""

    points: Float[np.ndarray, "points dim"]
    weights: Float[np.ndarray, " points"]

    @abstractmethod
    def psi(self) -> Function:
        """All functions at one point, x (dim,) -> (N,). What `combined` makes is compiled once, whatever its numbers."""

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return evaluated(self.psi(), points)

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        return self.points, self.weights

    def image(self, operator: Operator) -> np.ndarray:
        return evaluated(operator.exact()(self.psi()), self.points)


def combined(features: Function, matrix: Inexact[np.ndarray, "features states"]) -> Function:
    """features(x) @ matrix as a function of a point x, that `evaluated` compiles once, whatever the matrix."""
    return Partial(_product, features if isinstance(features, Partial) else Partial(features), matrix)


def _product(features: Function, matrix: Any, x: Any) -> Any:
    return features(x) @ matrix


@dataclass(frozen=True, eq=False)
class Rotated(Eigenfunctions):
    """Σ_m ψ_m(x) matrix_mn: other functions, times a matrix (N, n), real or complex; unitary, that they stay orthonormal."""

    functions: Eigenfunctions
    matrix: Inexact[np.ndarray, "functions states"]

    @classmethod
    def of(cls, functions: Eigenfunctions, matrix: Inexact[np.ndarray, "functions states"]) -> Rotated:
        """Functions times a matrix; where they are `Rotated` already, by one matrix instead of two."""
        if isinstance(functions, Rotated):
            return cls(functions.functions, functions.matrix @ matrix)
        return cls(functions, matrix)

    @property
    def n_states(self) -> int:
        return self.matrix.shape[1]

    @property
    def dim(self) -> int:
        return self.functions.dim

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return self.functions(points) @ self.matrix

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        return self.functions.quadrature()

    def image(self, operator: Operator) -> np.ndarray:
        return self.functions.image(operator) @ self.matrix

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings, arrays = recorded(self.functions)
        inner = {f"functions/{name}": array for name, array in arrays.items()}
        return {"functions": settings}, {"matrix": self.matrix, **inner}

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> Rotated:
        functions = restored(settings["functions"], arrays_under("functions/", arrays), domain)
        check_shapes(arrays, {"matrix": "functions states"}, functions=functions.n_states)
        return cls(functions, arrays["matrix"])


# --- records, of which files are made


def recorded(functions: Eigenfunctions) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The record of functions, with the kind that their class is registered by. ValueError where it is not."""
    name, kind = type(functions).__name__, EIGENFUNCTIONS.name_of(type(functions))
    if kind is None:
        raise ValueError(
            f"save: {name} is not registered, so that a file of it could not be loaded; write "
            f'@EIGENFUNCTIONS("{name}") above the class (EIGENFUNCTIONS is in qspin.spectrum.eigenfunctions).'
        )
    settings, arrays = functions.record()
    try:
        json.dumps(settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"save: the settings that {name}.record gives are not JSON ({error}).") from error
    return {**settings, "kind": kind}, {key: np.asarray(array) for key, array in arrays.items()}


def restored(settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain) -> Eigenfunctions:
    """The inverse of `recorded`. KeyError for a kind that is not registered."""
    functions: Eigenfunctions = EIGENFUNCTIONS[settings["kind"]].from_record(settings, arrays, domain)
    return functions


def arrays_under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays whose names begin with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def check_shapes(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, str], **sizes: int) -> None:
    """Raise ValueError where an entry is missing, or where sizes of one name differ between entries, or from `sizes`.

    >>> check_shapes({"points": np.ones((5, 2)), "weights": np.ones(5)}, {"points": "points dim", "weights": "points"}, dim=2)
    """
    for name, shape in shapes.items():
        if name not in arrays:
            raise ValueError(f"the entry {name!r} is missing.")
        given, axes = arrays[name].shape, shape.split()
        for axis, size in zip(axes, given, strict=False):
            sizes.setdefault(axis, size)
        if len(axes) != len(given) or given != tuple(sizes[axis] for axis in axes):
            expected = ", ".join(f"{axis} = {sizes[axis]}" if axis in sizes else axis for axis in axes)
            raise ValueError(f"the entry {name!r} has shape {given}, expected ({expected}).")


# --- tensor grids over a box


@dataclass(frozen=True, eq=False)
class GridValues:
    """Eigenfunctions at all combinations of coordinates.

    Attributes:
        axes: for each coordinate x_i its values, (n_i,), ascending, in the units of x.
        values: (n_0, …, n_{dim-1}, N): axis i runs along x_i, the last over the states. float64, or complex.
    """

    axes: tuple[Float[np.ndarray, " _"], ...]
    values: Inexact[np.ndarray, "*shape states"]


def tensor_points(axes: Sequence[np.ndarray]) -> Float[np.ndarray, "*shape dim"]:
    """All combinations of the coordinates, (n_0, …, n_{dim-1}, dim)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def tensor_axes(domain: Domain, points: Any, n_states: int = 1) -> tuple[Float[np.ndarray, " _"], ...]:
    """For each axis of a box its coordinates: what `Spectrum.on_grid` takes as `points`."""
    if not isinstance(domain, Box):
        raise ValueError(f"Spectrum.on_grid: a tensor grid needs a Box, the domain is {domain!r}.")
    if isinstance(points, int | np.integer):
        points = [points] * domain.dim
    if not isinstance(points, Sequence | np.ndarray) or isinstance(points, str) or len(points) != domain.dim:
        raise ValueError(
            f"Spectrum.on_grid: points must be an integer, or {domain.dim} entries, one an axis, each an integer or an "
            f"ascending array; got {shown(points)}."
        )
    counts = [entry if isinstance(entry, int | np.integer) else np.size(entry) for entry in points]
    if n_states * prod(map(int, counts)) > _MOST_VALUES:
        raise ValueError(
            f"Spectrum.on_grid: points must make at most {_MOST_VALUES} values, got {shown(points)}."
        )
    return tuple(_coordinates(domain, axis, entry) for axis, entry in enumerate(points))


def _coordinates(box: Box, axis: int, entry: Any) -> Float[np.ndarray, " _"]:
    """Equally spaced coordinates, walls included; of a periodic axis the end is the beginning, and is left out."""
    if isinstance(entry, int | np.integer) and not isinstance(entry, bool) and entry >= 2:
        return np.linspace(box.lower[axis], box.upper[axis], int(entry), endpoint=not box.periodic[axis])
    values = table(f"Spectrum.on_grid: axis {axis}", entry)
    ascending = (
        values.ndim == 1 and values.size > 0 and np.isfinite(values).all() and (np.diff(values) > 0).all()
    )
    if np.iscomplexobj(values) or not ascending:
        raise ValueError(
            f"Spectrum.on_grid: axis {axis} must be an integer of at least 2, or finite ascending coordinates, got "
            f"{shown(entry)}."
        )
    return values
