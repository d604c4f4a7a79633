"""Energies of trained features in many dimensions, with error bars: a nonsymmetric eigenvalue problem on fresh points."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
import scipy.linalg
from jax.tree_util import Partial
from jaxtyping import Bool, Float, Int, PyTree

from qspin.methods.sampled.functions import BATCH, ProductAnsatz, SampledFunctions, TrialSpace
from qspin.numerics.errors import fall_rates, temple_rates
from qspin.numerics.pencil import whitening
from qspin.numerics.points import golden_lattice
from qspin.numerics.precision import evaluated

__all__ = ["COLLAPSED", "Moments", "Pencil", "SampledEnergies", "evaluate", "solve_pencil"]

_BLOCKS = 32  # at first; the noise decides how many follow, up to eight times as many at once
_SAFETY = 2.0
_ROUNDING = 1e-12  # of |E|
_RESIDUAL_ROUNDING = 1e-6  # of |E|: residuals are roots of differences of squares
_FEWER = 0.8  # of the products, the lower ones, span a smaller space
COLLAPSED = 0.01  # effective share of a sample below which the error of a mean over it cannot be estimated
_STATISTICAL_SHARE = 0.3  # of the tolerance
_REAL = 1e-3  # of the energies' range: an energy with a smaller imaginary part counts as real
_RANK_TOLERANCE = 1e-11


class Moments(NamedTuple):
    """Moments of blocks of points: E[f fᵀ], E[f (Hf)ᵀ], E[Hf (Hf)ᵀ]."""

    overlap: Float[np.ndarray, "blocks m m"]
    energy: Float[np.ndarray, "blocks m m"]
    square: Float[np.ndarray, "blocks m m"]


class Pencil(NamedTuple):
    """The lowest states of E[f (Hf)ᵀ] c = E E[f fᵀ] c, which energies are real, orthonormal vectors, and statistical errors."""

    energies: Float[np.ndarray, " n"]
    residuals: Float[np.ndarray, " n"]
    real: Bool[np.ndarray, " n"]
    vectors: Float[np.ndarray, "m n"]
    statistical: Float[np.ndarray, " n"]


class SampledEnergies(NamedTuple):
    """The states on fresh points, the error of each energy from what the span leaves out, the functions, the quantum numbers
    of the products that they are most similar to, and the effective share of the points."""

    pencil: Pencil
    left_out: Float[np.ndarray, " n"]
    functions: SampledFunctions
    labels: tuple[str, ...]
    n_points: int
    effective_share: float

    def is_sound(self, lowest: float) -> bool:
        """Whether enough of the sample counts, and no energy is below the lowest value of V, where none can be."""
        return self.effective_share >= COLLAPSED and not self.is_below(lowest)

    def is_below(self, lowest: float) -> bool:
        """Whether an energy is below the lowest value of V."""
        return not (self.pencil.energies >= lowest - 1e-9 * abs(lowest)).all()


def evaluate(
    trial: TrialSpace, params: PyTree, before: PyTree | None, tolerance: float, most_points: int, seed: int
) -> SampledEnergies:
    """Energies on fresh points, which are added until statistical errors are 0.3 of the tolerance, up to `most_points`.

    Memory O(blocks · M²), constant in the points. `before` are the parameters before training, None where there was none: the
    rate α at which energies fell with residual² since then turns residuals into errors.
    """
    ansatz, n = trial.ansatz, trial.n_states
    lattice = golden_lattice(BATCH, ansatz.box.dim + 1, offset=0.0)
    key = jax.random.key(np.uint32((seed * 7919 + 2**31) % 2**32))

    def moments(params: PyTree, numbers: range) -> Moments:
        shifts = (
            np.asarray(jax.random.uniform(jax.random.fold_in(key, b), lattice.shape[1:])) for b in numbers
        )
        parts = zip(*(trial.moments(params, (lattice + shift) % 1) for shift in shifts), strict=True)
        return Moments(*(np.stack([np.asarray(a) for a in part]) for part in parts))

    blocks, count = moments(params, range(_BLOCKS)), _BLOCKS
    while True:
        if not all(np.isfinite(part).all() for part in blocks):
            raise ValueError(
                "evaluate: ψ or Hψ is not finite at some points: V may be infinite or nan there."
            )
        states = solve_pencil(blocks, n)
        allowed = _STATISTICAL_SHARE * tolerance * np.maximum(np.abs(states.energies), 1e-300)
        ratio = (states.statistical / allowed).max()
        if ratio <= 1 or count * BATCH >= most_points:
            break
        done, count = count, int(min(count * min(max(ratio**2, 1.5), 8.0), -(-most_points // BATCH)))
        more = moments(params, range(done, count))
        blocks = Moments(*(np.concatenate(pair) for pair in zip(blocks, more, strict=True)))
    first = states if before is None else solve_pencil(moments(before, range(_BLOCKS)), n)
    lower = _lower_products(ansatz, n)
    fewer = solve_pencil(Moments(*(part[:, lower][:, :, lower] for part in blocks)), n)
    x, shift = (np.asarray(part) for part in jax.jit(ansatz.points)(np.clip(lattice, 1e-9, 1 - 1e-9)))
    functions = SampledFunctions(ansatz, params, states.vectors, x, np.exp(2 * shift))
    root = np.exp(shift)[:, None]
    psi, products = root * functions(x), root * evaluated(Partial(ansatz.values, ansatz.init(0)), x)
    density = np.sum(psi**2, axis=1)
    return SampledEnergies(
        states,
        _left_out(states, first, fewer),
        functions,
        _labels(ansatz, products, psi),
        count * BATCH,
        float(density.sum() ** 2 / (density**2).sum() / len(density)),
    )


def _left_out(states: Pencil, first: Pencil, fewer: Pencil) -> Float[np.ndarray, " n"]:
    """2·α·residual²: α from the fall of the energies with residual² since a `first` stage of training, or 1/gap where there was
    none; or, if that is more, from the fall when the highest products, on which upper states depend, are added to `fewer`."""
    energies, squares = states.energies, states.residuals**2
    temple = temple_rates(energies, states.residuals, _RESIDUAL_ROUNDING * np.abs(energies))
    rates = fall_rates(energies, squares, first.energies, first.residuals**2, otherwise=temple)
    typical = np.median(rates)
    rates = np.minimum(np.maximum(rates, typical), np.maximum(temple, typical))
    drop = np.maximum(fewer.residuals**2 - squares, np.maximum(squares, 1e-290))
    leaning = np.maximum(fewer.energies - energies, 0) / drop
    return _SAFETY * np.maximum(rates, leaning) * squares + _ROUNDING * np.abs(energies)


def _lower_products(ansatz: ProductAnsatz, n: int) -> Int[np.ndarray, " fewer"]:
    """Indices of the lower 0.8 of each well's products, at least n in all."""
    share, place = max(_FEWER, n / ansatz.n_features), 0
    chosen: list[int] = []
    for r in ansatz.references:
        chosen += range(place, place + int(np.ceil(share * r.n_products)))
        place += r.n_products
    return np.array(chosen)


def _labels(
    ansatz: ProductAnsatz, products: Float[np.ndarray, "batch m"], psi: Float[np.ndarray, "batch n"]
) -> tuple[str, ...]:
    """For each function the product of the reference that it is most similar to: quanta along the reference's axes, by
    falling extent, and the square of the overlap; and the next one's where that is more than a tenth."""
    names = []
    for w, reference in enumerate(ansatz.references):
        well = f"well {w}: " if len(ansatz.references) > 1 else ""
        for level in reference.levels:
            quanta = " ".join(f"{n}·ν{i}" if n > 1 else f"ν{i}" for i, n in enumerate(level) if n)
            names.append(well + (quanta or "ground"))
    unit = products / np.linalg.norm(products, axis=0)
    labels = []
    for share in ((unit.T @ (psi / np.linalg.norm(psi, axis=0))) ** 2).T:
        order = np.argsort(-share)
        chosen = [order[0], *(m for m in order[1:3] if share[m] > 0.1)]
        labels.append(" + ".join(f"{names[m]} {min(share[m], 1):.0%}" for m in chosen))
    return tuple(labels)


def solve_pencil(blocks: Moments, n: int) -> Pencil:
    """The n lowest states of the mean moments.

    Directions whose overlap is only rounding are dropped first. The matrix is not symmetric: noise may turn close levels into
    pairs of complex energies, of which the real parts are returned. Errors are an infinitesimal jackknife: first-order
    perturbation by each block.
    """
    overlap, energy, square = (part.mean(0) for part in blocks)
    basis = whitening(overlap, _RANK_TOLERANCE)
    if basis.shape[1] < n:
        raise ValueError(
            f"evaluate: only {basis.shape[1]} of the {len(overlap)} trial functions are independent, {n} states are wanted. "
            f"Take n_features = {2 * len(overlap)}, or fewer states; for a polynomial V use qspin.ProductBasis()."
        )
    matrix = basis.T @ energy @ basis
    values, left, right = scipy.linalg.eig(matrix, left=True)
    order = np.lexsort((values.imag, values.real))[:n]
    values, left, right = values[order], left[:, order], right[:, order]
    spread = max(np.ptp(values.real), 1e-3 * np.abs(values.real).max(), 1e-300)
    real = np.abs(values.imag) <= _REAL * spread
    # Statistical: d E = l (dP - E dS) r / (l r), averaged over blocks.
    norm = np.einsum("ik,ik->k", left.conj(), right)
    norm = np.where(np.abs(norm) > 1e-3, norm, 1e-3)
    outer, inner = basis @ left, basis @ right
    changes = [
        np.einsum("ik,bik->bk", outer.conj(), part @ inner) for part in (blocks.energy, blocks.overlap)
    ]
    shifts = (changes[0] - values * changes[1]) / norm
    statistical = np.std(np.real(shifts), axis=0, ddof=1) / np.sqrt(len(shifts))
    span = np.where(values.imag > 0, right.imag, right.real)
    span = span / np.linalg.norm(span, axis=0)
    along = np.einsum("ik,ij,jk->k", basis @ span, square, basis @ span)
    mixed = np.einsum("ik,ij,jk->k", span, matrix, span)
    residuals = np.sqrt(np.maximum(along - 2 * values.real * mixed + values.real**2, 0))
    # Orthonormalise in order; within noise the vectors are orthonormal already.
    orthonormal, triangle = np.linalg.qr(span)
    orthonormal = orthonormal * np.sign(np.diagonal(triangle))
    return Pencil(values.real, residuals, real, basis @ orthonormal, statistical)
