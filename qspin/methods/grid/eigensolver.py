"""The lowest eigenpairs of a Hamiltonian on a mesh, none missing: by diagonalisation, factorised or matrix-free inversion.

Up to 1000 unknowns the whole matrix is diagonalised. Beyond, Lanczos on (H - shift)⁻¹. Sparse matrices in one and two
dimensions are factorised, and there the eigenvalues below a gap are counted by the signs of a second factorisation (Sylvester's
law of inertia). In three dimensions, and for a DVR in two, the inverse is by conjugate gradients, of a DVR with matrix-free
Kronecker products, and a second Lanczos pass in the complement of what was found looks for what was not.
"""

from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from threadpoolctl import threadpool_limits

from qspin.methods.grid.mesh import Mesh
from qspin.problem.problem import Problem

__all__ = ["Discretised", "Eigenpairs", "lowest"]

_DENSE = 1000  # unknowns up to which the whole matrix is diagonalised
_PRECISION = 1e-11  # of Lanczos on an inverse that is itself iterated


@dataclass(frozen=True, eq=False)
class Discretised:
    """H = Σ_i c_i (-∂²/∂x_i²) + V on a mesh: as a sparse matrix, and as a function of vectors.

    Memory: the matrix takes O(P · neighbours · dim). `apply` uses it where points have few neighbours; with a DVR it needs
    one small matrix an axis and no more memory than its vectors.
    """

    mesh: Mesh
    coefficients: np.ndarray
    potential: sp.csr_array

    @classmethod
    def build(cls, problem: Problem, mesh: Mesh) -> "Discretised":
        potential = mesh.multiplication(problem.local.potential)
        if not np.isfinite(potential.diagonal()).all():
            problem.potential_values(mesh.points)  # names the point
        return cls(mesh, problem.local.coefficients, potential)

    @property
    def size(self) -> int:
        """Number of unknowns, P."""
        return self.mesh.size

    @property
    def dtype(self) -> Any:
        """complex with a Bloch wave vector."""
        return complex if any(axis.phase for axis in self.mesh.axes) else float

    @cached_property
    def values(self) -> np.ndarray:
        """V at the points, (P,)."""
        return self.potential.diagonal()

    @cached_property
    def matrix(self) -> sp.csr_array:
        """(P, P), symmetric or Hermitian."""
        return sp.csr_array(self.mesh.kinetic(self.coefficients) + self.potential)

    @cached_property
    def _axes(self) -> list[np.ndarray]:
        return [c * axis.matrix.toarray() for c, axis in zip(self.coefficients, self.mesh.axes, strict=True)]

    @cached_property
    def sparse(self) -> bool:
        """Whether points have few neighbours."""
        return all(axis.matrix.nnz < 20 * len(axis.points) for axis in self.mesh.axes)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """H x of (P,) or (P, n)."""
        if self.sparse:
            return self.matrix @ x
        inner = self.mesh.spread(x)
        total = np.zeros(inner.shape, np.result_type(x.dtype, self.dtype))
        for i, matrix in enumerate(self._axes):
            total += np.moveaxis(np.tensordot(matrix, inner, axes=(1, i)), 0, i)
        image = self.mesh.gathered(total.reshape(-1, *x.shape[1:])) + self.potential @ x
        if self.mesh.cuts is not None:
            cuts = self.mesh.cuts @ self.coefficients
            image = image + (cuts[:, None] * x if x.ndim > 1 else cuts * x)
        return image

    @property
    def operator(self) -> spla.LinearOperator:
        """`apply`, as SciPy wants it."""
        shape = (self.size, self.size)
        return spla.LinearOperator(shape, matvec=self.apply, matmat=self.apply, dtype=self.dtype)


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Energies (k,) ascending, vectors (P, k) orthonormal, a shift below them for the next mesh, and how they were found.

    `missed` levels were found below the last one by the second look, and are in; `complete` says that the last look found
    no more.
    """

    energies: np.ndarray
    vectors: np.ndarray
    shift: float
    solver: str
    check: str
    missed: int = 0
    complete: bool = True


@threadpool_limits.wrap(limits=1)  # vectors this short are slower on many threads, ten times so on busy cores
def lowest(
    h: Discretised, wanted: int, extra: int = 4, shift: float | None = None, margin: float = 0.1
) -> Eigenpairs:
    """The `wanted` lowest eigenpairs, and about `extra` more above them, of which some may be missing.

    `shift` is where a coarser mesh suggests to invert, `margin` how far below the lowest level, as a share of their range.
    """
    k = wanted + extra
    if h.size <= _DENSE:
        energies, vectors = scipy.linalg.eigh(h.matrix.toarray(), subset_by_index=(0, k - 1))
        return Eigenpairs(energies, vectors, _below(energies, margin), "dense", "all of the matrix")
    factorise = h.mesh.dim == 1 or (h.mesh.dim == 2 and h.sparse)
    if shift is None:
        shift = float(h.values.min()) - 1e-3 * (1 + abs(float(h.values.min())))  # kinetic energy ≥ 0
        if h.mesh.centres:
            shift = max(shift, _below_centres(h))
        if factorise:
            shift = _first_shift(h.matrix, shift)
    solver = "Lanczos, factorised" if factorise else "Lanczos, conjugate gradients"
    missed, seed = 0, 0
    while True:
        energies, vectors, shift, inverse = _lanczos(h, k + missed, shift, margin, seed, factorise)
        found = _overlooked(h, wanted, energies, vectors, inverse, shift, factorise)
        if found == 0 or seed == 3:
            break
        missed, seed = missed + found, seed + 1
    check = "inertia" if factorise else "second pass"
    complete = found == 0
    return Eigenpairs(energies[:k], vectors[:, :k], _below(energies, margin), solver, check, missed, complete)


def _below(energies: np.ndarray, margin: float) -> float:
    return float(
        energies[0]
        - margin * max(energies[-1] - energies[0], 1e-3 * abs(energies[0]), 1e-9 * np.abs(energies).max())
    )


def _lanczos(
    h: Discretised, k: int, shift: float, margin: float, seed: int, factorise: bool
) -> tuple[np.ndarray, np.ndarray, float, spla.LinearOperator]:
    start = np.random.default_rng(seed).normal(size=h.size).astype(h.dtype)
    hamiltonian = h.matrix if factorise else h.operator
    for _ in range(6):
        inverse = _factorised(h.matrix, shift) if factorise else _iterated(h, shift)
        energies, vectors = spla.eigsh(
            hamiltonian,
            k,
            sigma=shift,
            which="LM",
            OPinv=inverse,
            v0=start,
            tol=0 if factorise else _PRECISION,
        )
        ascending = np.argsort(energies)
        energies, vectors = energies[ascending], vectors[:, ascending]
        if energies[0] > shift:
            break
        # Something lies below the shift, and more may: go further down.
        shift = energies[0] - max(margin * (energies[-1] - energies[0]), 1e-3 * abs(energies[0]))
    vectors, _ = np.linalg.qr(vectors)
    return energies, vectors, shift, inverse


def _overlooked(
    h: Discretised,
    wanted: int,
    energies: np.ndarray,
    vectors: np.ndarray,
    inverse: spla.LinearOperator,
    shift: float,
    factorise: bool,
) -> int:
    """How many eigenvalues lie below the found ones' widest upper gap that are not among them."""
    if factorise:
        gaps = np.diff(energies)
        below = (
            len(energies) - 1 - int(np.argmax(gaps[::-1][: max(len(gaps) // 2, 1)]))
        )  # levels under the gap
        between = (energies[below - 1] + energies[below]) / 2
        count = _count_below(h.matrix, between)
        if count is not None:
            return max(count - below, 0)

    rough = inverse if factorise else _iterated(h, shift, 1e-5)

    def outside(x: np.ndarray) -> np.ndarray:
        return x - vectors @ (vectors.conj().T @ x)

    deflated = spla.LinearOperator(
        rough.shape, matvec=lambda x: outside(rough.matvec(outside(x.ravel()))), dtype=h.dtype
    )
    start = np.random.default_rng(99).normal(size=h.size).astype(h.dtype)
    _, vector = spla.eigsh(deflated, 1, which="LA", v0=outside(start), tol=1e-3)
    x = outside(vector[:, 0])
    energy = float(np.real(np.vdot(x, h.apply(x)) / np.vdot(x, x)))  # from above
    last = energies[wanted - 1]
    return int(energy < last - 1e-9 * max(np.ptp(energies), 1e-3 * abs(last)))


def _count_below(matrix: sp.csr_array, energy: float) -> int | None:
    """Eigenvalues below an energy: negative pivots of H - E without row exchanges; None where there were exchanges."""
    try:
        lu = _lu(matrix, energy)
    except RuntimeError:  # a pivot of exactly zero
        return None
    if not np.array_equal(lu.perm_r, lu.perm_c):
        return None
    pivots = lu.U.diagonal().real
    return int((pivots < 0).sum()) if np.abs(pivots).min() > 1e-12 * np.abs(pivots).max() else None


def _below_centres(h: Discretised) -> float:
    """Below all levels: of all charges in one place, which -(ΣZ)²/(c (dim - 1)²) is exact for, and V away from them."""
    charge = sum(max(centre.strength, 0.0) for centre in h.mesh.centres)
    away = np.ones(h.size, bool)
    for centre in h.mesh.centres:
        away &= np.linalg.norm(h.mesh.points - centre.position, axis=1) > centre.length
    rest = min(float(h.values[away].min()), 0.0) if away.any() else 0.0
    return rest - 1.5 * charge**2 / (h.coefficients.min() * max(h.mesh.dim - 1, 1) ** 2)


def _first_shift(matrix: sp.csr_array, bound: float) -> float:
    """A shift close below the spectrum: a rough eigenvalue from a safe bound, which may lie very far below."""
    rough = spla.eigsh(
        matrix, 1, sigma=bound, OPinv=_factorised(matrix, bound), v0=np.ones(matrix.shape[0], matrix.dtype), tol=1e-3,
        return_eigenvectors=False,
    )[0]  # fmt: skip
    return float(rough) - 0.05 * max(float(rough) - bound, 1e-6 * abs(bound))


def _lu(matrix: sp.csr_array, shift: float) -> Any:
    return spla.splu(
        sp.csc_array(matrix - shift * sp.eye_array(matrix.shape[0])),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )


def _factorised(matrix: sp.csr_array, shift: float) -> spla.LinearOperator:
    return spla.LinearOperator(matrix.shape, matvec=_lu(matrix, shift).solve, dtype=matrix.dtype)


def _iterated(h: Discretised, shift: float, tolerance: float = 1e-12) -> spla.LinearOperator:
    """(H - shift)⁻¹ by conjugate gradients, preconditioned by the inverse of H's separable part."""
    shape = (h.size, h.size)
    shifted = spla.LinearOperator(
        shape, matvec=lambda x: h.apply(x.ravel()) - shift * x.ravel(), dtype=h.dtype
    )
    precondition = spla.LinearOperator(shape, matvec=_SeparableInverse.build(h, shift), dtype=h.dtype)

    def solve(b: np.ndarray) -> np.ndarray:
        x, info = spla.cg(shifted, b.ravel(), rtol=tolerance, maxiter=2000, M=precondition)
        if info:
            raise ValueError(
                "Grid: conjugate gradients did not converge: H - shift is not positive. Use more points."
            )
        return x

    return spla.LinearOperator(shape, matvec=solve, dtype=h.dtype)


@dataclass(frozen=True, eq=False)
class _SeparableInverse:
    """(Σ_i h_i + constant)⁻¹ for one-dimensional h_i = kinetic + cut of V: exact, through their eigenvectors."""

    mesh: Mesh
    vectors: list[np.ndarray]
    denominator: np.ndarray

    @classmethod
    def build(cls, h: Discretised, shift: float) -> "_SeparableInverse":
        v = h.mesh.spread(h.values - h.values.min())  # outside a region as low as it gets
        bottom = np.unravel_index(v.argmin(), v.shape)
        separable = not h.mesh.centres and h.mesh.kept is None
        eigen = []
        for i, axis in enumerate(h.mesh.axes):
            # The cut of V through its minimum; with a singular centre that says nothing, and the kinetic energy alone serves.
            cut = v[tuple(slice(None) if j == i else b for j, b in enumerate(bottom))]
            potential = cut if separable else np.zeros(len(cut))
            eigen.append(np.linalg.eigh(h.coefficients[i] * axis.matrix.toarray() + np.diag(potential)))
        base = max(-shift, 1e-3) if h.mesh.centres else float(h.values.min()) - shift
        sums = reduce(np.add.outer, [weights for weights, _ in eigen])
        return cls(h.mesh, [vectors for _, vectors in eigen], sums + max(base, 1e-6 * abs(shift)))

    def __call__(self, b: np.ndarray) -> np.ndarray:
        x = self.mesh.spread(b.ravel())
        for i, vectors in enumerate(self.vectors):
            x = np.moveaxis(np.tensordot(vectors.conj().T, x, axes=(1, i)), 0, i)
        x = x / self.denominator
        for i, vectors in enumerate(self.vectors):
            x = np.moveaxis(np.tensordot(vectors, x, axes=(1, i)), 0, i)
        return self.mesh.gathered(x.ravel())
