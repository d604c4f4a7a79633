"""The referee: the same Hamiltonian as a sparse matrix, its lowest states by shift-invert, at three resolutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from scipy.interpolate import NdBSpline, make_interp_spline
from threadpoolctl import threadpool_limits

from qspin.domain import Box
from qspin.hamiltonian import Operator
from qspin.mesh import DVR, Elements, Mesh, Scheme
from qspin.method import DirectMethod
from qspin.problem import Problem
from qspin.spectrum import Eigenfunctions, Spectrum, describe_domain, energy_scale

__all__ = ["Grid", "GridFunctions"]

_RATIO = 1.25  # of spacings between resolutions
_FEWEST = 12  # points an axis of the coarsest mesh
_DENSE = 1000  # points up to which the whole matrix is diagonalised
_MEMORY = 12e9  # bytes a solve may be expected to need
# Points an axis to begin with, by dimension, and at most; between them by _RATIO.
_FIRST, _LAST = {1: 32, 2: 24, 3: 20}, {1: 800, 2: 75, 3: 48}
_ENOUGH = 1e-11  # of the energies: a step between meshes that asks for no finer one
# Elements about centres, by dimension: degree, and the smallest of them in units of the centre's length.
_GRADED = {1: (8, 0.1), 2: (6, 0.1), 3: (4, 0.2)}


@dataclass(frozen=True)
class Grid(DirectMethod):
    """Sparse grid diagonalisation, in one to three dimensions.

    Args:
        points: points an axis of the finest mesh, one number or one an axis; by default, where functions are smooth, as many
            as it takes until the energies stand still, within bounds. Of elements about centres it sets how small the
            smallest are; the number is then met only about.
        scheme: `differences(order)`, `elements(degree)` or `dvr()`; by default elements that shrink towards declared
            centres, and without any a DVR.
        extra: states solved for beyond those asked, so that a degenerate group is not cut inside.
        shift_margin: how far below the lowest level the matrix is inverted, as a share of the levels' range.

    Three meshes or more are solved: equal spacings each 1.25 times the next, or smallest elements each `ratio` times
    the next.
    Where the energies settle as a power of the spacing they are extrapolated, and `errors` is the distance from the
    finest mesh to the extrapolated energy (of a DVR, and of elements of equal length, about the last step); elsewhere it
    is four times the sum of the steps between meshes, and `status` says so. Elements about centres are solved once
    more with one degree less, and the difference is added: it is what the smooth parts of the functions may still be
    off by. `residuals` are those of the matrix problem.

    Time and memory: a sparse factorisation in one and two dimensions, O(P) and O(P^1.5) for P points; in three dimensions
    conjugate gradients preconditioned by the inverse of the separable part, O(P^(4/3)) a step and O(P) memory.
    Raises ValueError for more states than points, more than three dimensions, or settings out of range; MemoryError
    where the estimate exceeds 12 GB.
    """

    points: Any = None
    scheme: Any = None
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
        if self.scheme is not None and not isinstance(self.scheme, Scheme):
            raise TypeError(
                "Grid: scheme must be qspin.differences(order), qspin.elements(degree) or qspin.dvr(), got "
                f"{self.scheme!r}."
            )
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
        meshes = self._meshes(problem, n_states)
        shapes = [mesh.size for mesh in meshes]
        if n_states + self.extra + 1 >= min(shapes):
            raise ValueError(
                f"Grid: n_states = {n_states} is more than the coarsest of the meshes holds "
                f"({min(shapes)} points, {self.extra} extra states); use more points."
            )
        size, neighbours = float(max(shapes)), self._scheme(problem).neighbours
        row = problem.dim * neighbours if neighbours else problem.dim * max(shapes) ** (1 / problem.dim)
        # Numbers kept a point, measured: fill of the factorisation with its indices, or the matrix itself.
        fill = {1: 3 * row, 2: (6 + 2.5 * row) * np.log2(size + 1), 3: 1.5 * row}[problem.dim]
        need = 8 * size * (fill + 4 * (n_states + self.extra))
        if need > _MEMORY:
            finest = meshes[-1].shape
            raise MemoryError(
                f"Grid: {' x '.join(map(str, finest))} points and {n_states} states need about {need / 1e9:.1f} GB, "
                f"more than {_MEMORY / 1e9:.0f} GB; use fewer points."
            )

    def _scheme(self, problem: Problem) -> Scheme:
        if self.scheme is not None:
            return self.scheme
        return Elements(_GRADED[problem.dim][0]) if problem.centres else DVR()

    def _given(self, problem: Problem) -> tuple[int, ...] | None:
        if self.points is None:
            return None
        shape = self.points if isinstance(self.points, tuple) else (int(self.points),) * problem.dim
        if len(shape) != problem.dim:
            raise ValueError(f"Grid: points has {len(shape)} entries, the domain has {problem.dim} axes.")
        return shape

    def _meshes(self, problem: Problem, n_states: int) -> list[Mesh]:
        """Coarsest first; of elements about centres before them one like the middle one, of lower degree."""
        scheme, box, given = self._scheme(problem), _box(problem), self._given(problem)
        if not (scheme.graded and problem.centres):
            shapes = self._growing(problem, n_states) if given is None else _coarser(given)
            return [Mesh.build(box, shape, scheme, problem.centres) for shape in shapes]
        assert isinstance(scheme, Elements)
        smallest = _GRADED[problem.dim][1]
        if given is not None:  # the smallest elements that this many points allow

            def points(size: float) -> int:
                return max(Mesh.build(box, given, scheme, problem.centres, size).shape)

            sizes = np.geomspace(1e-4, 10, 60)
            smallest = next((s for s in sizes if points(s) <= max(given)), sizes[-1])
        family = [
            Mesh.build(box, (0,) * problem.dim, scheme, problem.centres, smallest * scheme.ratio**k)
            for k in (2, 1, 0)
        ]
        lower = Elements(max(scheme.degree - 1, 1), scheme.ratio)
        return [
            Mesh.build(box, (0,) * problem.dim, lower, problem.centres, smallest * scheme.ratio),
            *family,
        ]

    def _growing(self, problem: Problem, n_states: int) -> list[tuple[int, ...]]:
        dim = problem.dim
        least = max(_FIRST[dim], int(np.ceil(3 * (n_states + self.extra) ** (1 / dim))))
        counts = [least]
        while len(counts) < 3 or counts[-1] * _RATIO <= _LAST[dim]:
            counts.append(int(np.ceil(counts[-1] * _RATIO)))
        return [(n,) * dim for n in counts]

    def solve(self, problem: Problem, n_states: int) -> Spectrum:
        scheme = self._scheme(problem)
        graded = scheme.graded and bool(problem.centres)
        k = n_states + self.extra
        shift: float | None = None
        levels = []
        meshes = []
        for mesh in self._meshes(problem, n_states):
            meshes.append(mesh)
            matrix = problem.hamiltonian.matrix(mesh)
            kinetic = mesh.kinetic(problem.hamiltonian.kinetic_coefficients(problem.dim))
            values = matrix.diagonal() - kinetic.diagonal()
            if not np.isfinite(values).all():
                problem.potential_values(mesh.points)  # names the point
            energies, vectors, shift = _lowest(problem, mesh, matrix, values, k, shift, self.shift_margin)
            levels.append(energies[:n_states])
            shift = energies[0] - self.shift_margin * max(energies[-1] - energies[0], 1e-3 * abs(energies[0]))
            growing = self.points is None and not graded and len(levels) >= 3
            if growing and np.abs(levels[-1] - levels[-2]).max() <= _ENOUGH * np.abs(levels[-1]).max():
                break
        # About centres the cusp's error falls as (smallest element)^dim.
        order, spacings = scheme.order, [1 / (mesh.shape[0] + 1) for mesh in meshes[-3:]]
        smooth = np.zeros(n_states)
        if isinstance(scheme, Elements) and problem.centres:
            order, spacings = max(problem.dim, 2), [scheme.ratio**j for j in (2, 1, 0)]
            smooth = np.abs(levels[0] - levels[2])
        residuals = np.linalg.norm(matrix @ vectors - vectors * energies, axis=0)[:n_states]
        finest, extrapolated, errors, settled = _extrapolate(
            levels[-3:], spacings, order, scheme.caution, residuals, smooth
        )
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
        raised = wall_shifts(problem, mesh, finest, functions)
        noticed = np.flatnonzero(np.isfinite(raised) & (raised > errors))
        if len(noticed):
            status += (
                f" The walls raise levels {', '.join(map(str, noticed))} by up to {raised[noticed].max():.1e} over free "
                "space: where they are not meant, enlarge the box."
            )
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
                "points": [list(mesh.shape) for mesh in meshes],
                "scheme": repr(scheme),
                "graded": graded,
                "solver": "eigsh, factorised" if problem.dim < 3 else "eigsh, conjugate gradients",
                "precision": "float64",
                "finest": finest.tolist(),
                "wall_shifts": [float(shift) if np.isfinite(shift) else None for shift in raised],
            },
            potential=problem.potential_values,
        )


def wall_shifts(problem: Problem, mesh: Mesh, energies: np.ndarray, functions: np.ndarray) -> np.ndarray:
    """How far hard walls raise each energy over that of free space, about, (N,); inf where the walls hold the state.

    A wall that recedes lowers E by c ∫ (∂ψ/∂n)² dS per length (Hadamard), and beyond it ψ falls as exp(-κ x),
    κ² = (V - E)/c, so the whole shift is near ∫ c (∂ψ/∂n)²/(2κ) dS. Where V < E at a wall that ψ reaches, free space has
    no such state.
    """
    stiffness = problem.hamiltonian.kinetic_coefficients(mesh.dim)
    values, total = functions.reshape(*mesh.shape, -1), np.zeros(len(energies))
    for i, axis in enumerate(mesh.axes):
        if axis.periodic:
            continue
        others = np.ones(1)
        for j, other in enumerate(mesh.axes):
            others = np.multiply.outer(others, other.weights if j != i else np.ones(1)).ravel()
        for wall, first in ((axis.lower, 0), (axis.upper, -1)):
            slope = np.take(values, first, axis=i).reshape(-1, len(energies)) / (axis.points[first] - wall)
            points = (
                np.take(mesh.points.reshape(*mesh.shape, mesh.dim), first, axis=i)
                .reshape(-1, mesh.dim)
                .copy()
            )
            points[:, i] = wall + 1e-6 * (axis.points[first] - wall)
            lost = others[:, None] * stiffness[i] * slope**2
            kappa = np.sqrt(
                np.maximum(problem.potential_values(points)[:, None] - energies, 0) / stiffness[i]
            )
            held = (lost * (kappa == 0)).sum(0) * (axis.upper - axis.lower) > 1e-9 * np.abs(energies)
            outside = np.where(kappa > 0, lost / np.where(kappa > 0, 2 * kappa, 1), 0).sum(0)
            total += np.where(held, np.inf, outside)
    return total


def _coarser(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Three shapes, coarsest first; odd stays odd and even even, so that a symmetric mesh stays symmetric."""

    def fewer(n: int, factor: float) -> int:
        return max(_FEWEST + n % 2, n - 2 * round((n + 1) * (1 - 1 / factor) / 2))

    return [*(tuple(fewer(n, _RATIO**k) for n in shape) for k in (2, 1)), shape]


def _extrapolate(
    levels: list[np.ndarray],
    spacings: list[float],
    order: int,
    caution: float,
    residuals: np.ndarray,
    smooth: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Finest and extrapolated energies, errors, and whether each level settles as a power of the spacing.

    E(h) = E + C h^p through three spacings gives p; extrapolated where 1 ≤ p ≤ 1.75·order, with p at most the order.
    Beyond order 8 nothing is extrapolated: meshes this coarse are seldom on the asymptote, and their steps shrink unevenly.
    The error is then the last step times (step before / last step)^caution.
    `smooth` is an error that does not depend on h: steps smaller than it are not asked for a power.
    """
    coarse, middle, fine = levels
    ratio = spacings[1] / spacings[2]
    first, second = coarse - middle, middle - fine
    floor = 1e-11 * np.abs(fine).max() + residuals
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.log(np.abs(first / second)) / np.log(ratio)
    tiny = np.abs(second) <= 10 * floor
    # An order far above the scheme's is two errors of opposite sign passing through zero, not accuracy.
    regular = (first * second > 0) & (observed >= 1) & (observed <= 1.75 * order)
    tiny |= ~regular & (np.abs(first) + np.abs(second) <= smooth)
    settled = regular | tiny
    power = np.clip(np.where(np.isfinite(observed), observed, order), 1, order)
    last = np.abs(second)
    if order > 8:
        settled = tiny | (last <= np.abs(first))
        tiny = settled
        last = last * np.maximum(np.abs(first) / np.maximum(last, 1e-300), 1) ** caution
    step = np.where(settled & ~tiny, second / (ratio**power - 1), 0)
    wandering = 4 * (np.abs(first) + np.abs(second))
    errors = np.where(settled, np.abs(step) + np.where(tiny, last, 0), wandering) + floor + smooth
    order_of = np.argsort(fine - step, kind="stable")  # extrapolation may swap levels that nearly touch
    return fine, (fine - step)[order_of], errors[order_of], settled[order_of]


@threadpool_limits.wrap(limits=1)  # vectors this short are slower on many threads, ten times so on busy cores
def _lowest(
    problem: Problem, mesh: Mesh, matrix: Any, values: np.ndarray, k: int, shift: float | None, margin: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """The k lowest eigenpairs, energies ascending, vectors (P, k) orthonormal, and the shift."""
    if shift is None:
        shift = float(values.min()) - 1e-3 * (1 + abs(float(values.min())))  # kinetic energy ≥ 0
        if problem.centres:
            shift = max(shift, _below_centres(problem, mesh, values))
        if mesh.dim < 3 and mesh.size > _DENSE:
            shift = _first_shift(matrix, shift)
    if mesh.size <= _DENSE:
        energies, vectors = scipy.linalg.eigh(matrix.toarray(), subset_by_index=(0, k - 1))
        return energies, vectors, shift
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


def _below_centres(problem: Problem, mesh: Mesh, values: np.ndarray) -> float:
    """Below all levels: of all charges in one place, which -(ΣZ)²/(c (dim - 1)²) is exact for, and V away from them."""
    stiffness = problem.hamiltonian.kinetic_coefficients(mesh.dim).min()
    charge = sum(max(centre.strength, 0.0) for centre in problem.centres)
    away = np.ones(mesh.size, bool)
    for centre in problem.centres:
        away &= np.linalg.norm(mesh.points - centre.position, axis=1) > centre.length
    rest = min(float(values[away].min()), 0.0) if away.any() else 0.0
    return rest - 1.5 * charge**2 / (stiffness * max(mesh.dim - 1, 1) ** 2)


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
    """Mesh values (P, N): polynomials of their degree on elements, quintic tensor-product splines on equally spaced points."""

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
        degree = 5
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
            on_elements = self.mesh.axes[0].edges is not None
            values[inside] = (self._on_elements if on_elements else self._spline)(x[inside])
        return values

    def _on_elements(self, x: np.ndarray) -> np.ndarray:
        parts = [self._few_on_elements(x[i : i + 4096]) for i in range(0, len(x), 4096)]
        return np.concatenate(parts)

    def _few_on_elements(self, x: np.ndarray) -> np.ndarray:
        places, shares = np.zeros((len(x), 1), int), np.ones((len(x), 1))
        for i, axis in enumerate(self.mesh.axes):
            index, share = axis.local_basis(x[:, i])
            places = (places[:, :, None] * len(axis.points) + index[:, None, :]).reshape(len(x), -1)
            shares = (shares[:, :, None] * share[:, None, :]).reshape(len(x), -1)
        return np.einsum("pj,pjn->pn", shares, self.values[places])

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        return self.mesh.points, self.mesh.weights

    def image(self, operator: Operator) -> np.ndarray:
        root = np.sqrt(self.mesh.weights)[:, None]
        return operator.matrix(self.mesh) @ (root * self.values) / root

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings = {
            "kind": "grid",
            "domain": describe_domain(self.domain),
            "axes": [axis.record() for axis in self.mesh.axes],
            "centres": [[*c.position, c.strength, c.length, c.cusp] for c in self.mesh.centres],
        }
        return settings, {"values": self.values}
