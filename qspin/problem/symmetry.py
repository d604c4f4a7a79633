"""Symmetries as maps of points, (Uψ)(x) = ψ(g(x)): parity, mirrors, exchange of particles, rotations, angular momentum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import jax
import numpy as np

from qspin.numerics.checks import MOST_DIMENSIONS, check_function, real_number, shown, vector
from qspin.numerics.precision import evaluated

__all__ = ["PointMap", "angular_momentum", "exchange", "parity", "reflection", "rotation"]

_STEP = 2 * np.pi / 64  # angle whose rotation gives angular momenta up to ±31


@dataclass(frozen=True)
class PointMap:
    """The operator (Uψ)(x) = ψ(g(x)), for a map g that keeps volumes, so that U is unitary.

    Args:
        function: g, of one point x (dim,) -> (dim,), in jax.numpy.
        name: of the quantum number, in tables.
        step: 0 where the quantum number is U's eigenvalue; otherwise U = exp(i step A), and it is the eigenvalue a of the
            Hermitian A, in (-π/step, π/step].

    Raises TypeError for what is not a function; `check(dim)` raises ValueError for a map that does not fit the coordinates.

    >>> PointMap(lambda x: -x, "parity").moved(np.array([[1.0, 2.0]]))
    array([[-1., -2.]])
    """

    function: Any
    name: str = "map"
    step: float = 0.0

    def __post_init__(self) -> None:
        check_function("PointMap: function", self.function, "of a point x (dim,) -> (dim,)")

    def _refuse(self, other: object) -> NoReturn:
        raise TypeError(
            f"{self.name}: a symmetry is no part of a Hamiltonian, so it cannot be added to or multiplied with "
            f"{shown(other)}; it labels states, in spectrum.rotate(...), and what is observed is spectrum.expect(...)."
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __array_ufunc__ = None

    def check(self, dim: int) -> None:
        """Raise ValueError where the map does not turn a point (dim,) into another."""
        try:
            # NumPy sees an index past the end, JAX does not.
            shape = np.shape(self.function(np.full(dim, 0.5)))
        except (IndexError, ValueError) as error:
            raise ValueError(f"{self.name}: does not fit points of {dim} coordinates ({error}).") from error
        except jax.errors.JAXTypeError:
            shape = (dim,)
        if shape != (dim,):
            raise ValueError(
                f"{self.name}: must map a point of shape ({dim},) to another, got shape {shape}."
            )

    def moved(self, points: np.ndarray) -> np.ndarray:
        """g at points (P, dim), float64 (P, dim)."""
        return evaluated(self.function, points)


def _about(centre: Any, matrix: Callable[[int], np.ndarray]) -> Callable[..., Any]:
    """x ↦ c + M (x - c), with M for as many coordinates as x has."""
    middle = None if centre is None else np.array(vector("symmetry: centre", centre))

    def function(x: Any) -> Any:
        dim = x.shape[0]
        if middle is not None and middle.shape != (dim,):
            raise ValueError(f"the centre has shape {middle.shape}")
        c = np.zeros(dim) if middle is None else middle
        return c + matrix(dim) @ (x - c)

    return function


def _indices(what: str, axes: Any) -> list[int]:
    chosen = list(axes) if isinstance(axes, Sequence) or np.ndim(axes) == 1 else [axes]
    if not all(
        isinstance(a, int | np.integer) and not isinstance(a, bool) and 0 <= a < MOST_DIMENSIONS
        for a in chosen
    ):
        raise ValueError(f"{what} must be the number of a coordinate, or several, got {shown(axes)}.")
    if not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(f"{what} must be different coordinates, got {shown(axes)}.")
    return [int(a) for a in chosen]


def parity(axis: Any = None, centre: Any = None) -> PointMap:
    """ψ(x) -> ψ(-x), of quantum number +1 (even) or -1 (odd).

    Args:
        axis: one coordinate, or several, that change sign; by default all.
        centre: (dim,), the point about which; by default the origin.

    >>> parity(axis=0).moved(np.array([[1.0, 2.0]]))
    array([[-1.,  2.]])
    """
    chosen = None if axis is None else _indices("parity: axis", axis)

    def matrix(dim: int) -> np.ndarray:
        signs = np.ones(dim)
        signs[slice(None) if chosen is None else chosen] = -1
        return np.diag(signs)

    name = "parity" if chosen is None else "parity " + ",".join(f"x{a}" for a in chosen)
    return PointMap(_about(centre, matrix), name)


def reflection(normal: Any, centre: Any = None) -> PointMap:
    """The mirror image in the plane through `centre` (by default the origin) at right angles to `normal` (dim,): +1 or -1.

    Raises ValueError for a normal of length zero.

    >>> reflection([1.0, -1.0]).moved(np.array([[1.0, 2.0]])).round(12)
    array([[2., 1.]])
    """
    given = np.array(vector("reflection: normal", normal))
    if not given.any():
        raise ValueError(f"reflection: normal must be a vector of positive length, got {shown(normal)}.")
    unit = given / np.linalg.norm(given)

    def matrix(dim: int) -> np.ndarray:
        if len(unit) != dim:
            raise ValueError(f"the normal has {len(unit)} entries")
        return np.eye(dim) - 2 * np.outer(unit, unit)

    return PointMap(_about(centre, matrix), "mirror")


def exchange(i: Any, j: Any) -> PointMap:
    """Coordinates i and j swapped, of quantum number +1 (symmetric) or -1 (antisymmetric).

    Of particles in several dimensions all coordinates of each: exchange((0, 1, 2), (3, 4, 5)).

    Raises ValueError for numbers of coordinates that differ, or a coordinate named twice.

    >>> exchange(0, 1).moved(np.array([[1.0, 2.0, 3.0]]))
    array([[2., 1., 3.]])
    """
    first, second = _indices("exchange: i", i), _indices("exchange: j", j)
    if len(first) != len(second) or set(first) & set(second):
        raise ValueError(
            f"exchange: i and j must be as many coordinates each, none in both, got {shown(i)} and {shown(j)}."
        )

    def swapped(x: Any) -> Any:
        order = np.arange(x.shape[0])
        order[[*first, *second]] = [*second, *first]
        return x[order]

    return PointMap(swapped, "exchange")


def rotation(angle: Any, plane: Any = (0, 1), centre: Any = None) -> PointMap:
    """ψ at the point turned by `angle` (radians) from the first axis of `plane` towards the second, about `centre`.

    The quantum number is the eigenvalue exp(i·m·angle). For angles 2π/n the symmetry of an n-fold potential.

    >>> rotation(np.pi / 2).moved(np.array([[1.0, 0.0]])).round(12)
    array([[0., 1.]])
    """
    return _turned("rotation", real_number("rotation: angle", angle), plane, centre)


def angular_momentum(plane: Any = (0, 1), centre: Any = None) -> PointMap:
    """L = -i (x_a ∂/∂x_b - x_b ∂/∂x_a) about `centre` (by default the origin), ħ = 1: of quantum number m = 0, ±1, …, ±31.

    In two dimensions L_z; in three also, and with plane=(1, 2) L_x, with (2, 0) L_y. Its eigenfunctions are complex,
    f(r) exp(imφ). It is taken from ψ on points turned by 2π/64, so no derivative is needed; momenta beyond ±31 come out
    modulo 64.

    >>> angular_momentum().name
    'L_z'
    """
    turned, (a, b) = _turned("angular_momentum", _STEP, plane, centre), plane
    name = {(0, 1): "L_z", (1, 2): "L_x", (2, 0): "L_y"}.get((a, b), f"L_{a}{b}")
    return replace(turned, name=name, step=_STEP)


def _turned(owner: str, angle: float, plane: Any, centre: Any) -> PointMap:
    chosen = _indices(f"{owner}: plane", plane)
    if len(chosen) != 2:
        raise ValueError(f"{owner}: plane must be two coordinates, got {shown(plane)}.")
    c, s = np.cos(angle), np.sin(angle)

    def matrix(dim: int) -> np.ndarray:
        turn = np.eye(dim)
        turn[np.ix_(chosen, chosen)] = [[c, -s], [s, c]]
        return turn

    return PointMap(_about(centre, matrix), owner)
