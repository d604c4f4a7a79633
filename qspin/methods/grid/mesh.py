"""Tensor-product meshes in one to three dimensions: one owner of points, weights and derivative matrices.

The unknowns are √w_p ψ(x_p), w_p the weight of point p, and the kinetic energy is a Kronecker sum of the axes' matrices. On
uniform axes w is constant, and matrices act on plain values just as well: `mesh.matrix(form) @ f(points) ≈ (Hf)(points)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from qspin.methods.grid.axes import Axis
from qspin.methods.grid.cut_cells import check_aligned, wall_cuts
from qspin.methods.grid.schemes import Differences, Scheme
from qspin.methods.grid.singular_cells import singular_multiplication
from qspin.numerics.precision import double_precision, evaluated, vectorised
from qspin.problem.domain import Box, Centre
from qspin.problem.hamiltonian import LocalForm
from qspin.problem.region import Region

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
        held = region.signed(self.points) > 1e-12 * region.scale
        kept = np.flatnonzero(held)
        if len(kept) == 0:
            raise ValueError(
                f"Region: none of {' x '.join(map(str, self.shape))} grid points lies inside; use more points, "
                "or a box that fits the region."
            )
        if all(axis.edges is not None for axis in self.axes):
            check_aligned(region, self.axes)
            return replace(self, kept=kept)
        if any(axis.order != 2 for axis in self.axes):
            raise ValueError(
                "Region: walls that cross a grid need scheme=differences(2); elements(degree) serve where all walls lie "
                "on edges of elements (axis-parallel, through declared corners)."
            )
        return replace(self, kept=kept, cuts=wall_cuts(region, self.axes, held))

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

    def matrix(self, form: LocalForm) -> sp.csr_array:
        """An operator of this local form: a sparse symmetric matrix (P, P). ValueError where it is not plain."""
        potential = self.multiplication(form.potential)
        return (
            sp.csr_array(self.kinetic(form.coefficients) + potential) if form.has_kinetic_part else potential
        )

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
        whole = replace(self, kept=None, cuts=None)

        def potential(x: np.ndarray) -> np.ndarray:
            return np.asarray(evaluate(jnp.asarray(x)), dtype=float)

        values = evaluated(evaluate, whole.points)
        matrix = singular_multiplication(self.axes, self.centres, whole.weights, values, potential)
        return matrix if self.kept is None else sp.csr_array(matrix[self.kept][:, self.kept])
