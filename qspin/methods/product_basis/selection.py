"""The lowest states in a basis of products that is selected (Huron, Malrieu & Rancurel 1973, for electrons) as it grows.

Each basis is solved by block Davidson steps from the states of the one before, a small one by diagonalisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from qspin.methods.product_basis.matrices import Matrices, Polynomial, Products
from qspin.numerics.separable import lowest_products

__all__ = ["DOUBT", "SelectedStates", "select_states"]

DOUBT = 2.0  # of the second-order estimate of what the basis leaves out
_GROWTH = 3.0  # of the basis, from one size to the next
_CORE = 0.2  # of the basis: the functions of fewest quanta, wanted or not, so that no symmetry is left out
_GUARD_SHARE = 0.01  # of what a coefficient counts for, in the states solved for beyond those wanted
_SETTLED = 1.0  # fall of the energies on exchanging functions, of what is still left out, below which it ends
_EXCHANGES = 25
_SURPLUS = 1e-3  # of the tolerance: errors below that ask for no more functions
_ROUNDING = 1e-12  # of the largest energy
_BLOCK = 1200  # rows of the block that is inverted exactly
_DENSE = 1500  # rows up to which the whole matrix is diagonalised
_ACCURATE = 1e-7  # residual, of the largest energy; energies are good to its square
_MOST_PASSES = 100


@dataclass(frozen=True, eq=False)
class SelectedStates:
    """The lowest states in a selected basis: energies (N,) and vectors (M, N).

    `left_out` (N,): how far above the exact energies these lie, to second order. Functions outside: their quanta (K, dim)
    and their coefficients (K, N) to first order.
    """

    products: Products
    energies: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    left_out: np.ndarray
    outer: np.ndarray
    outer_vectors: np.ndarray

    @classmethod
    def solve(
        cls, v: Polynomial, rates: np.ndarray, quanta: np.ndarray, count: int, before: SelectedStates | None
    ) -> SelectedStates:
        """`count` states of -Σ rates² ∂² + V on the products `quanta` (M, dim), sought from those known `before`."""
        products = Products(quanta, int(v.powers.max(initial=2)))
        h = Matrices.build(v, rates, products)
        start = None
        if before is not None:
            start = np.zeros((len(quanta), count))
            place = products.find(before.products.quanta @ products.strides)
            # A key of the larger bases may be another's in ours: only quanta within ours are looked up.
            place[(before.products.quanta >= products.bases).any(axis=1)] = -1
            start[place[place >= 0]] = before.vectors[place >= 0]
        energies, vectors = _lowest_states(h.inside, count, start)
        inner = np.linalg.norm(h.inside @ vectors - vectors * energies, axis=0)
        out = h.outside @ vectors
        spacing = (rates**2).min()
        gaps = np.maximum(h.beyond[:, None] - energies, spacing)
        residuals = np.hypot(inner, np.linalg.norm(out, axis=0))
        left_out = np.sum(out**2 / gaps, axis=0) + inner**2 / spacing
        return cls(products, energies, vectors, residuals, left_out, products.decoded(h.keys), out / gaps)

    def most_important(self, size: int, core: np.ndarray, share: np.ndarray) -> np.ndarray:
        """The functions, inside and outside, of largest coefficients, and all of the core: (size, dim)."""
        weight = [np.max(share * c**2, axis=1, initial=0) for c in (self.vectors, self.outer_vectors)]
        quanta = np.concatenate([core, self.products.quanta, self.outer])
        weights = np.concatenate([np.full(len(core), np.inf), *weight])
        order = np.argsort(-weights, kind="stable")
        _, first = np.unique(quanta[order], axis=0, return_index=True)
        return quanta[order[np.sort(first)[:size]]]


def select_states(
    v: Polynomial, rates: np.ndarray, n: int, most: int, tolerance: float
) -> tuple[SelectedStates, np.ndarray]:
    """The n lowest states of -Σ rates² ∂² + V, and a few above, in a basis that grows to `most` functions, or until their
    relative errors are far below the tolerance; and the factor (n,) ≥ 1 that its second-order estimate wants."""
    count = n + max(6, n // 2)
    sizes = [float(most)]
    while sizes[0] > 2 * _BLOCK or len(sizes) < 2:
        sizes.insert(0, sizes[0] / _GROWTH)
    sizes = [min(max(size, 2.0 * count), float(most)) for size in sizes]
    share = np.where(np.arange(count) < n, 1.0, _GUARD_SHARE)
    core = lowest_products(np.outer(rates**2, np.arange(most)), most)[0][:most]
    states = SelectedStates.solve(v, rates, core[: int(sizes[0])], count, None)
    ratio = np.ones(n)
    for size in map(int, sizes):
        before = states
        for _ in range(_EXCHANGES):
            last = states
            quanta = last.most_important(size, core[: int(_CORE * size)], share)
            states = SelectedStates.solve(v, rates, quanta, count, last)
            if (states.energies + states.left_out)[:n].sum() > (last.energies + last.left_out)[:n].sum():
                states = last  # exchanged once too often
                break
            if (last.energies - states.energies)[:n].sum() <= _SETTLED * states.left_out[:n].sum():
                break
        if states is before:
            continue
        fall = (before.energies - states.energies + states.left_out)[:n]
        known = before.left_out[:n] > _ROUNDING * np.abs(states.energies[:n]).max()
        short = np.where(known, fall / np.where(known, before.left_out[:n], 1), 1)
        # A level is met no better than those below it.
        ratio = np.maximum.accumulate(np.maximum(short, 1))
        enough = _SURPLUS * tolerance * np.abs(states.energies[:n])
        if (DOUBT * ratio * states.left_out[:n] <= enough).all():
            break
    return states, ratio


@threadpool_limits.wrap(limits=1)
def _lowest_states(h: sp.csr_array, count: int, start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Energies (count,) and vectors (M, count): all of a small matrix, else block Davidson from `start`.

    Preconditioned by the inverse of the block of the rows with the lowest diagonal elements, whose own lowest states
    stand beside `start`, in case it misses some, and of the diagonal of the rest.
    """
    if h.shape[0] <= max(_DENSE, 3 * count) or start is None:
        x = scipy.linalg.eigh(h.toarray(), subset_by_index=(0, min(count, h.shape[0]) - 1))[1]
        # Rounding is relative to the largest element, which may be 10⁸: once more, with the vectors, which are small there.
        energies, turn = np.linalg.eigh(x.T @ (h @ x))
        return energies, x @ turn
    diagonal = h.diagonal()
    block = np.sort(np.argsort(diagonal, kind="stable")[:_BLOCK])
    levels, modes = scipy.linalg.eigh(h[block][:, block].toarray())
    least = max(float(np.diff(levels[: 2 * count]).mean()), 1e-6 * abs(levels[0]))

    def gaps(values: np.ndarray, energies: np.ndarray) -> np.ndarray:
        gap = values[:, None] - energies
        return np.where(np.abs(gap) < least, least, gap)

    beside = np.zeros((len(diagonal), count))
    beside[block] = modes[:, :count]
    v = np.linalg.qr(np.column_stack([start, beside]))[0]
    hv = h @ v
    for _ in range(_MOST_PASSES):
        energies, turn = np.linalg.eigh(v.T @ hv)
        energies = energies[:count]
        x, hx = v @ turn[:, :count], hv @ turn[:, :count]
        residual = hx - x * energies
        wanted = np.linalg.norm(residual, axis=0) > _ACCURATE * np.abs(energies).max()
        if not wanted.any():
            break
        if v.shape[1] > 5 * count:
            v, hv = x, hx
        residual, around = residual[:, wanted], energies[wanted]
        new = residual / gaps(diagonal, around)
        new[block] = modes @ ((modes.T @ residual[block]) / gaps(levels, around))
        for _ in range(2):
            new = np.linalg.qr(new - v @ (v.T @ new))[0]
        v, hv = np.column_stack([v, new]), np.column_stack([hv, h @ new])
    return energies, x
