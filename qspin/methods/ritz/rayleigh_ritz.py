"""Rayleigh–Ritz over many features on a quadrature rule, verified on a finer one, without ever forming Σ.

The features' overlaps Σ = ΦᵀWΦ square the condition number of Φ: 400 features gave 4e-10 through the singular values of √W·Φ
and 1.6e-6 through Σ. Cost for P points, M features and R functions: basis O(P M²), projection and check O(P M R); memory
O(M² + 2048 · dim · M).
"""

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float, Num

from qspin.methods.ritz.features import BLOCK, Trial
from qspin.methods.ritz.quadrature import Rule
from qspin.numerics.errors import energy_scale, fall_rates, is_rough, shared_in_levels, temple_rates

__all__ = ["RULE_SAFETY", "Solution", "bases", "densities", "integral", "lowest", "solve", "sums"]

_COLUMNS = 32  # sums are compiled for multiples of so many functions
_CUT = 1e-11  # share of the largest singular value, below which one is dropped
_FEWER = 0.7  # of the features span a smaller space, whose energies give the errors
_SAFETY = 8.0  # of errors read off residuals
RULE_SAFETY = 3.0  # the finer rule is not exact either


class Sums(NamedTuple):
    """Integrals over functions ψ: overlaps, weak ⟨ψ|H|ψ'⟩, ⟨ψ|Hψ'⟩, ⟨Hψ|Hψ'⟩; and Σ_n ⟨pp^T⟩."""

    overlap: Num[Array | np.ndarray, "n n"]
    energy: Num[Array | np.ndarray, "n n"]
    strong: Num[Array | np.ndarray, "n n"]
    square: Num[Array | np.ndarray, "n n"]
    momentum: Float[Array | np.ndarray, "dim dim"]

    def lowest(self, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energies, residuals |Hψ - Eψ| and the rotation to the Ritz functions of some of the functions."""
        energies, rotation = scipy.linalg.eigh(self.energy[part, part], self.overlap[part, part])
        strong, square = (
            np.real(np.einsum("ij,ik,kj->j", rotation.conj(), matrix[part, part], rotation))
            for matrix in (self.strong, self.square)
        )
        return energies, np.sqrt(np.maximum(square - 2 * energies * strong + energies**2, 0)), rotation


class Solution(NamedTuple):
    """Combinations (M, N) of features, with energies and errors verified on `rule`."""

    trial: Trial
    combination: Num[np.ndarray, "features states"]
    energies: Float[np.ndarray, " known"]  # of the N states, and some above
    errors: Float[np.ndarray, " states"]
    residuals: Float[np.ndarray, " states"]
    rule: Rule
    solved_on: int  # points
    exploited: float  # largest difference of energies between the two rules


# --- integrands on a block of points


@jax.jit
def _rows(trial: Trial, block: Rule) -> Float[Array, "batch features"]:
    """√w·Φ: a row for each point."""
    return jnp.sqrt(block.weights)[:, None] * jax.vmap(trial.at)(jnp.asarray(block.points))


def _sums(trial: Trial, c: Float[Array, " dim"], combination: Num[Array, "features n"], block: Rule) -> Sums:
    """`Sums` of combinations. With a Bloch wave vector k functions are e^{ikx}·ψ, and every gradient is (∂ + ik) ψ."""
    w, wave = block.weights[:, None], trial.coordinates.wave
    f = trial.features(jnp.asarray(block.points), c)
    psi = f.values @ combination
    slopes = [f.gradients[:, i] @ combination for i in range(len(wave))]
    image = block.potential[:, None] * psi - f.laplacians @ combination
    if trial.coordinates.is_bloch:
        slopes = [s + 1j * k * psi for s, k in zip(slopes, wave, strict=True)]
        for ci, k, slope in zip(c, wave, slopes, strict=True):  # (∂ + ik)² = ∂² + 2ik(∂ + ik) + k²
            image -= ci * (2j * k * slope + k**2 * psi)
    height = block.potential[:, None]
    if len(trial.coordinates.exponents):
        # ψ = g·φ: ∫ c|ψ'|² + V|ψ|² is ∫ c|gφ'|² + (V - c g''/g)|ψ|², where what is singular has gone (Friedrichs' extension).
        slope, curve = jax.vmap(trial.coordinates.at_walls)(jnp.asarray(block.points))
        slopes, height = [slopes[0] - slope * psi], height - c[0] * curve
    return Sums(
        (psi * w).conj().T @ psi,
        (psi * w * height).conj().T @ psi
        + sum(k * (s * w).conj().T @ s for k, s in zip(c, slopes, strict=True)),
        (psi * w).conj().T @ image,
        (image * w).conj().T @ image,
        jnp.stack([jnp.stack([jnp.real(jnp.sum(w * s.conj() * t)) for t in slopes]) for s in slopes]),
    )


_all_sums = jax.jit(_sums)
_hamiltonian = jax.jit(lambda *arguments: _sums(*arguments).energy)  # the other sums are not compiled then


# --- over all of a rule


def _blocks(rule: Rule) -> Iterator[Rule]:
    """Split a rule into blocks of one size; points of weight 0 fill the last one."""
    for start in range(0, len(rule), BLOCK):
        x, w, v = (a[start : start + BLOCK] for a in (rule.points, rule.weights, rule.potential))
        missing = BLOCK - len(w)
        if missing:
            x = np.concatenate([x, np.broadcast_to(x[:1], (missing, x.shape[1]))])
            w, v = np.pad(w, (0, missing)), np.pad(v, (0, missing))
        yield Rule(x, w, v)


def integral(integrand: Callable[..., Any], rule: Rule, *arguments: Any) -> Any:
    """The sum over the blocks of a rule of a compiled function of the arguments and a block."""
    parts = (jax.tree.map(np.asarray, integrand(*arguments, block)) for block in _blocks(rule))
    return reduce(lambda total, part: jax.tree.map(np.add, total, part), parts)


def _columns(
    matrix: Num[np.ndarray, "features n"], rows: int, columns: int
) -> Num[np.ndarray, "rows columns"]:
    return np.pad(matrix, ((0, rows - matrix.shape[0]), (0, columns - matrix.shape[1])))


def bases(
    trial: Trial, rule: Rule, counts: tuple[int, ...], cut: float = _CUT
) -> list[Float[np.ndarray, "features rank"]]:
    """For each count, a basis of that many first features, orthonormal on the rule, without singular values below `cut`."""
    full, count = trial.padded(), len(trial)
    triangle = np.zeros((0, count))
    for block in _blocks(rule):
        rows = np.asarray(_rows(full, block))[:, :count]
        triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, rows]), mode="r"))
    results = []
    for few in counts:
        norms = np.linalg.norm(triangle[:, :few], axis=0)
        norms = np.where(norms > 0, norms, 1)
        _, singular, right = scipy.linalg.svd(triangle[:, :few] / norms, full_matrices=False)
        independent = singular > cut * singular[0]
        basis = np.zeros((count, int(independent.sum())))
        basis[:few] = right[independent].T / singular[independent] / norms[:, None]
        results.append(basis)
    return results


def lowest(
    trial: Trial, coefficients: np.ndarray, rule: Rule, basis: np.ndarray, most: int | None = None
) -> tuple[Float[np.ndarray, " n"], Num[np.ndarray, "features n"]]:
    """The lowest energies, `most` of them or all, in the span of a basis; and the combinations of features."""
    full, rank = trial.padded(), basis.shape[1]
    if most is not None and rank < most:
        raise ValueError(
            f"Ritz: only {rank} of {len(trial)} features are independent on {len(rule)} points, and {most} are needed; raise "
            "max_features, ask for fewer states, or use qspin.Grid()."
        )
    square = _columns(basis, len(full), len(full))  # one program for any rank
    matrix = integral(_hamiltonian, rule, full, coefficients, square)[:rank, :rank]
    last = rank - 1 if most is None else min(most, rank) - 1
    energies, vectors = scipy.linalg.eigh((matrix + matrix.conj().T) / 2, subset_by_index=(0, last))
    return energies, basis @ vectors


def sums(trial: Trial, coefficients: np.ndarray, rule: Rule, combination: np.ndarray) -> Sums:
    """`Sums` of combinations of features."""
    full, n = trial.padded(), combination.shape[1]
    total = integral(_all_sums, rule, full, coefficients, _columns(combination, len(full), n + -n % _COLUMNS))
    return Sums(*(matrix[:n, :n] for matrix in total[:4]), total.momentum)  # type: ignore[call-arg]


def densities(rule: Rule, trial: Trial, combination: np.ndarray) -> Float[np.ndarray, " points"]:
    """The sum of |ψ|² of combinations of features at each point, times its weight."""
    full = trial.padded()
    values = (np.asarray(_rows(full, block))[:, : len(trial)] @ combination for block in _blocks(rule))
    return np.concatenate([np.sum(np.abs(psi) ** 2, axis=1) for psi in values])[: len(rule)]


def solve(
    trial: Trial,
    coefficients: np.ndarray,
    rule: Rule,
    finer: Rule,
    n: int,
    extra: int,
    reached: float,
    least: float,
) -> Solution:
    """The n lowest states in the span of the features, and about `extra` more energies. They are solved for on one rule, and
    verified, with those of 0.7 of the features, on a finer one. `reached` is the energy up to which so many functions reach; no
    energy is below `least`."""
    pairs = bases(trial, rule, (len(trial), int(_FEWER * len(trial))))
    (first, combination), (_, smaller) = (lowest(trial, coefficients, rule, b, n + extra) for b in pairs)
    n_both = combination.shape[1]
    total = sums(trial, coefficients, finer, np.concatenate([combination, smaller], axis=1))
    energies, residuals, rotation = total.lowest(slice(0, n_both))
    fewer, rougher, _ = total.lowest(slice(n_both, None))
    between = np.abs(energies[:n] - first[:n])
    errors, k = np.full(n, np.inf), min(len(energies), len(fewer), n)
    errors[:k] = _claimed_errors(energies, residuals[:k], fewer[:k], rougher[:k])
    # What is missing lies, for the most part, below the energy that the features reach; and a residual as large as the energies
    # themselves contradicts whatever is claimed.
    errors = np.maximum(errors, residuals[:n] ** 2 / np.maximum(reached - energies[:n], 1e-300))
    errors = np.maximum(errors, np.where(is_rough(energies[:n], residuals[:n], 1.0), residuals[:n], 0))
    errors = np.minimum(errors, np.maximum(energies[:n] - least, 1e-13))
    errors += RULE_SAFETY * between + 1e-13 * max(np.abs(energies).max(), 1e-300)
    errors = shared_in_levels(energies[:n], errors)
    functions = (combination @ rotation)[:, :n]
    return Solution(trial, functions, energies, errors, residuals[:n], finer, len(rule), float(between.max()))


def _claimed_errors(
    energies: Float[np.ndarray, " known"],
    residuals: Float[np.ndarray, " n"],
    fewer: Float[np.ndarray, " n"],
    rougher: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """8·α·residual², with α from the two spaces: at least half the median of the states, at most Temple's bound."""
    k, own = len(residuals), residuals**2
    # Where residuals hardly drop, the fall of the energy itself is the estimate.
    whole = np.maximum(fewer - energies[:k], 0) / np.maximum(own, 1e-300)
    rates = fall_rates(energies[:k], own, fewer, rougher**2, otherwise=whole)
    temple = temple_rates(energies, residuals, 1e-8 * energy_scale(energies))
    return _SAFETY * np.minimum(np.maximum(rates, 0.5 * np.median(rates)), temple) * own
