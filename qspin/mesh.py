"""Tensor-product meshes in one to three dimensions: one owner of points, cell widths and difference matrices.

On every axis the unknowns are √w_i ψ(x_i), w_i the width of cell i, and the matrix of -d²/dx² for them is symmetric, so in
several dimensions the kinetic energy is a Kronecker sum and V is diagonal. On uniform axes w is constant, and
matrices act on plain values just as well: `H.matrix(mesh) @ f(points) ≈ (Hf)(points)`.

With hard walls only inner points are unknowns: n points make n + 1 intervals, so the spacing is length/(n + 1), and no point
lies on a wall. Near a declared centre axes can be graded: a smooth map crowds the points, each centre falls
midway between two of them, and V is averaged over the cells around it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp

from qspin.domain import Box, Centre
from qspin.runtime import double_precision

__all__ = ["ORDERS", "Axis", "Mesh", "graded_axis", "uniform_axis"]

# Central second differences: weights of ψ(x), ψ(x ± h), ψ(x ± 2h), … for ψ''h² (Fornberg 1988).
_STENCILS = {
    2: (-2.0, 1.0),
    4: (-5 / 2, 4 / 3, -1 / 12),
    6: (-49 / 18, 3 / 2, -3 / 20, 1 / 90),
    8: (-205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560),
}
ORDERS = tuple(_STENCILS)
_NEAR = 5  # V is averaged in cells within this many of a centre, on every axis
_NODES = 10  # quadrature nodes for that, on every axis of a cell


@dataclass(frozen=True, eq=False)
class Axis:
    """Points (n,), cell edges (n + 1,), and the symmetric matrix of -d²/dx² for √w ψ."""

    points: np.ndarray
    edges: np.ndarray
    matrix: sp.csr_array
    lower: float
    upper: float
    periodic: bool
    order: int

    @property
    def weights(self) -> np.ndarray:
        """Cell widths (n,)."""
        return np.diff(self.edges)


def uniform_axis(lower: float, upper: float, n_points: int, order: int = 2, periodic: bool = False) -> Axis:
    """Equal spacing h, differences of even order: error O(h^order) for smooth ψ.

    At walls the stencil is completed by ψ's odd reflection, which is exact as far as V is even about the wall, and good
    wherever ψ is small there.
    """
    stencil = _STENCILS[order]
    h = (upper - lower) / (n_points if periodic else n_points + 1)
    rows, columns, entries = [], [], []
    index = np.arange(n_points)
    for reach, weight in enumerate(stencil):
        for shift in {reach, -reach}:
            target, sign = index + shift, np.ones(n_points)
            if periodic:
                target = target % n_points
            else:  # walls stand at -1 and n: ψ(-1-m) = -ψ(-1+m)
                outside = (target < -1) | (target > n_points)
                sign = np.where(outside, -1.0, 1.0)
                target = np.where(
                    target < -1, -2 - target, np.where(target > n_points, 2 * n_points - target, target)
                )
            kept = (target >= 0) & (target < n_points)
            rows.append(index[kept])
            columns.append(target[kept])
            entries.append(-weight / h**2 * sign[kept])
    matrix = sp.csr_array(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(n_points, n_points)
    )
    points = lower + h * (index + (0.5 if periodic else 1.0))
    edges = np.append(points - h / 2, points[-1] + h / 2)
    return Axis(points, edges, matrix, lower, upper, periodic, order)


def graded_axis(lower: float, upper: float, n_points: int, centres: Sequence[tuple[float, float]]) -> Axis:
    """Points crowded about `centres` = [(position, length), …], three-point differences, error O(h²) in the map's parameter.

    The map is t(x) = Σ asinh((x - c)/length) + x/reach, moved a little so that each c lies midway between two points. Matrix
    M^(-1/2) K M^(-1/2) with K the stiffness 1/(x_{i+1} - x_i) and M the cell widths.
    """
    fine = np.unique(
        np.concatenate([
            np.linspace(lower, upper, 4001),
            *(c + sign * np.geomspace(1e-6 * length, upper - lower, 4001) for c, length in centres for sign in (-1, 1)),
        ]).clip(lower, upper)
    )  # fmt: skip
    reach = (upper - lower) / 6

    def raw(x: np.ndarray) -> np.ndarray:
        return sum((np.arcsinh((x - c) / length) for c, length in centres), start=(x - lower) / reach)

    ends = raw(np.array([lower, upper]))
    h = (ends[1] - ends[0]) / (n_points + 1)
    positions = np.array([c for c, _ in centres if lower < c < upper])  # on a wall nothing needs to be moved
    phase = (raw(positions) - ends[0]) / h
    shifts = (np.floor(phase) + 0.5 - phase) * h

    # The shifts are spread by bumps in t, of a width that does not depend on the number of points and dies out before
    # the walls; their heights are such that together they shift each centre by what it needs.
    marks = raw(positions) - ends[0]
    width = min(marks.min(), ends[1] - ends[0] - marks.max()) / 4 if len(marks) else 1.0

    def bumps(t: np.ndarray) -> np.ndarray:
        return np.exp(-(((t[:, None] - marks) / width) ** 2))

    heights = np.linalg.solve(bumps(marks), shifts)

    def mapped(x: np.ndarray) -> np.ndarray:
        t = raw(x) - ends[0]
        return t + bumps(t) @ heights

    # No two points that rounding cannot tell apart.
    fine = fine[np.diff(fine, prepend=-np.inf) > 1e-10 * (upper - lower)]
    t = mapped(fine)
    if not (np.diff(t) > 0).all():
        raise ValueError("Grid: too few points an axis to crowd them about the centres; use more points.")

    def unmapped(t_wanted: np.ndarray) -> np.ndarray:
        x = np.interp(t_wanted, t, fine)
        for _ in range(4):  # Newton, from an interpolation that is already good to 1e-6
            step = 1e-6 * (
                np.abs(x[:, None] - [c for c, _ in centres]).min(1) + min(length for _, length in centres)
            )
            slope = (mapped(x + step) - mapped(x - step)) / (2 * step)
            x = np.clip(x - (mapped(x) - t_wanted) / slope, lower, upper)
        return x

    nodes = np.concatenate([[lower], unmapped(h * np.arange(1, n_points + 1)), [upper]])
    # The first and last cells end half an interval off the wall: the wall's own half cell belongs to no unknown.
    edges = unmapped(h * (np.arange(n_points + 1) + 0.5))
    stiffness, root = 1 / np.diff(nodes), np.sqrt(np.diff(edges))
    diagonal = (stiffness[:-1] + stiffness[1:]) / root**2
    neighbour = -stiffness[1:-1] / (root[:-1] * root[1:])
    matrix = sp.csr_array(sp.diags_array([neighbour, diagonal, neighbour], offsets=[-1, 0, 1]))
    return Axis(nodes[1:-1], edges, matrix, lower, upper, False, 2)


@dataclass(frozen=True, eq=False)
class Mesh:
    """All combinations of the axes' points, the last axis fastest. Memory O(points · (order·dim + dim))."""

    axes: tuple[Axis, ...]
    centres: tuple[Centre, ...] = ()

    @classmethod
    def build(
        cls, domain: Box, points: Sequence[int], order: int = 2, centres: Sequence[Centre] = ()
    ) -> "Mesh":
        """A mesh of a box: uniform axes of this order, or axes graded about the centres (of order 2)."""
        axes = []
        for axis, n_points in enumerate(points):
            low, high, periodic = domain.lower[axis], domain.upper[axis], domain.periodic[axis]
            if centres and not periodic:
                positions: dict[float, float] = {}
                for centre in centres:  # centres that share this coordinate count once
                    position = round(centre.position[axis], 12)
                    positions[position] = min(centre.length, positions.get(position, np.inf))
                axes.append(graded_axis(low, high, n_points, sorted(positions.items())))
            else:
                axes.append(uniform_axis(low, high, n_points, order, periodic))
        return cls(tuple(axes), tuple(centres))

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Points on each axis."""
        return tuple(len(axis.points) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of points, P."""
        return prod(self.shape)

    @cached_property
    def points(self) -> np.ndarray:
        """(P, dim)."""
        return np.stack(np.meshgrid(*(axis.points for axis in self.axes), indexing="ij"), axis=-1).reshape(
            -1, self.dim
        )

    @cached_property
    def weights(self) -> np.ndarray:
        """Cell volumes (P,): Σ_p w_p f(x_p) ≈ ∫ f dx."""
        volumes = np.ones(1)
        for axis in self.axes:
            volumes = np.multiply.outer(volumes, axis.weights).ravel()
        return volumes

    @double_precision()
    def values(self, function: Callable[..., jax.Array]) -> np.ndarray:
        """A function of one point at all points, (P,) float64; cell averages around centres, where it is singular."""
        evaluate = jax.jit(jax.vmap(function))
        values = _evaluated(evaluate, self.points)
        for centre in self.centres:
            self._average_around(centre, evaluate, values)
        return values

    def _average_around(self, centre: Centre, evaluate: Callable[..., jax.Array], values: np.ndarray) -> None:
        nodes, weights, indices = [], [], []
        s, share = np.polynomial.legendre.leggauss(_NODES)
        s, share = (s + 1) / 2, share / 2
        for axis, position in zip(self.axes, centre.position, strict=True):
            place = int(np.searchsorted(axis.points, position))
            near = np.arange(max(place - _NEAR, 0), min(place + _NEAR, len(axis.points)))
            low, high = axis.edges[near], axis.edges[near + 1]
            # Nodes crowd towards the end of the cell that is nearest to the centre: x = end ± width s³.
            towards_low = (low + high) / 2 >= position
            end, sign = np.where(towards_low, low, high), np.where(towards_low, 1.0, -1.0)
            nodes.append(end[:, None] + (sign * (high - low))[:, None] * s**3)
            weights.append(np.broadcast_to(3 * s**2 * share, nodes[-1].shape))
            indices.append(near)
        # All cells and all nodes in them: shape (cells of axis 1, …, nodes of axis 1, …), flattened.
        cells = [np.arange(len(near)) for near in indices]
        for cell in product(*cells):
            at = [nodes[i][c] for i, c in enumerate(cell)]
            w = [weights[i][c] for i, c in enumerate(cell)]
            where = np.ravel_multi_index([indices[i][c] for i, c in enumerate(cell)], self.shape)
            values[where] = self._cell_average(at, w, evaluate)

    def _cell_average(
        self, nodes: list[np.ndarray], weights: list[np.ndarray], evaluate: Callable[..., jax.Array]
    ) -> float:
        points = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, self.dim)
        share = weights[0]
        for weight in weights[1:]:
            share = np.multiply.outer(share, weight)
        return float(share.ravel() @ np.asarray(evaluate(jnp.asarray(points))))

    def kinetic(self, coefficients: np.ndarray) -> sp.csr_array:
        """Σ_i c_i (-∂²/∂x_i²), symmetric sparse (P, P)."""
        total: sp.csr_array | None = None
        for i, (axis, coefficient) in enumerate(zip(self.axes, coefficients, strict=True)):
            before, after = prod(self.shape[:i]), prod(self.shape[i + 1 :])
            part = sp.kron(
                sp.kron(sp.eye_array(before), coefficient * axis.matrix), sp.eye_array(after), format="csr"
            )
            total = part if total is None else total + part
        assert total is not None
        return total

    def diagonal(self, values: np.ndarray) -> sp.dia_array:
        """Multiplication by values (P,)."""
        return sp.diags_array(values)


def _evaluated(evaluate: Callable[..., jax.Array], points: np.ndarray, batch: int = 65_536) -> np.ndarray:
    parts = [np.asarray(evaluate(jnp.asarray(points[i : i + batch]))) for i in range(0, len(points), batch)]
    return np.concatenate(parts).astype(float)
