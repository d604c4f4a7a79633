"""One axis of a mesh, by one of three schemes: differences or a series on equal spacings, or elements.

The unknowns are √w_i ψ(x_i), w_i the weight of point i, and the matrix for them is symmetric. On equal spacings w is constant,
and the matrix acts on plain values just as well. With hard walls only inner points are unknowns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Inexact, Int, Num

from qspin.numerics.checks import real_number, whole
from qspin.numerics.finite_elements import gauss_lobatto, graded_edges, lagrange, stiffness_and_mass

__all__ = [
    "DVR",
    "ORDERS",
    "Axis",
    "Differences",
    "Elements",
    "Interval",
    "Scheme",
    "differences",
    "dvr",
    "elements",
]

# Central second differences: weights of ψ(x), ψ(x ± h), ψ(x ± 2h), … for ψ''h² (Fornberg 1988).
_STENCILS = {
    2: (-2.0, 1.0),
    4: (-5 / 2, 4 / 3, -1 / 12),
    6: (-49 / 18, 3 / 2, -3 / 20, 1 / 90),
    8: (-205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560),
}
ORDERS = tuple(_STENCILS)

Basis = tuple[Int[np.ndarray, "p m"], Inexact[np.ndarray, "p m"]]  # which values, and with what weights
Marks = Sequence[tuple[float, float]]  # (position, smallest element) of centres


@dataclass(frozen=True)
class Interval:
    """[lower, upper] between hard walls; or, periodic, a ring on which ψ(x + length) = exp(i phase) ψ(x)."""

    lower: float
    upper: float
    periodic: bool = False
    phase: float = 0.0

    @property
    def length(self) -> float:
        """From one end to the other."""
        return self.upper - self.lower

    def equal_spacings(self, n: int) -> tuple[float, Float[np.ndarray, " n"]]:
        """The spacing of n points, and the points: none on a wall, and symmetric about the middle."""
        h = self.length / (n if self.periodic else n + 1)
        return h, self.lower + h * (np.arange(n) + (0.5 if self.periodic else 1.0))


@dataclass(frozen=True, eq=False)
class Axis:
    """Points, weights and the symmetric matrix of -d²/dx² for √w ψ; for elements also their edges."""

    interval: Interval
    scheme: Scheme
    points: Float[np.ndarray, " n"]
    weights: Float[np.ndarray, " n"]
    matrix: sp.csr_array
    edges: Float[np.ndarray, " edges"] | None = None

    def record(self) -> dict[str, Any]:
        """What `from_record` restores the axis from, as JSON."""
        place = self.interval
        ends = {"lower": place.lower, "upper": place.upper, "periodic": place.periodic}
        if isinstance(self.scheme, Elements):
            assert self.edges is not None
            return {**ends, "edges": self.edges.tolist(), "degree": self.scheme.degree}
        order = self.scheme.order if isinstance(self.scheme, Differences) else 0
        return {**ends, "points": len(self.points), "order": order, "phase": place.phase}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Axis:
        """An axis from its `record`."""
        place = Interval(record["lower"], record["upper"], record["periodic"], record.get("phase", 0.0))
        if "edges" in record:
            return Elements(record["degree"]).between(place, np.array(record["edges"]))
        scheme = Differences(record["order"]) if record["order"] else DVR()
        return scheme.axis(place, record["points"])


class Scheme(ABC):
    """How an axis is discretised. Settings only."""

    # Not extrapolated, the error is near step·(step before / step)^caution; measured on random smooth potentials.
    caution: float = 0.0

    @property
    @abstractmethod
    def order(self) -> int:
        """Energies converge as spacing to this power, where functions are smooth."""

    @abstractmethod
    def neighbours(self, n_points: int) -> int:
        """The approximate number of entries in a row of the matrix."""

    def is_sparse(self, shape: tuple[int, ...]) -> bool:
        """Whether points of a mesh of this shape have few neighbours."""
        return all(self.neighbours(n) < 20 for n in shape)

    @abstractmethod
    def axis(self, interval: Interval, n_points: int, marks: Marks = ()) -> Axis:
        """An axis of about `n_points` unknowns, with elements that shrink towards the marks."""

    @abstractmethod
    def local_basis(self, axis: Axis, x: Float[np.ndarray, " p"]) -> Basis:
        """Which of the values of a function on an axis interpolate it at points x, and with what weights."""


@dataclass(frozen=True)
class Differences(Scheme):
    """Central differences of order 2, 4, 6 or 8 on equally spaced points: sparse, O(h^order) for smooth ψ.

    At walls the stencil is completed by ψ's odd reflection, which is exact as far as V is even about the wall, and good
    wherever ψ is small there. Interpolation is by the polynomial through the order + 2 points about x.
    """

    order: int = 8

    def __post_init__(self) -> None:
        if self.order not in _STENCILS:
            raise ValueError(f"differences: order must be one of {ORDERS}, got {self.order!r}.")

    def neighbours(self, n_points: int) -> int:
        return self.order + 1

    def axis(self, interval: Interval, n_points: int, marks: Marks = ()) -> Axis:
        h, points = interval.equal_spacings(n_points)
        rows, columns, entries = [], [], []
        index = np.arange(n_points)
        for reach, weight in enumerate(_STENCILS[self.order]):
            for shift in {reach, -reach}:
                place, factor = _continuation(interval, n_points, index + shift)
                valid = factor != 0
                rows.append(index[valid])
                columns.append(place[valid])
                entries.append(-weight / h**2 * factor[valid])
        places = (np.concatenate(rows), np.concatenate(columns))
        matrix = sp.csr_array((np.concatenate(entries), places), shape=(n_points, n_points))
        return Axis(interval, self, points, np.full(n_points, h), matrix)

    def local_basis(self, axis: Axis, x: Float[np.ndarray, " p"]) -> Basis:
        width, steps = self.order + 2, (x - axis.points[0]) / axis.weights[0]
        first = np.floor(steps).astype(int) - (width // 2 - 1)
        share = lagrange(np.arange(float(width)), steps - first)
        place, factor = _continuation(axis.interval, len(axis.points), first[:, None] + np.arange(width))
        return place, share * factor


def _continuation(
    interval: Interval, n: int, index: Int[np.ndarray, "..."]
) -> tuple[Int[np.ndarray, "..."], Inexact[np.ndarray, "..."]]:
    """ψ at any integer place as a factor times one of its values at 0 … n - 1: index and factor. On a ring the factor is a
    phase. Beyond a wall, at -1 or n, ψ is its odd reflection; on the wall, and more than a whole axis beyond it, ψ is 0."""
    if interval.periodic:
        turns = index // n
        return index % n, np.exp(1j * interval.phase * turns) if interval.phase else np.ones(index.shape)
    low, high = index < -1, index > n
    index = np.where(low, -2 - index, np.where(high, 2 * n - index, index))
    inside = (index >= 0) & (index < n)
    return np.where(inside, index, 0), np.where(low | high, -1.0, 1.0) * inside


@dataclass(frozen=True)
class DVR(Scheme):
    """Sine or Fourier collocation (a discrete-variable representation) on equally spaced points: dense along each axis,
    error below any power of h for smooth ψ that is small at the walls (Colbert and Miller 1992).

    Interpolation is by the whole series.
    """

    order = 24  # faster than any power: far beyond what three resolutions can resolve
    caution = -0.3  # spectral: each step is a small part of the one before

    def neighbours(self, n_points: int) -> int:
        return n_points

    def axis(self, interval: Interval, n_points: int, marks: Marks = ()) -> Axis:
        h, points = interval.equal_spacings(n_points)
        k, waves = _waves(interval, n_points, np.arange(1, n_points + 1))
        matrix = (waves * k**2) @ waves.conj().T
        matrix = (matrix + matrix.conj().T) / 2
        matrix = matrix if interval.phase else matrix.real
        return Axis(interval, self, points, np.full(n_points, h), sp.csr_array(matrix))

    def local_basis(self, axis: Axis, x: Float[np.ndarray, " p"]) -> Basis:
        n, place = len(axis.points), axis.interval
        _, at_points = _waves(place, n, np.arange(1, n + 1))
        _, at_x = _waves(place, n, (x - axis.points[0]) / axis.weights[0] + 1)
        shares = at_x @ at_points.conj().T
        return np.broadcast_to(np.arange(n), (len(x), n)), shares if place.phase else shares.real


def _waves(
    interval: Interval, n: int, places: Num[np.ndarray, " p"]
) -> tuple[Float[np.ndarray, " n"], Inexact[np.ndarray, "p n"]]:
    """Wave numbers, and the n sines between walls or plane waves on a ring at places counted in spacings, 1 the first point;
    orthonormal over the points."""
    if not interval.periodic:
        j = np.arange(1, n + 1)
        return np.pi * j / interval.length, np.sqrt(2 / (n + 1)) * np.sin(
            np.pi * np.outer(places, j) / (n + 1)
        )
    turns = np.arange(n) - n // 2
    waves = np.exp(2j * np.pi / n * np.outer(places, turns + interval.phase / (2 * np.pi))) / np.sqrt(n)
    return (2 * np.pi * turns + interval.phase) / interval.length, waves


@dataclass(frozen=True)
class Elements(Scheme):
    """DVR elements of a degree up to 16: O(h^(2 degree)) for smooth ψ, up to the walls. Towards declared centres they
    shrink by about `ratio` from one to the next.

    At walls the end nodes are no unknowns. Interpolation is by each element's own polynomial.
    """

    degree: int = 8
    ratio: float = 2.2
    caution = 0.3

    def __post_init__(self) -> None:
        whole("elements: degree", self.degree, least=1, most=16)
        real_number("elements: ratio", self.ratio, above=1, most=4)

    @property
    def order(self) -> int:
        return 2 * self.degree

    def neighbours(self, n_points: int) -> int:
        return self.degree + 2

    def axis(self, interval: Interval, n_points: int, marks: Marks = ()) -> Axis:
        if interval.phase:
            raise ValueError("elements: no Bloch wave vector on elements; use dvr() or differences(order).")
        if marks and not interval.periodic:
            return self.between(interval, graded_edges(interval.lower, interval.upper, marks, self.ratio))
        n_elements = max(round((n_points + (not interval.periodic)) / self.degree), 2)
        return self.between(interval, np.linspace(interval.lower, interval.upper, n_elements + 1))

    def between(self, interval: Interval, edges: Float[np.ndarray, " edges"]) -> Axis:
        """The axis of elements with these edges."""
        nodes, stiffness, mass = stiffness_and_mass(edges, self.degree, interval.periodic)
        inner = slice(None) if interval.periodic else slice(1, -1)
        nodes, stiffness, mass = nodes[inner], stiffness[inner, inner], mass[inner]
        scale = sp.diags_array(1 / np.sqrt(mass))
        return Axis(interval, self, nodes, mass, sp.csr_array(scale @ stiffness @ scale), edges)

    def local_basis(self, axis: Axis, x: Float[np.ndarray, " p"]) -> Basis:
        edges, n = axis.edges, len(axis.points)
        assert edges is not None
        element = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
        low, high = edges[element], edges[element + 1]
        share = lagrange(gauss_lobatto(self.degree)[0], 2 * (x - low) / (high - low) - 1)
        index = element[:, None] * self.degree + np.arange(self.degree + 1)
        if axis.interval.periodic:
            return index % n, share
        inside = (index >= 1) & (index <= n)
        return np.where(inside, index - 1, 0), np.where(inside, share, 0.0)


differences, dvr, elements = Differences, DVR, Elements  # as users write them
