"""Energies of trained features in many dimensions: streams of fresh points, a nonsymmetric pencil, and its error bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from qspin.methods.sampled.product_ansatz import ProductAnsatz
from qspin.methods.sampled.sampled_functions import SampledFunctions
from qspin.numerics.errors import energy_scale
from qspin.numerics.points import golden_lattice
from qspin.problem.domain import Box, Domain

__all__ = ["Sampled", "SampledEnergies", "evaluate_sampled", "pencil"]

_BLOCK = 4096  # points at a time
_BLOCKS = 32  # at first; then as many more as the noise asks for, up to eight times as many at once
_SAFETY = 2.0
_ROUNDING = 1e-12  # of |E|
_RESIDUAL_ROUNDING = 1e-6  # of |E|: residuals are roots of differences of squares
_FEWER = 0.8  # of the products
_STATISTICAL_SHARE = 0.3  # of the tolerance
_REAL = 1e-3  # imaginary part that noise may leave, of the energies' range


@dataclass(frozen=True, eq=False)
class Sampled:
    """Trial functions for a problem, and points spread as the densities of their references.

    `potential` is V at one point; None where Hψ is not wanted.
    """

    domain: Domain
    potential: Callable[..., Any] | None
    ansatz: ProductAnsatz
    n_states: int

    def points(self, unit: Any) -> tuple[Any, Any]:
        """Points x (B, dim) from the unit cube, and ½ ln of their weights (B,); -inf outside the walls."""
        references = self.ansatz.references
        shares = np.array_split(np.arange(len(unit)), len(references))
        x = jnp.concatenate(
            [r.points(unit[part[0] : part[-1] + 1]) for r, part in zip(references, shares, strict=True)]
        )
        logs = jnp.stack(
            [
                r.log_density(x) + np.log(len(part) / len(unit))
                for r, part in zip(references, shares, strict=True)
            ]
        )
        log = jax.scipy.special.logsumexp(logs, axis=0)
        shift = -(log + np.log(len(unit))) / 2
        box = self.domain
        assert isinstance(box, Box)
        inside = jnp.all((x > jnp.asarray(box.lower)) & (x < jnp.asarray(box.upper)), axis=1) & jnp.isfinite(
            log
        )
        return jnp.where(inside[:, None], x, jnp.asarray(references[0].centre)), jnp.where(
            inside, shift, -jnp.inf
        )

    def images(self, params: Any, x: Any, shift: Any) -> tuple[Any, Any]:
        """f and Hf (B, M) at points, times root weights."""
        f, laplacians = jax.vmap(lambda p, s: self.ansatz.features(params, p, s))(x, shift)
        assert self.potential is not None
        v = jax.vmap(self.potential)(x)
        return f, v[:, None] * f - laplacians

    def values(self, params: Any, x: Any, shift: Any) -> Any:
        """f alone."""
        return jax.vmap(lambda p, s: self.ansatz.values(params, p, s))(x, shift)


class SampledEnergies(NamedTuple):
    """Energies (N,), their statistical errors, what the span may leave out, residuals, whether real; the functions, and
    quantum numbers of the products that they are most alike."""

    energies: np.ndarray
    statistical: np.ndarray
    left_out: np.ndarray
    residuals: np.ndarray
    real: np.ndarray
    functions: SampledFunctions
    labels: list[str]
    n_points: int
    effective_share: float


class _Blocks(NamedTuple):
    """Of blocks of points: E[f fᵀ], E[f (Hf)ᵀ], E[Hf (Hf)ᵀ] (blocks, M, M)."""

    overlap: np.ndarray
    energy: np.ndarray
    square: np.ndarray


def evaluate_sampled(
    sampled: Sampled, params: Any, before: Any, tolerance: float, most_points: int, seed: int
) -> SampledEnergies:
    """Energies on fresh points: more of them till statistical errors are 0.3 of the tolerance, or `most_points`.

    Memory O(blocks · M²), constant in the points. `before` are parameters of an earlier time in training: the rate α at which
    energies fell with residual² since then turns residuals into errors. None where there was no training.
    """
    lattice = golden_lattice(_BLOCK, sampled.domain.dim + 1, offset=0.0)
    dim, n = sampled.domain.dim, sampled.n_states

    @jax.jit
    def moments(params: Any, key: Any) -> tuple[Any, Any, Any]:
        unit = (jnp.asarray(lattice) + jax.random.uniform(key, (dim + 1,))) % 1
        f, hf = sampled.images(params, *sampled.points(unit))
        return f.T @ f, f.T @ hf, hf.T @ hf

    root = jax.random.key(np.uint32((seed * 7919 + 2**31) % 2**32))
    blocks: list[tuple[np.ndarray, ...]] = []
    wanted = _BLOCKS
    while True:
        for b in range(len(blocks), wanted):
            blocks.append(tuple(np.asarray(a) for a in moments(params, jax.random.fold_in(root, b))))
        stacked = _Blocks(*(np.stack(part) for part in zip(*blocks, strict=True)))
        if not all(np.isfinite(part).all() for part in stacked):
            raise ValueError(
                "evaluate: ψ or Hψ is not finite at some points: V may be infinite or nan there."
            )
        energies, residuals, real, vectors, statistical = pencil(stacked, n)
        enough = (statistical <= _STATISTICAL_SHARE * tolerance * np.maximum(np.abs(energies), 1e-300)).all()
        if enough or wanted * _BLOCK >= most_points:
            break
        ratio = (statistical / (_STATISTICAL_SHARE * tolerance * np.abs(energies))).max()
        wanted = int(min(wanted * min(max(ratio**2, 1.5), 8.0), -(-most_points // _BLOCK)))
    first = (energies, residuals)
    if before is not None:
        earlier = [
            tuple(np.asarray(a) for a in moments(before, jax.random.fold_in(root, b))) for b in range(_BLOCKS)
        ]
        first = pencil(_Blocks(*(np.stack(part) for part in zip(*earlier, strict=True))), n)[:2]
    left_out = _left_out(energies, residuals, *first)
    # States near the upper end lean on those just left out: seen when the highest products are left out, too.
    some = _fewer(sampled.ansatz, n)
    fewer = pencil(_Blocks(*(part[:, some][:, :, some] for part in stacked)), n)
    drop = np.maximum(fewer[1] ** 2 - residuals**2, np.maximum(residuals**2, 1e-290))
    leaning = np.maximum(fewer[0] - energies, 0) / drop
    left_out = np.maximum(left_out, _SAFETY * leaning * residuals**2) + _ROUNDING * np.abs(energies)

    @jax.jit
    def sample(params: Any) -> tuple[Any, ...]:
        x, shift = sampled.points(jnp.clip(jnp.asarray(lattice), 1e-9, 1 - 1e-9))
        return (
            x, jnp.exp(2 * shift), sampled.values(params, x, shift) @ vectors,
            sampled.values(sampled.ansatz.init(0), x, shift),
        )  # fmt: skip

    x, weights, psi, products = (np.asarray(a) for a in sample(params))
    density = np.sum(psi**2, axis=1)
    functions = SampledFunctions(sampled.ansatz, params, vectors, sampled.domain, x, weights)
    share = float(density.sum() ** 2 / (density**2).sum() / len(density))
    return SampledEnergies(
        energies, statistical, left_out, residuals, real, functions, _labels(sampled.ansatz, products, psi),
        len(blocks) * _BLOCK, share,
    )  # fmt: skip


def _fewer(ansatz: ProductAnsatz, n: int) -> np.ndarray:
    """Indices of the lower 0.8 of each well's products, at least n in all."""
    counts = [r.n_products for r in ansatz.references]
    starts = np.cumsum([0, *counts[:-1]])
    share = max(_FEWER, n / sum(counts))
    return np.concatenate(
        [s + np.arange(int(np.ceil(share * c))) for s, c in zip(starts, counts, strict=True)]
    )


def _labels(ansatz: ProductAnsatz, products: np.ndarray, psi: np.ndarray) -> list[str]:
    """For each function (B, N) the product of the reference (B, M) it is most alike: quanta along the reference's axes, by
    falling extent, and the square of the overlap; and the next one's where that is more than a tenth."""
    names = []
    for w, reference in enumerate(ansatz.references):
        of = f"well {w}: " if len(ansatz.references) > 1 else ""
        for level in reference.levels:
            quanta = " ".join(f"{n}·ν{i}" if n > 1 else f"ν{i}" for i, n in enumerate(level) if n)
            names.append(of + (quanta or "ground"))
    unit = products / np.linalg.norm(products, axis=0)
    share = (unit.T @ (psi / np.linalg.norm(psi, axis=0))) ** 2  # (M, N)
    found = []
    for column in share.T:
        order = np.argsort(-column)
        kept = [order[0], *(m for m in order[1:3] if column[m] > 0.1)]
        found.append(" + ".join(f"{names[m]} {min(column[m], 1):.0%}" for m in kept))
    return found


def pencil(blocks: _Blocks, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The n lowest energies of E[f (Hf)ᵀ] c = E E[f fᵀ] c, residuals, which are real, orthonormal vectors (M, n), and
    statistical errors.

    Directions whose overlap is rounding are left out first. The matrix is not symmetric: pairs of complex energies, which noise
    makes of close levels, are given by their real parts. Errors are the infinitesimal jackknife's: first-order perturbation by
    each block.
    """
    overlap, energy, square = (part.mean(0) for part in blocks)
    scale = 1 / np.sqrt(np.diagonal(overlap))
    weights, directions = np.linalg.eigh(overlap * scale[:, None] * scale)
    kept = weights > 1e-11 * weights[-1]
    if kept.sum() < n:
        raise ValueError(
            f"evaluate: only {int(kept.sum())} of the trial functions are independent, {n} states are wanted. Try a lower "
            "learning rate, or more n_features."
        )
    basis = scale[:, None] * directions[:, kept] / np.sqrt(weights[kept])
    matrix = basis.T @ energy @ basis
    values, left, right = scipy.linalg.eig(matrix, left=True)
    order = np.lexsort((values.imag, values.real))[:n]
    values, left, right = values[order], left[:, order], right[:, order]
    spread = max(np.ptp(values.real), 1e-3 * np.abs(values.real).max(), 1e-300)
    real = np.abs(values.imag) <= _REAL * spread
    # Statistical: d E = l (dP - E dS) r / (l r), averaged over blocks.
    change = np.stack([basis.T @ p @ basis for p in blocks.energy])
    moved = np.stack([basis.T @ s @ basis for s in blocks.overlap])
    norm = np.einsum("ik,ik->k", left.conj(), right)
    norm = np.where(np.abs(norm) > 1e-3, norm, 1e-3)
    shifts = (
        np.einsum("ik,bij,jk->bk", left.conj(), change, right)
        - values * np.einsum("ik,bij,jk->bk", left.conj(), moved, right)
    ) / norm
    statistical = np.std(np.real(shifts), axis=0, ddof=1) / np.sqrt(len(shifts))
    span = np.where(values.imag > 0, right.imag, right.real)
    span = span / np.linalg.norm(span, axis=0)
    images = basis.T @ square @ basis
    along = np.einsum("ik,ij,jk->k", span, images, span)
    mixed = np.einsum("ik,ij,jk->k", span, matrix, span)
    residuals = np.sqrt(np.maximum(along - 2 * values.real * mixed + values.real**2, 0))
    # Orthonormal, in order: within noise the vectors are so already.
    orthonormal, triangle = np.linalg.qr(span)
    orthonormal = orthonormal * np.sign(np.diagonal(triangle))
    return values.real, residuals, real, basis @ orthonormal, statistical


def _left_out(
    energies: np.ndarray, residuals: np.ndarray, before: np.ndarray, rougher: np.ndarray
) -> np.ndarray:
    """2·α·residual²: α from the fall of the energies with residual² in training, or 1/gap where there was none."""
    drop = rougher**2 - residuals**2
    # A gap that the residuals do not see past is within a level: then the range of the energies stands for it.
    gaps = np.abs(energies[:, None] - energies[None])
    seen = np.maximum(3 * residuals, _RESIDUAL_ROUNDING * np.abs(energies))
    gap = np.where(gaps > seen, gaps, np.inf).min(0)
    temple = 1 / np.where(np.isfinite(gap), gap, max(energy_scale(energies), 1e-300))
    told = drop > 0.5 * rougher**2
    rate = np.where(told, np.maximum(before - energies, 0) / np.where(told, drop, 1), temple)
    typical = np.median(rate)
    rate = np.minimum(np.maximum(rate, typical), np.maximum(temple, typical))
    return _SAFETY * rate * residuals**2
