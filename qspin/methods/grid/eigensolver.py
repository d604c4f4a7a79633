"""The lowest eigenpairs of a Hamiltonian on a mesh, by diagonalisation, or by factorised or matrix-free inversion.

Up to 1000 unknowns the whole matrix is diagonalised. Beyond, Lanczos iterations use (H - shift)⁻¹. Sparse matrices in one and
two dimensions are factorised, and the signs of a second factorisation count the eigenvalues below a gap (Sylvester's law of
inertia), so that none is missed. In three dimensions, and for a DVR in two, conjugate gradients give the inverse (for a DVR
with matrix-free Kronecker products), and a second Lanczos pass in the complement of the known states looks for others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from jaxtyping import Float, Inexact
from threadpoolctl import threadpool_limits

from qspin.methods.grid.mesh import MeshOperator, along

__all__ = ["EXTRA", "Eigenpairs", "lowest"]

EXTRA = 4  # states beyond those that are wanted, so that a degenerate level is not cut inside
_MARGIN = 0.1  # how far below the lowest level the matrix is inverted, as a share of the levels' range
_DENSE = 1000  # unknowns up to which the whole matrix is diagonalised
_PRECISION = 1e-10  # of Lanczos vectors; energies have its square
_ATTEMPTS = 4  # Lanczos runs, as long as states turn out to be missing

Energies = Float[np.ndarray, " k"]
Vectors = Inexact[np.ndarray, "P k"]


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Energies ascending, vectors orthonormal, a shift below them for the next mesh, and how they were computed.

    `missed` counts levels that a check found missing and that were then added; `complete` says that the last check found
    none.
    """

    energies: Energies
    vectors: Vectors
    shift: float
    solver: str
    check: str
    missed: int = 0
    complete: bool = True


@threadpool_limits.wrap(limits=1)  # vectors this short are slower on many threads, ten times so on busy cores
def lowest(h: MeshOperator, n_states: int, shift: float | None = None) -> Eigenpairs:
    """The `n_states` lowest eigenpairs, and `EXTRA` more above them, of which some may be missing.

    `shift` is the point of inversion that a coarser mesh suggests.
    """
    last = n_states + EXTRA - 1
    graded = (
        h.mesh.dim == 1 and h.mesh.axes[0].edges is not None
    )  # of huge norm, whose rounding an inverse does not see
    if h.mesh.size <= (3 * last + 30 if graded else _DENSE):
        energies, vectors = scipy.linalg.eigh(h.matrix.toarray(), subset_by_index=(0, last))
        return Eigenpairs(energies, vectors, _shift_below(energies), "dense", "all of the matrix")
    if h.mesh.dim == 1 or (h.mesh.dim == 2 and h.sparse):
        return _by_factorisation(h, n_states, shift)
    return _by_iteration(h, n_states, shift)


def _by_factorisation(h: MeshOperator, n_states: int, shift: float | None) -> Eigenpairs:
    """Eigenpairs by two sparse factorisations: one for the inverse, and one that counts the eigenvalues below a gap."""
    matrix = h.matrix

    def inverse(shift: float) -> spla.LinearOperator:
        return spla.LinearOperator(matrix.shape, matvec=_lu(matrix, shift).solve, dtype=matrix.dtype)

    def missing(energies: Energies, vectors: Vectors, used: float) -> int:
        """How many eigenvalues below the widest gap above the wanted states are not among these."""
        below = n_states + int(np.argmax(np.diff(energies)[n_states - 1 :]))
        count = _count_below(matrix, (energies[below - 1] + energies[below]) / 2)
        if count is None:
            return _second_pass(h, n_states, energies, vectors, inverse(used))
        return max(count - below, 0)

    if shift is None:  # a rough eigenvalue from a safe bound, which may lie very far below
        bound = _lower_bound(h)
        start = np.ones(h.mesh.size, matrix.dtype)
        options = {"sigma": bound, "OPinv": inverse(bound), "v0": start, "tol": 1e-3}
        rough = float(spla.eigsh(matrix, 1, return_eigenvectors=False, **options)[0])
        shift = rough - 0.05 * max(rough - bound, 1e-6 * abs(bound))
    return _lanczos(
        h, matrix, n_states, shift, inverse, _PRECISION, missing, ("Lanczos, factorised", "inertia")
    )


def _by_iteration(h: MeshOperator, n_states: int, shift: float | None) -> Eigenpairs:
    """Eigenpairs by conjugate gradients, preconditioned by the inverse of H's separable part."""
    shape = (h.mesh.size, h.mesh.size)

    def inverse(shift: float, tolerance: float = 1e-12) -> spla.LinearOperator:
        shifted = spla.LinearOperator(
            shape, matvec=lambda x: h.apply(x.ravel()) - shift * x.ravel(), dtype=h.dtype
        )
        separable = spla.LinearOperator(shape, matvec=_separable_inverse(h, shift), dtype=h.dtype)

        def solve(b: Inexact[np.ndarray, "..."]) -> Inexact[np.ndarray, " P"]:
            x, info = spla.cg(shifted, b.ravel(), rtol=tolerance, maxiter=2000, M=separable)
            if info:
                raise ValueError(
                    "Grid: conjugate gradients did not converge: H - shift is not positive. Use more points."
                )
            return x

        return spla.LinearOperator(shape, matvec=solve, dtype=h.dtype)

    def missing(energies: Energies, vectors: Vectors, used: float) -> int:
        return _second_pass(h, n_states, energies, vectors, inverse(used, 1e-5))

    shift = _lower_bound(h) if shift is None else shift
    operator = spla.LinearOperator(shape, matvec=h.apply, matmat=h.apply, dtype=h.dtype)
    names = ("Lanczos, conjugate gradients", "second pass")
    return _lanczos(h, operator, n_states, shift, inverse, _PRECISION, missing, names)


def _lanczos(
    h: MeshOperator,
    matrix: sp.csr_array | spla.LinearOperator,
    n_states: int,
    shift: float,
    inverse: Callable[[float], spla.LinearOperator],
    precision: float,
    missing: Callable[[Energies, Vectors, float], int],
    names: tuple[str, str],
) -> Eigenpairs:
    """Run Lanczos iterations on the inverse, and again for more states as long as some are missing."""
    k, missed = n_states + EXTRA, 0
    for seed in range(_ATTEMPTS):
        start: Any = np.random.default_rng(seed).normal(size=h.mesh.size).astype(h.dtype)
        for _ in range(6):
            options = {"which": "LM", "OPinv": inverse(shift), "v0": start, "tol": precision}
            held = min(
                max(2 * (k + missed) + 20, 60), h.mesh.size
            )  # many: deep levels leave small gaps to the others
            energies, vectors = spla.eigsh(matrix, k + missed, sigma=shift, ncv=held, **options)
            ascending = np.argsort(energies)
            energies, vectors = energies[ascending], vectors[:, ascending]
            if energies[0] > shift:
                break
            # Something lies below the shift, and more may: go further down.
            shift = energies[0] - max(_MARGIN * (energies[-1] - energies[0]), 1e-3 * abs(energies[0]))
        vectors, _ = np.linalg.qr(vectors)
        n_missing = missing(energies, vectors, shift)
        if n_missing == 0 or seed == _ATTEMPTS - 1:
            break
        missed += n_missing
    return Eigenpairs(energies[:k], vectors[:, :k], _shift_below(energies), *names, missed, n_missing == 0)


def _shift_below(energies: Energies) -> float:
    """The point of inversion for the next mesh: below its lowest level."""
    lowest, spread = energies[0], energies[-1] - energies[0]
    return float(lowest - _MARGIN * max(spread, 1e-3 * abs(lowest), 1e-9 * np.abs(energies).max()))


def _lower_bound(h: MeshOperator) -> float:
    """A bound below all levels. On a line, where the signs of a factorisation say that none is lower, starting from the
    smallest diagonal entry. Else the minimum of V, as kinetic energy is not negative; with centres, V away from them minus 1.5
    times the binding energy of all charges in one place, (ΣZ)²/(c (dim - 1)²)."""
    if h.mesh.dim == 1:
        top = float(h.matrix.diagonal().real.min())
        for step in (1e-3 + abs(top)) * 4.0 ** np.arange(-2, 60):
            if _count_below(h.matrix, top - step) == 0:
                return float(top - step)
    least = float(h.values.min())
    bound, centres = least - 1e-3 * (1 + abs(least)), h.mesh.centres
    if not centres:
        return bound
    charge = sum(max(centre.strength, 0.0) for centre in centres)
    away = np.ones(h.mesh.size, bool)
    for centre in centres:
        away &= np.linalg.norm(h.mesh.points - centre.position, axis=1) > centre.length
    rest = min(float(h.values[away].min()), 0.0) if away.any() else 0.0
    return max(bound, rest - 1.5 * charge**2 / (h.form.coefficients.min() * max(h.mesh.dim - 1, 1) ** 2))


def _second_pass(
    h: MeshOperator, n_states: int, energies: Energies, vectors: Vectors, inverse: spla.LinearOperator
) -> int:
    """1 where the complement of these vectors holds a state below the last one that is wanted, else 0."""

    def outside(x: Inexact[np.ndarray, " P"]) -> Inexact[np.ndarray, " P"]:
        return x - vectors @ (vectors.conj().T @ x)

    deflated = spla.LinearOperator(
        inverse.shape, matvec=lambda x: outside(inverse.matvec(outside(x.ravel()))), dtype=h.dtype
    )
    start: Any = np.random.default_rng(99).normal(size=h.mesh.size).astype(h.dtype)
    _, vector = spla.eigsh(deflated, 1, which="LA", v0=outside(start), tol=1e-3)
    x = outside(vector[:, 0])
    energy = float(np.real(np.vdot(x, h.apply(x)) / np.vdot(x, x)))  # from above
    last = energies[n_states - 1]
    return int(energy < last - 1e-9 * max(np.ptp(energies), 1e-3 * abs(last)))


def _count_below(matrix: sp.csr_array, energy: float) -> int | None:
    """Eigenvalues below an energy: negative pivots of H - E without row exchanges; None where there were exchanges."""
    scale = sp.diags_array(
        1 / np.sqrt(np.abs(matrix.diagonal()) + abs(energy) + 1e-300)
    )  # it keeps the signs
    try:
        lu = _lu(sp.csr_array(scale @ (matrix - energy * sp.eye_array(matrix.shape[0])) @ scale), 0.0)
    except RuntimeError:  # a pivot of exactly zero
        return None
    if not np.array_equal(lu.perm_r, lu.perm_c):
        return None
    pivots = lu.U.diagonal().real
    return int((pivots < 0).sum()) if np.abs(pivots).min() > 1e-12 * np.abs(pivots).max() else None


def _lu(matrix: sp.csr_array, shift: float) -> Any:
    """A SuperLU object: the factors of H - shift, symmetrically permuted."""
    shifted = sp.csc_array(matrix - shift * sp.eye_array(matrix.shape[0]))
    options = {"SymmetricMode": True}
    return spla.splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)


def _separable_inverse(
    h: MeshOperator, shift: float
) -> Callable[[Inexact[np.ndarray, "..."]], Inexact[np.ndarray, " P"]]:
    """(Σ_i h_i + constant)⁻¹ for one-dimensional h_i = kinetic + cut of V: exact, through their eigenvectors."""
    v = h.mesh.spread(h.values - h.values.min())  # outside a region as low as it gets
    bottom = np.unravel_index(v.argmin(), v.shape)
    separable = not h.mesh.centres and h.mesh.kept is None
    levels, modes = [], []
    for i, matrix in enumerate(h.axis_matrices):
        # The cut of V through its minimum. With a singular centre it is useless, and the kinetic energy alone is taken.
        cut = v[tuple(slice(None) if j == i else b for j, b in enumerate(bottom))]
        own, vectors = np.linalg.eigh(matrix + np.diag(cut if separable else np.zeros(len(cut))))
        levels.append(own)
        modes.append(vectors)
    base = max(-shift, 1e-3) if h.mesh.centres else float(h.values.min()) - shift
    denominator = reduce(np.add.outer, levels) + max(base, 1e-6 * abs(shift))

    def inverse(b: Inexact[np.ndarray, "..."]) -> Inexact[np.ndarray, " P"]:
        x = h.mesh.spread(b.ravel())
        for i, vectors in enumerate(modes):
            x = along(vectors.conj().T, x, i)
        x = x / denominator
        for i, vectors in enumerate(modes):
            x = along(vectors, x, i)
        return h.mesh.gather(x.ravel())

    return inverse
