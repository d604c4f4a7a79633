"""Tensor-product meshes in one to three dimensions: one owner of points, weights and derivative matrices.

The unknowns are √w_p ψ(x_p), w_p the weight of point p, and the kinetic energy is a Kronecker sum of the axes' matrices. On
uniform axes w is constant, and matrices act on plain values just as well: `H.matrix(mesh) @ f(points) ≈ (Hf)(points)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from qspin.axes import Axis
from qspin.domain import Box, Centre
from qspin.finite_elements import corner_quadrature, gauss_lobatto, singular_products, touching
from qspin.region import Region
from qspin.runtime import double_precision, evaluated, vectorised
from qspin.schemes import Differences, Scheme

__all__ = ["CORNER", "Mesh"]

CORNER = 1e-4  # of the box: the length that a region's corner counts as


@dataclass(frozen=True, eq=False)
class Mesh:
    """All combinations of the axes' points, the last axis fastest, or those of them that lie in a region.

    `kept` are the places of the unknowns among all combinations, None for all; `cuts` (P, dim) is what a region's wall
    between an unknown and its neighbours adds to the diagonal of -∂²/∂x_i². Memory O(points · (neighbours·dim + dim)).
    """

    axes: tuple[Axis, ...]
    centres: tuple[Centre, ...] = ()
    kept: np.ndarray | None = None
    cuts: np.ndarray | None = None

    @classmethod
    def build(
        cls,
        domain: Box,
        points: Sequence[int],
        scheme: Scheme | None = None,
        centres: Sequence[Centre] = (),
        smallest: float = 0.1,
    ) -> "Mesh":
        """A mesh of a box, or of a region in it, with about so many points an axis; elements beside a centre are `smallest`
        times its length, and beside a region's declared corner that much of 1e-4 box lengths.

        Raises ValueError for a region whose walls the scheme cannot follow, or that holds no point.
        """
        scheme = Differences() if scheme is None else scheme
        corners = domain.corners if isinstance(domain, Region) else ()
        axes = []
        for axis, n_points in enumerate(points):
            marks: dict[float, float] = {}
            wanted = [(centre.position, smallest * centre.length) for centre in centres]
            wanted += [(corner, smallest * CORNER * min(domain.lengths)) for corner in corners]
            for place, length in wanted:  # those that share this coordinate count once
                position = round(place[axis], 12)
                marks[position] = min(length, marks.get(position, np.inf))
            axes.append(
                scheme.axis(
                    domain.lower[axis],
                    domain.upper[axis],
                    domain.periodic[axis],
                    n_points,
                    sorted(marks.items()),
                    domain.phases[axis],
                )
            )
        whole = cls(tuple(axes), tuple(centres))
        return whole.cut_to(domain) if isinstance(domain, Region) else whole

    def cut_to(self, region: Region) -> "Mesh":
        """The part of a mesh of the box that lies in the region."""
        inside = region.signed(self.points)
        kept = np.flatnonzero(inside > 1e-12 * region.scale)
        if len(kept) == 0:
            raise ValueError(
                f"Region: none of {' x '.join(map(str, self.shape))} grid points lies inside; use more points, "
                "or a box that fits the region."
            )
        if all(axis.edges is not None for axis in self.axes):
            self._check_alignment(region)
            return replace(self, kept=kept)
        if any(axis.order != 2 for axis in self.axes):
            raise ValueError(
                "Region: walls that cross a grid need scheme=differences(2); elements(degree) serve where all walls lie "
                "on edges of elements (axis-parallel, through declared corners)."
            )
        return replace(self, kept=kept, cuts=self._cuts(region, inside, kept))

    def _check_alignment(self, region: Region) -> None:
        """ValueError unless every element lies wholly inside or wholly outside."""
        inner = []
        for axis in self.axes:
            assert axis.edges is not None
            low, high = axis.edges[:-1, None], axis.edges[1:, None]
            inner.append(low + (high - low) * np.array([0.01, 0.5, 0.99]))
        # Three points an axis of each element, all combinations of them: (elements, 3^dim).
        signs = np.stack(np.meshgrid(*(x.ravel() for x in inner), indexing="ij"), -1).reshape(-1, self.dim)
        held = (region.signed(signs) > 0).reshape([n for x in inner for n in x.shape])
        held = np.moveaxis(held, range(1, 2 * self.dim, 2), range(self.dim, 2 * self.dim))
        share = held.reshape(*held.shape[: self.dim], -1).mean(-1)
        if ((share > 0) & (share < 1)).any():
            raise ValueError(
                "Region: a wall runs through elements; use scheme=differences(2), or declare corners so that "
                "element edges meet the walls."
            )

    def _cuts(self, region: Region, inside: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Of a wall at the share θ of a spacing: -ψ'' ≈ ((1 + 1/θ)ψ - ψ_other)/h², symmetric, second order (Gibou,
        Fedkiw, Cheng and Kang 2002). Beyond what the matrix without walls has: (1/θ - 1)/h² each."""
        cuts = np.zeros((len(kept), self.dim))
        place = np.stack(np.unravel_index(kept, self.shape), -1)
        for i, axis in enumerate(self.axes):
            h, n = axis.weights[0], len(axis.points)
            for direction in (-1, 1):
                beyond = place.copy()
                beyond[:, i] += direction
                if axis.periodic:
                    beyond[:, i] %= n
                exists = (beyond[:, i] >= 0) & (beyond[:, i] < n)
                beyond[:, i] = np.clip(beyond[:, i], 0, n - 1)
                neighbour = inside[np.ravel_multi_index(tuple(beyond.T), self.shape)]
                # A neighbour on the box's wall is no point; the region may end before.
                out = ~exists | (neighbour <= 1e-12 * region.scale)
                rows = np.flatnonzero(out)
                if len(rows) == 0:
                    continue
                low, high = np.zeros(len(rows)), np.ones(len(rows))
                start = self.points[kept[rows]]
                for _ in range(48):  # bisection
                    middle = (low + high) / 2
                    x = start.copy()
                    x[:, i] += direction * h * middle
                    within = region.signed(x) > 0
                    low, high = np.where(within, middle, low), np.where(within, high, middle)
                cuts[rows, i] += (1 / np.maximum((low + high) / 2, 1e-6) - 1) / h**2
        return cuts

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
        """Number of unknowns, P."""
        return prod(self.shape) if self.kept is None else len(self.kept)

    @cached_property
    def points(self) -> np.ndarray:
        """(P, dim)."""
        every = np.stack(np.meshgrid(*(axis.points for axis in self.axes), indexing="ij"), axis=-1)
        return self.gathered(every.reshape(-1, self.dim))

    @cached_property
    def weights(self) -> np.ndarray:
        """(P,): Σ_p w_p f(x_p) ≈ ∫ f dx."""
        volumes = np.ones(1)
        for axis in self.axes:
            volumes = np.multiply.outer(volumes, axis.weights).ravel()
        return self.gathered(volumes)

    def gathered(self, values: np.ndarray) -> np.ndarray:
        """Of values (all, …) at all combinations those of the unknowns, (P, …)."""
        return values if self.kept is None else values[self.kept]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values (P, …) of the unknowns at all combinations, zero elsewhere, (*shape, …)."""
        if self.kept is not None:
            every = np.zeros((prod(self.shape), *values.shape[1:]), values.dtype)
            every[self.kept] = values
            values = every
        return values.reshape(*self.shape, *values.shape[1:])

    @cached_property
    def parts(self) -> int:
        """In how many pieces the unknowns fall that no derivative connects."""
        if self.kept is None:
            return 1
        return int(connected_components(self.kinetic(np.ones(self.dim)), directed=False)[0])

    @double_precision()
    def values(self, function: Callable[..., jax.Array]) -> np.ndarray:
        """A function of one point at all points, (P,) float64."""
        return evaluated(vectorised(function), self.points)

    def kinetic(self, coefficients: np.ndarray) -> sp.csr_array:
        """Σ_i c_i (-∂²/∂x_i²), symmetric (with a wave vector Hermitian) sparse (P, P)."""
        total: sp.csr_array | None = None
        for i, (axis, coefficient) in enumerate(zip(self.axes, coefficients, strict=True)):
            before, after = prod(self.shape[:i]), prod(self.shape[i + 1 :])
            part = sp.kron(
                sp.kron(sp.eye_array(before), coefficient * axis.matrix), sp.eye_array(after), format="csr"
            )
            total = part if total is None else total + part
        assert total is not None
        if self.kept is not None:
            total = sp.csr_array(total[self.kept][:, self.kept])
        if self.cuts is not None:
            total = sp.csr_array(total + sp.diags_array(self.cuts @ coefficients))
        return total

    @double_precision()
    def multiplication(self, function: Callable[..., jax.Array]) -> sp.csr_array:
        """Multiplication by V, symmetric sparse (P, P): diagonal, but for the elements that touch a centre."""
        evaluate = vectorised(function)
        if not self.centres:
            return sp.csr_array(sp.diags_array(evaluated(evaluate, self.points)))
        whole = replace(self, kept=None, cuts=None)._about_centres(evaluate)
        return whole if self.kept is None else sp.csr_array(whole[self.kept][:, self.kept])

    def _about_centres(self, evaluate: Callable[..., jax.Array]) -> sp.csr_array:
        values = evaluated(evaluate, self.points)
        regular = np.ones(self.size)  # share of each point's weight in elements away from centres
        rows, columns, entries = [], [], []
        for centre in self.centres:
            if self.axes[0].edges is None or any(axis.edges is None for axis in self.axes):
                self._average_in_cell(centre, evaluate, values)
                continue
            for element in self._touching(centre):
                places, share, block = self._singular_block(centre, element, evaluate)
                regular[places] -= share
                rows.append(np.repeat(places, len(places)))
                columns.append(np.tile(places, len(places)))
                entries.append(block.ravel())
        away = regular > 1e-9
        diagonal = np.where(away, regular, 0) * np.where(away, values, 0)
        matrix = sp.csr_array(sp.diags_array(diagonal))
        if entries:
            added = (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns)))
            matrix = sp.csr_array(matrix + sp.coo_array(added, shape=matrix.shape).tocsr())
        return matrix

    def _touching(self, centre: Centre) -> list[tuple[int, ...]]:
        return touching([axis.edges for axis in self.axes if axis.edges is not None], centre.position)

    def _singular_block(
        self, centre: Centre, element: tuple[int, ...], evaluate: Callable[..., jax.Array]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unknowns of one element, their weight in it as a share of the whole, and V between them."""
        corner, sides, kept, local, total = np.array(centre.position), [], [], [], []
        for axis, e, position in zip(self.axes, element, centre.position, strict=True):
            assert axis.edges is not None
            low, high = axis.edges[e], axis.edges[e + 1]
            sides.append(high - low if abs(position - low) <= abs(position - high) else low - high)
            places = e * axis.degree + np.arange(axis.degree + 1) - 1  # the wall's node is no unknown
            kept.append((places >= 0) & (places < len(axis.points)))
            local.append(places)
            _, reference = gauss_lobatto(axis.degree)
            total.append(np.abs(high - low) / 2 * reference)
        degree = self.axes[0].degree

        def potential(x: np.ndarray) -> np.ndarray:
            return np.asarray(evaluate(jnp.asarray(x)), dtype=float)

        block = singular_products(potential, corner, np.array(sides), degree, degree + 6)
        inside = np.ones(1, bool)
        weights, places = np.ones(1), np.zeros(1, int)
        for axis, keep, place, weight in zip(self.axes, kept, local, total, strict=True):
            inside = np.logical_and.outer(inside, keep).ravel()
            weights = np.multiply.outer(weights, weight).ravel()
            places = np.add.outer(places * len(axis.points), place).ravel()
        places, weights, block = places[inside], weights[inside], block[np.ix_(inside, inside)]
        root = np.sqrt(self.weights[places])
        return places, weights / self.weights[places], block / root[:, None] / root

    def _average_in_cell(
        self, centre: Centre, evaluate: Callable[..., jax.Array], values: np.ndarray
    ) -> None:
        """On equally spaced points: V of the cell that holds the centre is its average there."""
        place, low, high = [], [], []
        for axis, position in zip(self.axes, centre.position, strict=True):
            i = int(np.argmin(np.abs(axis.points - position)))
            place.append(i)
            low.append(axis.points[i] - axis.weights[i] / 2)
            high.append(axis.points[i] + axis.weights[i] / 2)
        t, w = corner_quadrature(self.dim, 10)
        total = 0.0
        for ends in product(*zip(low, high, strict=True)):
            sides = np.array(ends) - centre.position
            if np.abs(sides).min() > 0:
                signed = np.prod(sides * np.where(np.array(ends) == high, 1.0, -1.0))
                total += float(signed) * float(
                    w @ np.asarray(evaluate(jnp.asarray(centre.position + t * sides)))
                )
        volume = float(np.prod(np.array(high) - low))
        values[np.ravel_multi_index(place, self.shape)] = total / volume
