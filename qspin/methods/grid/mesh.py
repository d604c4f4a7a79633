"""Tensor-product meshes in one to three dimensions: their points, local operators on them, and functions known at the points.

The unknowns are √w_p ψ(x_p), w_p the weight of point p, and the kinetic energy is a Kronecker sum of the axes' matrices. On
equal spacings w is constant, and operators act on plain values just as well: `mesh.operator(form).apply(f(points))` is near
(Hf)(points).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from math import prod
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Inexact, Int
from scipy.sparse.csgraph import connected_components

from qspin.methods.grid.axes import Axis, Differences, Elements
from qspin.methods.grid.cells import check_aligned, singular_multiplication, wall_cuts
from qspin.numerics.precision import double_precision, evaluated
from qspin.problem.domain import Box, Centre, Domain
from qspin.problem.hamiltonian import LocalForm, Operator
from qspin.problem.region import Region
from qspin.spectrum.eigenfunctions import Eigenfunctions, check_shapes, tensor_points

__all__ = ["GridFunctions", "Mesh", "MeshOperator", "along", "mesh_of", "residual_norms"]

_CHUNK = 4_000_000  # numbers held at a time while interpolating


def mesh_of(domain: Box, axes: tuple[Axis, ...], centres: tuple[Centre, ...] = ()) -> Mesh:
    """The mesh of a box or a region. Raises ValueError where the scheme cannot follow its walls, or no point is inside."""
    mesh = Mesh(axes, centres)
    if not isinstance(domain, Region):
        return mesh
    within = domain.signed(mesh.points) > 1e-12 * domain.scale
    kept = np.flatnonzero(within)
    if len(kept) == 0:
        raise ValueError(
            f"Region: none of {' x '.join(map(str, mesh.shape))} grid points lies inside; use more points, "
            "or a box that fits the region."
        )
    edges = [axis.edges for axis in axes if axis.edges is not None]
    if edges:
        check_aligned(domain, edges)
        return replace(mesh, kept=kept)
    if axes[0].scheme != Differences(2):
        raise ValueError(
            "Region: walls that cross a grid need scheme=differences(2); elements(degree) serve where all walls lie "
            "on edges of elements (axis-parallel, through declared corners)."
        )
    return replace(mesh, kept=kept, cuts=wall_cuts(domain, axes, within))


@dataclass(frozen=True, eq=False)
class Mesh:
    """All combinations of the axes' points, the last axis fastest, or those of them that lie in a region.

    `kept` are the places of the unknowns among all combinations, None for all; `cuts` is what a region's wall between an
    unknown and its neighbours adds to the diagonal of -∂²/∂x_i².
    """

    axes: tuple[Axis, ...]
    centres: tuple[Centre, ...] = ()
    kept: Int[np.ndarray, " P"] | None = None
    cuts: Float[np.ndarray, "P dim"] | None = None

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
    def points(self) -> Float[np.ndarray, "P dim"]:
        """The points of the unknowns."""
        return self.gather(tensor_points([axis.points for axis in self.axes]).reshape(-1, self.dim))

    @cached_property
    def weights(self) -> Float[np.ndarray, " P"]:
        """Σ_p w_p f(x_p) ≈ ∫ f dx."""
        volumes = np.ones(1)
        for axis in self.axes:
            volumes = np.multiply.outer(volumes, axis.weights).ravel()
        return self.gather(volumes)

    def gather(self, values: Inexact[np.ndarray, "all *n"]) -> Inexact[np.ndarray, "P *n"]:
        """Select the unknowns' values from those at all combinations."""
        return values if self.kept is None else values[self.kept]

    def spread(self, values: Inexact[np.ndarray, "P *n"]) -> Inexact[np.ndarray, "..."]:
        """Put values of the unknowns into an array of all combinations, zero elsewhere, (*shape, *n)."""
        if self.kept is not None:
            every = np.zeros((prod(self.shape), *values.shape[1:]), values.dtype)
            every[self.kept] = values
            values = every
        return values.reshape(*self.shape, *values.shape[1:])

    @double_precision()
    def operator(self, form: LocalForm) -> MeshOperator:
        """The operator of this local form. Raises ValueError where the form is not plain."""

        def potential(x: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " n"]:
            return evaluated(form.potential, x)

        if not self.centres:
            places, averages = zip(*(axis.sides for axis in self.axes), strict=True)
            values = potential(tensor_points(places).reshape(-1, self.dim)).reshape([len(x) for x in places])
            for i, average in enumerate(averages):
                values = values if average is None else along(average, values, i)
            matrix = sp.csr_array(sp.diags_array(self.gather(values.ravel())))
        else:
            whole = replace(self, kept=None, cuts=None)
            matrix = singular_multiplication(self.axes, self.centres, whole.points, whole.weights, potential)
            matrix = matrix if self.kept is None else sp.csr_array(matrix[self.kept][:, self.kept])
        return MeshOperator(self, form, matrix)


@dataclass(frozen=True, eq=False)
class MeshOperator:
    """H = Σ_i c_i (-∂²/∂x_i²) + V on a mesh: as a sparse matrix, and as a function of vectors.

    V is diagonal, but for the elements that touch a centre. Memory: the matrix takes O(P · neighbours · dim). `apply` uses it
    where points have few neighbours; with a DVR it needs one small matrix an axis and no more memory than its vectors.
    """

    mesh: Mesh
    form: LocalForm
    potential: sp.csr_array

    @property
    def dtype(self) -> type:
        """complex with a Bloch wave vector."""
        return complex if any(axis.interval.phase for axis in self.mesh.axes) else float

    @cached_property
    def values(self) -> Float[np.ndarray, " P"]:
        """V at the points."""
        return self.potential.diagonal()

    @cached_property
    def matrix(self) -> sp.csr_array:
        """(P, P), symmetric or with a wave vector Hermitian."""
        shape, kept, cuts = self.mesh.shape, self.mesh.kept, self.mesh.cuts
        total: Any = 0
        for i, (axis, coefficient) in enumerate(zip(self.mesh.axes, self.form.coefficients, strict=True)):
            before, after = sp.eye_array(prod(shape[:i])), sp.eye_array(prod(shape[i + 1 :]))
            total = total + sp.kron(sp.kron(before, coefficient * axis.matrix), after, format="csr")
        if kept is not None:
            total = sp.csr_array(total[kept][:, kept])
        if cuts is not None:
            total = sp.csr_array(total + sp.diags_array(cuts @ self.form.coefficients))
        return sp.csr_array(total + self.potential)

    @cached_property
    def axis_matrices(self) -> list[Inexact[np.ndarray, "n n"]]:
        """c_i (-∂²/∂x_i²) on each axis."""
        return [
            c * axis.matrix.toarray() for c, axis in zip(self.form.coefficients, self.mesh.axes, strict=True)
        ]

    @cached_property
    def sparse(self) -> bool:
        """Whether points have few neighbours."""
        return self.mesh.axes[0].scheme.is_sparse(self.mesh.shape)

    @cached_property
    def parts(self) -> int:
        """The number of pieces of the mesh that no derivative connects."""
        return 1 if self.mesh.kept is None else int(connected_components(self.matrix, directed=False)[0])

    def apply(self, x: Inexact[np.ndarray, "P *n"]) -> Inexact[np.ndarray, "P *n"]:
        """H x of one vector, or of several."""
        if self.sparse:
            return self.matrix @ x
        inner = self.mesh.spread(x)
        total = sum(along(matrix, inner, i) for i, matrix in enumerate(self.axis_matrices))
        return self.mesh.gather(np.reshape(total, (-1, *x.shape[1:]))) + self.potential @ x


def along(
    matrix: Inexact[np.ndarray, "m n"] | sp.csr_array, values: Inexact[np.ndarray, "..."], axis: int
) -> Inexact[np.ndarray, "..."]:
    """A matrix times values along one of their axes."""
    first = np.moveaxis(values, axis, 0)
    product = matrix @ first.reshape(len(first), -1)
    return np.moveaxis(product.reshape(-1, *first.shape[1:]), 0, axis)


@dataclass(frozen=True, eq=False)
class GridFunctions(Eigenfunctions):
    """Values at the points, interpolated as the scheme defines: by the polynomials of elements, the series of a DVR, and for
    differences of some order by polynomials through order + 2 points on each axis.

    The cost for each point is N (order + 2)^dim, N (degree + 1)^dim, or for a DVR N times all points of the mesh.
    """

    mesh: Mesh
    values: Inexact[np.ndarray, "P N"]
    domain: Box

    @property
    def n_states(self) -> int:
        return self.values.shape[1]

    @property
    def dim(self) -> int:
        return self.mesh.dim

    @cached_property
    def _all_values(self) -> Inexact[np.ndarray, "..."]:
        return self.mesh.spread(self.values)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        if points is self.mesh.points:  # from `quadrature`: nothing to interpolate
            return self.values
        lower, lengths = np.asarray(self.domain.lower), np.asarray(self.domain.lengths)
        periodic = np.asarray(self.domain.periodic)
        turns = np.where(periodic, (points - lower) // lengths, 0)
        x = points - turns * lengths
        within = (x > lower) & (x < np.asarray(self.domain.upper))
        inside = self.domain.contains(x) & (periodic | within).all(axis=-1)
        values = np.zeros((len(x), self.n_states), self.values.dtype)
        if inside.any():
            values[inside] = self._interpolate(x[inside])
        if any(self.domain.wave_vector):
            values = values * np.exp(1j * turns @ np.asarray(self.domain.phases))[:, None]
        return values

    def _interpolate(self, x: Float[np.ndarray, "p dim"]) -> Inexact[np.ndarray, "p N"]:
        """One axis after the other, those with few neighbours last; arrays are (points, axes still to do, N)."""
        shape, scheme = self.mesh.shape, self.mesh.axes[0].scheme
        held = prod(map(scheme.neighbours, shape)) if scheme.is_sparse(shape) else prod(shape[1:])
        size = max(_CHUNK // (self.n_states * held), 1)
        return np.concatenate([self._part(x[i : i + size]) for i in range(0, len(x), size)])

    def _part(self, x: Float[np.ndarray, "p dim"]) -> Inexact[np.ndarray, "p N"]:
        axes = self.mesh.axes
        if axes[0].scheme.is_sparse(self.mesh.shape):
            places, shares = np.zeros((len(x), 1), int), np.ones((len(x), 1))
            for i, axis in enumerate(axes):
                index, share = axis.scheme.local_basis(axis, x[:, i])
                places = (places[:, :, None] * len(axis.points) + index[:, None, :]).reshape(len(x), -1)
                shares = (shares[:, :, None] * share[:, None, :]).reshape(len(x), -1)
            return np.einsum("pj,pjn->pn", shares, self._all_values.reshape(-1, self.n_states)[places])
        values = along(axes[0].at(x[:, 0]), self._all_values, 0)
        for i, axis in enumerate(axes[1:], 1):
            values = np.einsum("pj,pj...->p...", axis.at(x[:, i]).toarray(), values)
        return values

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        return self.mesh.points, self.mesh.weights

    def image(self, operator: Operator) -> np.ndarray:
        root = np.sqrt(self.mesh.weights)[:, None]
        form = operator.local_form(self.mesh.dim)
        if form is None:
            raise TypeError(
                f"GridFunctions: {type(operator).__name__} has no local form (Operator.local_form is None), so it cannot act "
                "on functions that are known on a mesh only; use the states of another method."
            )
        return self.mesh.operator(form).apply(root * self.values) / root

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        return replace(self, values=self.values * factors)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings = {
            "axes": [axis.record() for axis in self.mesh.axes],
            "centres": [[*c.position, c.strength, c.length, c.cusp] for c in self.mesh.centres],
        }
        arrays = {"values": self.values, "kept": self.mesh.kept, "cuts": self.mesh.cuts}
        return settings, {name: array for name, array in arrays.items() if array is not None}

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> GridFunctions:
        """Read back what `record` gave."""
        assert isinstance(domain, Box)
        kept, rows = arrays.get("kept"), len(arrays["values"])
        check_shapes(arrays, {"values": "points states", **({} if kept is None else {"kept": "points"})})
        most = rows if kept is None else 100 * rows  # of an axis: no more memory than the values explain
        if any(axis.get("points", 0) > most for axis in settings["axes"]):
            raise ValueError("the axes have more points than the entry 'values' has rows.")
        centres = tuple(Centre(tuple(row[:-3]), *row[-3:]) for row in settings["centres"])
        axes = tuple(Axis.from_record(axis) for axis in settings["axes"])
        mesh = Mesh(axes, centres, kept, arrays.get("cuts"))
        if mesh.size != rows or (kept is not None and not 0 <= kept.min() <= kept.max() < prod(mesh.shape)):
            raise ValueError("the entries 'values' and 'kept' do not fit the axes.")
        return cls(mesh, arrays["values"], domain)


@double_precision()
def residual_norms(
    functions: GridFunctions, h: MeshOperator, energies: Float[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """‖Hψ - Eψ‖ of the interpolated functions, by a rule between the points of the mesh; in a region, of the matrix.

    Where elements meet, ψ'' is a jump of slopes: each is spread over the lengths beside it.
    """
    if functions.mesh.kept is not None:
        vectors = functions.values * np.sqrt(functions.mesh.weights)[:, None]
        return np.linalg.norm(h.apply(vectors) - vectors * energies, axis=0)
    mesh = functions.mesh
    rules = [axis.between for axis in mesh.axes]
    values = [axis.at(x) for axis, (x, _) in zip(mesh.axes, rules, strict=True)]
    weights = reduce(np.multiply.outer, [w for _, w in rules])
    psi = mesh.spread(functions.values)

    def everywhere(own: sp.csr_array | None, i: int) -> Inexact[np.ndarray, "..."]:
        """ψ between the points, but along axis i what the matrix `own` makes of it."""
        result = psi
        for j, matrix in enumerate(values):
            result = along(own if own is not None and j == i else matrix, result, j)
        return result

    v = evaluated(h.form.potential, tensor_points([x for x, _ in rules]).reshape(-1, mesh.dim))
    v = v.reshape(weights.shape)
    for i, (axis, c) in enumerate(zip(mesh.axes, h.form.coefficients, strict=True)):
        v = v - c * axis.bend(rules[i][0]).reshape([-1 if j == i else 1 for j in range(mesh.dim)])
    residual = (v[..., None] - energies) * everywhere(None, 0)
    square = np.zeros(len(energies))
    for i, (axis, c) in enumerate(zip(mesh.axes, h.form.coefficients, strict=True)):
        residual = residual - c * everywhere(axis.at(rules[i][0], 2), i)
        if isinstance(axis.scheme, Elements) and axis.edges is not None:
            count, meeting = len(axis.edges) - 2, axis.edges[1:-1]
            sides = [axis.scheme.basis_within(axis, np.arange(count) + k, meeting, 1) for k in (0, 1)]
            jump = axis.matrix_of(*sides[1]) - axis.matrix_of(*sides[0])
            spread = (axis.edges[2:] - axis.edges[:-2]) / 2
            shares = reduce(
                np.multiply.outer, [1 / spread if j == i else w for j, (_, w) in enumerate(rules)]
            )
            square += c**2 * np.tensordot(shares, np.abs(everywhere(jump, i)) ** 2, mesh.dim)
    return np.sqrt(square + np.tensordot(weights, np.abs(residual) ** 2, mesh.dim))
