"""The referee: the same Hamiltonian as a sparse matrix, its lowest states by shift-invert, at three resolutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from scipy.interpolate import NdBSpline, make_interp_spline
from threadpoolctl import threadpool_limits

from qspin.domain import Box
from qspin.hamiltonian import Operator
from qspin.mesh import ORDERS, Mesh
from qspin.method import DirectMethod
from qspin.problem import Problem
from qspin.spectrum import Eigenfunctions, Spectrum, describe_domain, energy_scale

__all__ = ["Grid", "GridFunctions"]

_RATIO = 1.25  # of spacings between resolutions
_FEWEST = 12  # points an axis of the coarsest mesh
_MEMORY = 12e9  # bytes a solve may be expected to need
# Points an axis by dimension: smooth potentials (order 8), and graded about centres (order 2).
_SMOOTH = {1: 400, 2: 90, 3: 44}
_GRADED = {1: 2000, 2: 260, 3: 64}


@dataclass(frozen=True)
class Grid(DirectMethod):
    """Sparse grid diagonalisation, in one to three dimensions.

    Args:
        points: points an axis of the finest mesh, one number or one an axis; by default from the dimension.
        order: 2, 4, 6 or 8, of the central differences on uniform axes; 8 by default. With declared singularities the
            axes are graded about them instead, with three-point differences (order 2).
        extra: states solved for beyond those asked, so that a degenerate group is not cut inside.
        shift_margin: how far below the lowest level the matrix is inverted, as a share of the levels' range.

    Three meshes are solved, each coarser by 1.25. Where the energies settle as a power of the spacing they are extrapolated,
    and `errors` is the distance from the finest mesh to the extrapolated energy; elsewhere it is four
    times the sum of the steps between meshes, and `status` says so. `residuals` are those of the matrix problem.

    Time and memory: a sparse factorisation in one and two dimensions, O(P) and O(P^1.5) for P points; in three dimensions
    conjugate gradients preconditioned by the inverse of the separable part, O(P^(4/3)) a step and O(P) memory.
    Raises ValueError for more states than points, more than three dimensions, or settings out of range; MemoryError
    where the estimate exceeds 12 GB.
    """

    points: int | tuple[int, ...] | None = None
    order: int | None = None
    extra: int = 4
    shift_margin: float = 0.1
    name = "grid"

    def __post_init__(self) -> None:
        if isinstance(self.points, Sequence):
            object.__setattr__(self, "points", tuple(self.points))
        for count in self.points if isinstance(self.points, tuple) else (self.points,):
            if count is not None and (not isinstance(count, int | np.integer) or count < 2 * _FEWEST):
                raise ValueError(
                    f"Grid: points must be an integer of at least {2 * _FEWEST} an axis, got {self.points!r}."
                )
        if self.order is not None and self.order not in ORDERS:
            raise ValueError(f"Grid: order must be one of {ORDERS}, got {self.order!r}.")
        if not isinstance(self.extra, int | np.integer) or self.extra < 0:
            raise ValueError(f"Grid: extra must be an integer of at least 0, got {self.extra!r}.")
        if not self.shift_margin > 0:
            raise ValueError(f"Grid: shift_margin must be positive, got {self.shift_margin!r}.")

    def check(self, problem: Problem, n_states: int) -> None:
        if not isinstance(problem.domain, Box) or not problem.hamiltonian.is_local or problem.largest:
            raise ValueError(
                "Grid: solves for the lowest states of a Hamiltonian in a Box; for kernels, matrices and largest "
                "eigenvalues use qspin.SpIN()."
            )
        if n_states < 1:
            raise ValueError(f"Grid: n_states must be at least 1, got {n_states}.")
        if problem.dim > 3:
            raise ValueError(f"Grid: a grid serves 1 to 3 dimensions, got {problem.dim}; use qspin.SpIN().")
        if problem.centres and self.order not in (None, 2):
            raise ValueError(f"Grid: graded axes about singularities have order 2, got order={self.order}.")
        shape = self._shape(problem)
        coarsest = int(np.prod(self._resolutions(shape)[0]))
        if n_states + self.extra + 1 >= coarsest:
            raise ValueError(
                f"Grid: n_states = {n_states} is more than the coarsest of the three meshes holds "
                f"({coarsest} points, {self.extra} extra states); use more points."
            )
        size = float(np.prod(shape))
        order = 2 if problem.centres else (self.order or 8)
        # Numbers kept a point, measured: fill of the factorisation with its indices, or the matrix itself.
        fill = {1: 30, 2: (6 + 5 * order) * np.log2(size + 1), 3: 40}[problem.dim]
        need = 8 * size * (fill + 4 * (n_states + self.extra))
        if need > _MEMORY:
            raise MemoryError(
                f"Grid: {' x '.join(map(str, shape))} points and {n_states} states need about {need / 1e9:.1f} GB, "
                f"more than {_MEMORY / 1e9:.0f} GB; use fewer points."
            )

    def _shape(self, problem: Problem) -> tuple[int, ...]:
        points = (
            self.points if self.points is not None else (_GRADED if problem.centres else _SMOOTH)[problem.dim]
        )
        shape = points if isinstance(points, tuple) else (int(points),) * problem.dim
        if len(shape) != problem.dim:
            raise ValueError(f"Grid: points has {len(shape)} entries, the domain has {problem.dim} axes.")
        return shape

    @staticmethod
    def _resolutions(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Three shapes, coarsest first; odd stays odd and even even, so that a symmetric mesh stays symmetric."""

        def coarser(n: int, factor: float) -> int:
            return max(_FEWEST + n % 2, n - 2 * round((n + 1) * (1 - 1 / factor) / 2))

        return [*(tuple(coarser(n, _RATIO**k) for n in shape) for k in (2, 1)), shape]

    def solve(self, problem: Problem, n_states: int) -> Spectrum:
        order = 2 if problem.centres else (self.order or 8)
        k = n_states + self.extra
        shift: float | None = None
        levels, spacings = [], []
        for shape in self._resolutions(self._shape(problem)):
            mesh = Mesh.build(_box(problem), shape, order, problem.centres)
            matrix, values = problem.hamiltonian.matrix(mesh), mesh.values(problem.hamiltonian.potential)
            if not np.isfinite(values).all():
                problem.potential_values(mesh.points)  # names the point
            energies, vectors, shift = _lowest(problem, mesh, matrix, values, k, shift, self.shift_margin)
            levels.append(energies[:n_states])
            spacings.append(1 / (shape[0] + 1))
            shift = energies[0] - self.shift_margin * max(energies[-1] - energies[0], 1e-3 * abs(energies[0]))
        residuals = np.linalg.norm(matrix @ vectors - vectors * energies, axis=0)[:n_states]
        finest, extrapolated, errors, settled = _extrapolate(levels, spacings, order, residuals)
        scale = energy_scale(finest)
        converged = (errors <= 0.01 * scale) & (residuals <= 1e-6 * max(scale, 1e-300))
        status = (
            "all levels settle at the expected rate."
            if settled.all()
            else (
                f"levels {', '.join(map(str, np.flatnonzero(~settled)))} do not settle as a power of the spacing: not "
                "extrapolated. Try more points."
            )
        )
        signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(k)])
        functions = (vectors * signs)[:, :n_states] / np.sqrt(mesh.weights)[:, None]
        return Spectrum(
            energies=extrapolated,
            errors=errors,
            residuals=residuals,
            converged=converged,
            status=status,
            eigenfunctions=GridFunctions(mesh, functions, _box(problem)),
            domain=problem.domain,
            name=problem.name,
            units=problem.units,
            method=self.name,
            provenance={
                "method": repr(self),
                "points": [list(shape) for shape in self._resolutions(self._shape(problem))],
                "order": order,
                "graded": bool(problem.centres),
                "solver": "eigsh, factorised" if problem.dim < 3 else "eigsh, conjugate gradients",
                "precision": "float64",
                "finest": finest.tolist(),
            },
            potential=problem.potential_values,
        )


def _extrapolate(
    levels: list[np.ndarray], spacings: list[float], order: int, residuals: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Finest and extrapolated energies, errors, and whether each level settles as a power of the spacing.

    E(h) = E + C h^p through three spacings gives p; extrapolated where 1 ≤ p ≤ 1.75·order, with p at most the order.
    """
    coarse, middle, fine = levels
    ratio = spacings[1] / spacings[2]
    first, second = coarse - middle, middle - fine
    floor = 1e-11 * np.abs(fine).max() + residuals
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.log(np.abs(first / second)) / np.log(ratio)
    tiny = np.abs(second) <= 10 * floor
    # An order far above the scheme's is two errors of opposite sign passing through zero, not accuracy.
    settled = ((first * second > 0) & (observed >= 1) & (observed <= 1.75 * order)) | tiny
    power = np.clip(np.where(np.isfinite(observed), observed, order), 1, order)
    step = np.where(settled & ~tiny, second / (ratio**power - 1), 0)
    wandering = 4 * (np.abs(first) + np.abs(second))
    errors = np.where(settled, np.abs(step) + np.where(tiny, np.abs(second), 0), wandering) + floor
    order_of = np.argsort(fine - step, kind="stable")  # extrapolation may swap levels that nearly touch
    return fine, (fine - step)[order_of], errors[order_of], settled[order_of]


@threadpool_limits.wrap(limits=1)  # vectors this short are slower on many threads, ten times so on busy cores
def _lowest(
    problem: Problem, mesh: Mesh, matrix: Any, values: np.ndarray, k: int, shift: float | None, margin: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """The k lowest eigenpairs, energies ascending, vectors (P, k) orthonormal, and the shift."""
    if shift is None:
        shift = float(values.min()) - 1e-3 * (
            1 + abs(float(values.min()))
        )  # below every eigenvalue: kinetic energy ≥ 0
        if mesh.dim < 3:
            shift = _first_shift(matrix, shift)
    start = np.random.default_rng(0).normal(size=mesh.size)
    for _ in range(6):
        operator = _inverse(problem, mesh, matrix, values, shift)
        energies, vectors = spla.eigsh(
            matrix, k, sigma=shift, which="LM", OPinv=operator, v0=start, tol=0 if mesh.dim < 3 else 1e-11
        )
        ascending = np.argsort(energies)
        energies, vectors = energies[ascending], vectors[:, ascending]
        if energies[0] > shift:
            break
        # Something lies below the shift, and more may: go further down.
        shift = energies[0] - max(margin * (energies[-1] - energies[0]), 1e-3 * abs(energies[0]))
    vectors, _ = np.linalg.qr(vectors)
    return energies, vectors, shift


def _first_shift(matrix: Any, bound: float) -> float:
    """A shift close below the spectrum: a rough eigenvalue from a safe bound, which may lie very far below."""
    rough = spla.eigsh(
        matrix, 1, sigma=bound, OPinv=_factorised(matrix, bound), v0=np.ones(matrix.shape[0]), tol=1e-3,
        return_eigenvectors=False,
    )[0]  # fmt: skip
    return float(rough) - 0.05 * max(float(rough) - bound, 1e-6 * abs(bound))


def _factorised(matrix: Any, shift: float) -> spla.LinearOperator:
    lu = spla.splu(
        sp.csc_array(matrix - shift * sp.eye_array(matrix.shape[0])),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    return spla.LinearOperator(matrix.shape, matvec=lu.solve, dtype=float)


def _inverse(
    problem: Problem, mesh: Mesh, matrix: Any, values: np.ndarray, shift: float
) -> spla.LinearOperator:
    """(H - shift)⁻¹: factorised, or by conjugate gradients where a factorisation would fill the memory."""
    if mesh.dim < 3:
        return _factorised(matrix, shift)
    shifted = (matrix - shift * sp.eye_array(mesh.size)).tocsr()
    separable = _SeparableInverse.build(problem, mesh, values, shift)
    precondition = spla.LinearOperator(shifted.shape, matvec=separable, dtype=float)

    def solve(b: np.ndarray) -> np.ndarray:
        x, info = spla.cg(shifted, b, rtol=1e-12, maxiter=2000, M=precondition)
        if info:
            raise ValueError(
                "Grid: conjugate gradients did not converge: H - shift is not positive. Use more points."
            )
        return x

    return spla.LinearOperator(shifted.shape, matvec=solve, dtype=float)


@dataclass(frozen=True)
class _SeparableInverse:
    """(Σ_i h_i + constant)⁻¹ for one-dimensional h_i = kinetic + cut of V: exact, through their eigenvectors."""

    vectors: list[np.ndarray]
    denominator: np.ndarray

    @classmethod
    def build(cls, problem: Problem, mesh: Mesh, values: np.ndarray, shift: float) -> "_SeparableInverse":
        coefficients = problem.hamiltonian.kinetic_coefficients(mesh.dim)
        v = values.reshape(mesh.shape)
        bottom = np.unravel_index(v.argmin(), v.shape)
        eigen = []
        for i, axis in enumerate(mesh.axes):
            # The cut of V through its minimum; with a singular centre that says nothing, and the kinetic energy alone serves.
            cut = v[tuple(slice(None) if j == i else b for j, b in enumerate(bottom))] - v.min()
            potential = np.zeros(len(cut)) if problem.centres else cut
            eigen.append(np.linalg.eigh(coefficients[i] * axis.matrix.toarray() + np.diag(potential)))
        base = max(-shift, 1e-3) if problem.centres else float(v.min()) - shift
        sums = reduce(np.add.outer, [weights for weights, _ in eigen])
        return cls([vectors for _, vectors in eigen], sums + max(base, 1e-6 * abs(shift)))

    def __call__(self, b: np.ndarray) -> np.ndarray:
        x = b.reshape(self.denominator.shape)
        for i, vectors in enumerate(self.vectors):
            x = np.moveaxis(np.tensordot(vectors.T, x, axes=(1, i)), 0, i)
        x = x / self.denominator
        for i, vectors in enumerate(self.vectors):
            x = np.moveaxis(np.tensordot(vectors, x, axes=(1, i)), 0, i)
        return x.ravel()


def _box(problem: Problem) -> Box:
    assert isinstance(problem.domain, Box)  # `check` has seen to it
    return problem.domain


@dataclass(frozen=True, eq=False)
class GridFunctions(Eigenfunctions):
    """Mesh values (P, N), interpolated by tensor-product splines: quintic on uniform axes, cubic on graded ones."""

    mesh: Mesh
    values: np.ndarray
    domain: Box

    @property
    def n_states(self) -> int:
        return self.values.shape[1]

    @property
    def dim(self) -> int:
        return self.mesh.dim

    @cached_property
    def _spline(self) -> NdBSpline:
        degree = 3 if self.mesh.centres else 5
        coefficients = self.values.reshape(*self.mesh.shape, self.n_states)
        knots = []
        for i, axis in enumerate(self.mesh.axes):
            nodes, padding = axis.points, [(0, 0)] * coefficients.ndim
            if axis.periodic:  # the function goes on: repeat some of it beyond both ends
                wrap = 2 * degree
                length = axis.upper - axis.lower
                nodes = np.concatenate([nodes[-wrap:] - length, nodes, nodes[:wrap] + length])
                padding[i] = (wrap, wrap)
                coefficients = np.pad(coefficients, padding, mode="wrap")
            else:  # walls: known zeros
                nodes = np.concatenate([[axis.lower], nodes, [axis.upper]])
                padding[i] = (1, 1)
                coefficients = np.pad(coefficients, padding)
            spline = make_interp_spline(nodes, coefficients, k=degree, axis=i)
            knots.append(spline.t)
            coefficients = np.moveaxis(spline.c, 0, i)  # SciPy keeps the axis it interpolated first
        return NdBSpline(tuple(knots), coefficients, degree)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        lower, upper = np.asarray(self.domain.lower), np.asarray(self.domain.upper)
        periodic = np.asarray(self.domain.periodic)
        x = np.where(periodic, lower + (points - lower) % (upper - lower), points)
        inside = self.domain.contains(x)
        values = np.zeros((len(x), self.n_states))
        if inside.any():
            values[inside] = self._spline(x[inside])
        return values

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        return self.mesh.points, self.mesh.weights

    def image(self, operator: Operator) -> np.ndarray:
        root = np.sqrt(self.mesh.weights)[:, None]
        return operator.matrix(self.mesh) @ (root * self.values) / root

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings = {
            "kind": "grid",
            "domain": describe_domain(self.domain),
            "shape": self.mesh.shape,
            "order": max(axis.order for axis in self.mesh.axes),
            "centres": [[*c.position, c.strength, c.length, c.cusp] for c in self.mesh.centres],
        }
        return settings, {"values": self.values}
