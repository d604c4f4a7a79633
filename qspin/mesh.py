"""`Axis` and `Mesh`: tensor-product points in one to three dimensions; the one owner of points, spacing and weights.

The unknown of a matrix is y = √w ψ, w the quadrature weight of a point, so that ∫ψ² dx = Σ y². Then every operator
is a symmetric matrix, V is diagonal, and the kinetic energy is a Kronecker sum of one-dimensional matrices. On uniform
axes w is one number, and `H.matrix(mesh) @ f(points) ≈ H(f)(points)` holds as it stands; on graded ones it reads
`H.matrix(mesh) @ (√w f) ≈ √w H(f)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspin.domain import Box
from qspin.runtime import double_precision

__all__ = ["ORDERS", "Axis", "Mesh"]

# Central differences of -u'' on a unit grid: offset 0, then ±1, ±2, … (Fornberg 1988, doi:10.1090/S0025-5718-1988-0935077-0).
_STENCILS = {
    2: (2, -1),
    4: (5 / 2, -4 / 3, 1 / 12),
    6: (49 / 18, -3 / 2, 3 / 20, -1 / 90),
    8: (205 / 72, -8 / 5, 1 / 5, -8 / 315, 1 / 560),
}
ORDERS = tuple(_STENCILS)

_BACKGROUND = (
    6.0  # share of uniform spacing in a graded axis: points per unit of s, against one per e-folding
)
_LENGTH = 0.7  # width of the clustering about a centre, in lengths of its wavefunction
_NEAR = 3  # cells to each side of a centre that get the finer rule
_CHUNK = 1 << 18  # points at once, so that a V with large intermediate arrays does not fill the memory


@dataclass(frozen=True)
class Axis:
    """Points along one coordinate.

    Walls: interior points only, x_i = X(i/n), n = points + 1 intervals, i = 1 … points: ψ = 0 on both walls is built in.
    Without centres X is linear and -∂² is the central difference of `order`, with ψ continued as an odd function
    beyond a wall. That is ψ's own symmetry where V has no slope at the wall, or where ψ never gets there; elsewhere
    the order falls towards 4 at best, as it does for any V with a kink.

    With centres X is a smooth map that clusters points, dX/ds ≈ √((x - c)² + a²), and -∂² is the symmetric weak form of
    order 2: stiffness 1/(J_{i+1/2} h), lumped mass J_i h, h = 1/n. The map is bent a little so that every centre falls
    midway between two points. Meshes of n = odd × `base` intervals share one map, so that their errors form one series.

    Periodic: n = points, order as given, staggered about a centre where there is one.

    Args:
        lower, upper: ends. points: number of unknowns. order: 2, 4, 6 or 8; 2 where walls and centres are.
        centres, lengths: coordinates where V is singular, and over which distance ψ changes there.
        base: intervals of the coarsest mesh with the same map; None: this one's own.

    Raises:
        ValueError: an order that is not there, too few points, or centres too close for the points to separate.
    """

    lower: float
    upper: float
    points: int
    periodic: bool = False
    order: int = 2
    centres: tuple[float, ...] = ()
    lengths: tuple[float, ...] = ()
    base: int | None = None

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"Axis: order must be one of {ORDERS}, got {self.order!r}.")
        if isinstance(self.points, bool) or not isinstance(self.points, int | np.integer):
            raise ValueError(f"Axis: points must be an integer, got {self.points!r}.")
        minimum = self.order + 2
        if self.points < minimum:
            raise ValueError(f"Axis: order {self.order} needs at least {minimum} points, got {self.points}.")
        if len(self.centres) != len(self.lengths):
            raise ValueError(f"Axis: {len(self.centres)} centres have {len(self.lengths)} lengths.")
        if self.graded and self.order != 2:
            raise ValueError(f"Axis: expected order 2 on an axis with walls and centres, got {self.order}.")
        if self.base is not None and (self.intervals % self.base or self.intervals // self.base % 2 == 0):
            raise ValueError(
                f"Axis: expected points + 1 = an odd multiple of base = {self.base}, got {self.intervals}."
            )
        _ = self._bend  # fails here, not later, where centres cannot be told apart

    @property
    def graded(self) -> bool:
        """Whether points cluster: walls on both ends and centres between."""
        return bool(self.centres) and not self.periodic

    @property
    def intervals(self) -> int:
        """Steps from end to end."""
        return self.points if self.periodic else self.points + 1

    @property
    def step(self) -> float:
        """Spacing in the uniform parameter s in [0, 1]."""
        return 1 / self.intervals

    @property
    def _first(self) -> float:
        """The parameter of point 0, in steps."""
        if not self.periodic:
            return 1.0
        if not self.centres:
            return 0.0
        places = (np.asarray(self.centres) - self.lower) / (self.upper - self.lower) * self.points
        offsets = np.arange(64) / 64
        away = np.abs((places[:, None] - offsets + 0.5) % 1 - 0.5).min(axis=0)
        # Floating point must not decide between equals.
        return float((offsets[np.argmax(away > away.max() - 1e-9)] + self._midway(places)) % 1)

    @staticmethod
    def _midway(places: np.ndarray) -> float:
        """The part of 1/64 that the candidates of `_first` cannot resolve, where a single centre settles it."""
        return float((places[0] * 64) % 1 / 64) if len(places) == 1 else 0.0

    @cached_property
    def _bend(self) -> np.ndarray:
        """Coefficients of s(f), ascending powers: the polynomial through the places where centres are to fall."""
        if not self.graded:
            return np.array([0.0, 1.0])
        base = self.base or self.intervals
        inside = [c for c in sorted(set(self.centres)) if self.lower < c < self.upper]
        natural = np.concatenate([[0.0], self._natural(np.array(inside)), [1.0]])
        halves = np.clip(np.floor(natural[1:-1] * base), 0, base - 1) + 0.5
        if (np.diff(halves) < 1).any():
            raise ValueError(
                f"Axis: {self.points} points cannot tell the centres {inside} apart; take more points."
            )
        wanted = np.concatenate([[0.0], halves / base, [1.0]])
        # s = f + f (1 - f) q(f): the ends stay where they are, q has one coefficient a centre.
        f = natural[1:-1]
        q = (
            np.linalg.solve(np.vander(f, increasing=True), (wanted[1:-1] - f) / (f * (1 - f)))
            if len(f)
            else f
        )
        bend = np.polynomial.polynomial.polyadd(
            [0.0, 1.0], np.polynomial.polynomial.polymul([0, 1, -1], [*q, 0.0])
        )
        if np.polynomial.polynomial.polyval(np.linspace(0, 1, 1001), _derivative(bend)).min() < 0.2:
            raise ValueError(
                f"Axis: {self.points} points are too few to put the centres {inside} between points; take more."
            )
        return bend

    def _natural(self, x: np.ndarray) -> np.ndarray:
        """The map before it is bent, rising from 0 to 1."""
        c, a = np.asarray(self.centres), _LENGTH * np.asarray(self.lengths)

        def rise(z: np.ndarray) -> np.ndarray:
            hyperbolic = np.arcsinh((z[..., None] - c) / a).sum(axis=-1)
            return hyperbolic + _BACKGROUND * (z - self.lower) / (self.upper - self.lower)

        low, high = rise(np.array(self.lower)), rise(np.array(self.upper))
        return (rise(x) - low) / (high - low)

    def parameter(self, x: np.ndarray) -> np.ndarray:
        """s in [0, 1] at coordinates x: the variable in which points are equally spaced."""
        if not self.graded:
            return (x - self.lower) / (self.upper - self.lower)
        return np.polynomial.polynomial.polyval(self._natural(x), self._bend)

    def position(self, s: np.ndarray) -> np.ndarray:
        """x at parameters s: the inverse of `parameter`, by bisection to the last bit."""
        s = np.asarray(s, dtype=float)
        if not self.graded:
            return self.lower + (self.upper - self.lower) * s
        low, high = np.full(s.shape, self.lower), np.full(s.shape, self.upper)
        for _ in range(64):
            middle = (low + high) / 2
            below = self.parameter(middle) < s
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    def jacobian(self, s: np.ndarray) -> np.ndarray:
        """dx/ds at parameters s."""
        if not self.graded:
            return np.full(np.shape(s), self.upper - self.lower)
        x = self.position(s)
        c, a = np.asarray(self.centres), _LENGTH * np.asarray(self.lengths)
        ends = np.array([self.lower, self.upper])[:, None]
        total = np.diff(np.arcsinh((ends - c) / a).sum(axis=-1))[0] + _BACKGROUND
        slope = (1 / np.hypot(x[..., None] - c, a)).sum(axis=-1) + _BACKGROUND / (self.upper - self.lower)
        return total / slope / np.polynomial.polynomial.polyval(self._natural(x), _derivative(self._bend))

    @cached_property
    def parameters(self) -> np.ndarray:
        """s at the points, (points,)."""
        return (np.arange(self.points) + self._first) * self.step

    @cached_property
    def coordinates(self) -> np.ndarray:
        """x at the points, (points,)."""
        return self.position(self.parameters)

    @cached_property
    def weights(self) -> np.ndarray:
        """dx/ds · step, (points,): Σ w f ≈ ∫ f dx for f that vanishes on the walls, or is periodic."""
        return self.jacobian(self.parameters) * self.step

    @cached_property
    def second_derivative(self) -> Any:
        """-∂² for y = √w ψ, sparse symmetric (points, points)."""
        from scipy import sparse

        n, stencil = self.points, _STENCILS[self.order]
        if self.graded:
            stiffness = 1 / (self.jacobian((np.arange(n + 1) + 0.5) * self.step) * self.step)
            root = np.sqrt(self.weights)
            coupling = -stiffness[1:-1] / (root[1:] * root[:-1])
            diagonal = (stiffness[1:] + stiffness[:-1]) / self.weights
            return sparse.diags_array([coupling, diagonal, coupling], offsets=[-1, 0, 1], format="csr")
        matrix = np.zeros((n, n)) if n <= 2 * self.order else sparse.lil_array((n, n))
        here = np.arange(n)
        for offset, weight in enumerate(stencil):
            for place in {here.tobytes(): here} if offset == 0 else (here - offset, here + offset):
                there, sign = (here, 1.0) if offset == 0 else self._fold(place)
                _add(matrix, here, there, weight * sign)
        return sparse.csr_array(matrix) / ((self.upper - self.lower) * self.step) ** 2

    def _fold(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError
