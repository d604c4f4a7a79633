"""One axis of a mesh, by one of three schemes: differences or a series on equal spacings, or elements.

The unknowns are √w_i ψ(x_i), w_i the weight of point i, and the matrix for them is Hermitian. On equal spacings w is constant,
and the matrix acts on plain values just as well. With hard walls only inner points are unknowns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Inexact, Int, Num

from qspin.numerics.checks import whole
from qspin.numerics.finite_elements import (
    differentiation,
    element_weights,
    gauss_lobatto,
    lagrange,
    stiffness_and_mass,
    wall_factor,
)

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
_ASIDE = (
    1e-11  # of the axis: how far inside of an element V at its ends is taken, that a jump there has two sides
)

Basis = tuple[Int[np.ndarray, "p m"], Inexact[np.ndarray, "p m"]]  # which values, and with what weights


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
    """Points, weights and the Hermitian matrix of -d²/dx² for √w ψ; for elements also their edges, those of them where V
    jumps, and the powers of the distance from the walls that ψ begins with there, 0 where it is linear."""

    interval: Interval
    scheme: Scheme
    points: Float[np.ndarray, " n"]
    weights: Float[np.ndarray, " n"]
    matrix: sp.csr_array
    edges: Float[np.ndarray, " edges"] | None = None
    powers: tuple[float, float] = (0.0, 0.0)
    jumps: tuple[float, ...] = ()

    def at(self, x: Float[np.ndarray, " p"], derivative: int = 0) -> sp.csr_array:
        """The matrix (p, n) that takes values at the points to those of a function, or of its derivative, at x."""
        return self.matrix_of(*self.scheme.local_basis(self, x, derivative))

    def matrix_of(self, index: Int[np.ndarray, "p m"], share: Inexact[np.ndarray, "p m"]) -> sp.csr_array:
        """A basis as a matrix (p, n)."""
        rows, shape = np.repeat(np.arange(len(index)), index.shape[1]), (len(index), len(self.points))
        return sp.csr_array(sp.coo_array((share.ravel(), (rows, index.ravel())), shape=shape))

    @cached_property
    def between(self) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
        """Points and weights of a rule that has none of the points: it shows what they pass over."""
        if self.edges is None:
            h, place = self.weights[0], self.interval
            # What the points pass over oscillates as they do: a quarter of a spacing beside them is its mean square.
            x = place.lower + h / 4 + h * np.arange(len(self.points) + (not place.periodic))
            return x, np.full(len(x), h)
        assert isinstance(self.scheme, Elements)
        nodes, weights = np.polynomial.legendre.leggauss(self.scheme.degree + 2)
        halves = np.diff(self.edges)[:, None] / 2
        return (self.edges[:-1, None] + halves * (1 + nodes)).ravel(), (halves * weights).ravel()

    @cached_property
    def sides(self) -> tuple[Float[np.ndarray, " s"], sp.csr_array | None]:
        """Where V is taken, and the matrix that averages its values to those at the points, None where they are the points:
        an edge where V jumps counts from both sides."""
        if self.edges is None:
            return self.points, None
        assert isinstance(self.scheme, Elements)
        degree, lengths = self.scheme.degree, np.diff(self.edges)
        reference, _ = gauss_lobatto(degree)
        x = self.edges[:-1, None] + lengths[:, None] / 2 * (reference + 1)
        aside = np.where(np.isin(self.edges, (*self.jumps, self.edges[0], self.edges[-1])), 1.0, 0.0)
        least = np.minimum(_ASIDE * self.interval.length, 1e-3 * lengths)
        x[:, 0], x[:, -1] = self.edges[:-1] + aside[:-1] * least, self.edges[1:] - aside[1:] * least
        shares = element_weights(self.edges, degree, self.powers).ravel()
        index, factor = self.scheme.unknowns(
            self, np.arange(len(lengths))[:, None] * degree + np.arange(degree + 1)
        )
        place = (index.ravel(), np.arange(x.size))
        total = sp.coo_array((shares * (factor.ravel() != 0), place), shape=(len(self.points), x.size))
        return x.ravel(), sp.csr_array(sp.diags_array(1 / self.weights) @ total)

    def bend(self, x: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
        """g''/g of the factor g that functions have at the walls. Second derivatives leave it out, as V nearly cancels it."""
        if self.edges is None:
            return np.zeros(len(x))
        return wall_factor(x, (self.edges[0], self.edges[-1]), self.powers)[2]

    def record(self) -> dict[str, Any]:
        """What `from_record` restores the axis from, as JSON."""
        place = self.interval
        ends = {"lower": place.lower, "upper": place.upper, "periodic": place.periodic, "phase": place.phase}
        if isinstance(self.scheme, Elements):
            assert self.edges is not None
            shape = {"edges": self.edges.tolist(), "powers": list(self.powers), "jumps": list(self.jumps)}
            return {**ends, **shape, "degree": self.scheme.degree}
        order = self.scheme.order if isinstance(self.scheme, Differences) else 0
        return {**ends, "points": len(self.points), "order": order}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Axis:
        """An axis from its `record`."""
        place = Interval(record["lower"], record["upper"], record["periodic"], record.get("phase", 0.0))
        if "edges" in record:
            left, right = record.get("powers", (0.0, 0.0))
            edges, jumps = np.array(record["edges"]), tuple(record.get("jumps", ()))
            return Elements(record["degree"]).between(place, edges, (left, right), jumps)
        scheme = Differences(record["order"]) if record["order"] else DVR()
        return scheme.axis(place, record["points"])


class Scheme(ABC):
    """How an axis is discretised. Settings only."""

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
    def axis(self, interval: Interval, n_points: int) -> Axis:
        """An axis of about `n_points` unknowns, equally spaced, or in elements of equal length."""

    @abstractmethod
    def local_basis(self, axis: Axis, x: Float[np.ndarray, " p"], derivative: int = 0) -> Basis:
        """Which of the values of a function on an axis give it at points x, or its first or second derivative (of that less
        `Axis.bend` times the function), and with what weights."""


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

    def axis(self, interval: Interval, n_points: int) -> Axis:
        h, points = interval.equal_spacings(n_points)
        weights = _STENCILS[self.order]
        reach = np.arange(1 - len(weights), len(weights))
        place, factor = _continuation(interval, n_points, np.arange(n_points)[:, None] + reach)
        entries = -np.take(weights, np.abs(reach)) / h**2 * factor
        rows = np.repeat(np.arange(n_points), len(reach))
        matrix = sp.coo_array((entries.ravel(), (rows, place.ravel())), shape=(n_points, n_points)).tocsr()
        matrix.eliminate_zeros()
        return Axis(interval, self, points, np.full(n_points, h), sp.csr_array(matrix))

    def local_basis(self, axis: Axis, x: Float[np.ndarray, " p"], derivative: int = 0) -> Basis:
        width, steps = self.order + 2, (x - axis.points[0]) / axis.weights[0]
        first, nodes = np.floor(steps).astype(int) - (width // 2 - 1), np.arange(float(width))
        share = lagrange(nodes, steps - first) @ np.linalg.matrix_power(
            differentiation(nodes) / axis.weights[0], derivative
        )
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

    def neighbours(self, n_points: int) -> int:
        return n_points

    def axis(self, interval: Interval, n_points: int) -> Axis:
        h, points = interval.equal_spacings(n_points)
        k, waves = _waves(interval, n_points, np.arange(1, n_points + 1))
        matrix = (waves * k**2) @ waves.conj().T
        matrix = (matrix + matrix.conj().T) / 2
        matrix = matrix if interval.phase else matrix.real
        return Axis(interval, self, points, np.full(n_points, h), sp.csr_array(matrix))

    def local_basis(self, axis: Axis, x: Float[np.ndarray, " p"], derivative: int = 0) -> Basis:
        assert derivative in (0, 2)
        n, place = len(axis.points), axis.interval
        k, at_points = _waves(place, n, np.arange(1, n + 1))
        _, at_x = _waves(place, n, (x - axis.points[0]) / axis.weights[0] + 1)
        shares = (at_x * (-(k**2) if derivative else 1.0)) @ at_points.conj().T
        return np.broadcast_to(np.arange(n), (len(x), n)), shares if place.phase else shares.real


def _waves(
    interval: Interval, n: int, places: Num[np.ndarray, " p"]
) -> tuple[Float[np.ndarray, " n"], Inexact[np.ndarray, "p n"]]:
    """Wave numbers, and the n sines between walls or plane waves on a ring at places counted in spacings, 1 the first point;
    orthonormal over the points."""
    if not interval.periodic:
        j = np.arange(1, n + 1)
        waves = np.sqrt(2 / (n + 1)) * np.sin(np.pi * np.outer(places, j) / (n + 1))
        return np.pi * j / interval.length, waves
    turns = np.arange(n) - n // 2
    waves = np.exp(2j * np.pi / n * np.outer(places, turns + interval.phase / (2 * np.pi))) / np.sqrt(n)
    return (2 * np.pi * turns + interval.phase) / interval.length, waves


@dataclass(frozen=True)
class Elements(Scheme):
    """DVR elements of a degree up to 16: O(h^(2 degree)) for smooth ψ, up to the walls. `Grid` halves them where V and ψ
    need it, puts their edges where V jumps, and lets them shrink towards singular points.

    At walls the end nodes are no unknowns. Interpolation is by each element's own polynomial.
    """

    degree: int = 8

    def __post_init__(self) -> None:
        whole("elements: degree", self.degree, least=1, most=16)

    @property
    def order(self) -> int:
        return 2 * self.degree

    def neighbours(self, n_points: int) -> int:
        return self.degree + 2

    def axis(self, interval: Interval, n_points: int) -> Axis:
        n_elements = max(round((n_points + (not interval.periodic)) / self.degree), 2)
        return self.between(interval, np.linspace(interval.lower, interval.upper, n_elements + 1))

    def between(
        self,
        interval: Interval,
        edges: Float[np.ndarray, " edges"],
        powers: tuple[float, float] = (0.0, 0.0),
        jumps: tuple[float, ...] = (),
    ) -> Axis:
        """The axis of elements with these edges, on which ψ begins with these powers at the walls (0: linearly)."""
        nodes, stiffness, mass = stiffness_and_mass(edges, self.degree, powers)
        n = len(nodes) - (1 if interval.periodic else 2)
        index, factor = _node_unknowns(interval, n, np.arange(len(nodes)))
        spread = sp.csr_array(sp.coo_array((factor, (np.arange(len(nodes)), index)), shape=(len(nodes), n)))
        inner = slice(None, -1) if interval.periodic else slice(1, -1)
        mass = np.abs(spread.T) @ mass
        scale = sp.diags_array(1 / np.sqrt(mass))
        matrix = scale @ spread.conj().T @ stiffness @ spread @ scale
        return Axis(interval, self, nodes[inner], mass, sp.csr_array(matrix), edges, powers, jumps)

    def unknowns(
        self, axis: Axis, node: Int[np.ndarray, "..."]
    ) -> tuple[Int[np.ndarray, "..."], Inexact[np.ndarray, "..."]]:
        """Nodes, counted from the lower end, as unknowns: index and factor."""
        return _node_unknowns(axis.interval, len(axis.points), node)

    def local_basis(self, axis: Axis, x: Float[np.ndarray, " p"], derivative: int = 0) -> Basis:
        assert axis.edges is not None
        element = np.clip(np.searchsorted(axis.edges, x, side="right") - 1, 0, len(axis.edges) - 2)
        return self.basis_within(axis, element, x, derivative)

    def basis_within(
        self, axis: Axis, element: Int[np.ndarray, " p"], x: Float[np.ndarray, " p"], derivative: int
    ) -> Basis:
        """The same, of the polynomials of given elements, which also end at x."""
        edges, degree = axis.edges, self.degree
        assert edges is not None
        low, half = edges[element], np.diff(edges)[element] / 2
        nodes, t = gauss_lobatto(degree)[0], (x - low) / half - 1
        share = _derivatives(nodes, t, half, derivative)
        index = element[:, None] * degree + np.arange(degree + 1)
        if any(axis.powers):
            inner = ((axis.powers[0], 0, slice(1, None)), (axis.powers[1], len(edges) - 2, slice(None, -1)))
            for power, end, kept in inner:
                at = element == end
                if power and at.any():  # polynomials that have no node on the wall
                    own = _derivatives(nodes[kept], t[at], half[at], derivative)
                    share[:, at] = 0
                    share[:, at, kept] = own
            ends = (edges[0], edges[-1])
            g, slope, _ = wall_factor(x, ends, axis.powers)
            at_nodes = wall_factor(low[:, None] + half[:, None] * (nodes + 1), ends, axis.powers)[0]
            if derivative:
                share[-1] += derivative * slope[:, None] * share[derivative - 1]
            share *= g[:, None] / np.where(at_nodes > 0, at_nodes, np.inf)
        place, factor = self.unknowns(axis, index)
        return place, share[-1] * factor


def _derivatives(
    nodes: Float[np.ndarray, " n"], t: Float[np.ndarray, " p"], half: Float[np.ndarray, " p"], most: int
) -> Float[np.ndarray, "derivatives p n"]:
    """The polynomials of these nodes at t, and their derivatives up to one, by x."""
    basis, d = lagrange(nodes, t), differentiation(nodes)
    return np.stack([basis @ np.linalg.matrix_power(d, k) / half[:, None] ** k for k in range(most + 1)])


def _node_unknowns(
    interval: Interval, n: int, node: Int[np.ndarray, "..."]
) -> tuple[Int[np.ndarray, "..."], Inexact[np.ndarray, "..."]]:
    """ψ at nodes of elements, counted from the lower end, as a factor times one of the n unknowns: index and factor."""
    if interval.periodic:
        turned = node == n
        return node % n, np.where(turned, np.exp(1j * interval.phase), 1.0) if interval.phase else np.ones(
            node.shape
        )
    inside = (node >= 1) & (node <= n)
    return np.where(inside, node - 1, 0), np.where(inside, 1.0, 0.0)


differences, dvr, elements = Differences, DVR, Elements  # as users write them
