"""The lowest states in a basis of products that is selected (Huron, Malrieu & Rancurel 1973, for electrons) as it grows."""

from dataclasses import dataclass

import numpy as np

from qspin.methods.product_basis.fitted_polynomial import Polynomial
from qspin.methods.product_basis.oscillator_matrices import Matrices
from qspin.methods.product_basis.oscillator_products import Products
from qspin.numerics.davidson import BLOCK, lowest_states
from qspin.numerics.lowest_sums import lowest_products

__all__ = ["DOUBT", "SelectedStates", "grown"]

DOUBT = 2.0  # of the second-order estimate of what the basis leaves out
_GROWTH = 3.0  # of the basis, from one size to the next
_CORE = 0.2  # of the basis: the functions of fewest quanta, wanted or not, so that no symmetry is left out
_GUARD_SHARE = 0.01  # of what a coefficient counts for, in the states solved for beyond those asked
_SETTLED = 1.0  # fall of the energies on exchanging functions, of what is still left out, below which it ends
_EXCHANGES = 25
_SURPLUS = 1e-3  # of the tolerance: errors below that ask for no more functions
_ROUNDING = 1e-12  # of the largest energy


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
        cls,
        v: Polynomial,
        rates: np.ndarray,
        quanta: np.ndarray,
        count: int,
        before: "SelectedStates | None" = None,
    ) -> "SelectedStates":
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
        energies, vectors = lowest_states(h.inside, count, start)
        inner = np.linalg.norm(h.inside @ vectors - vectors * energies, axis=0)
        out = h.outside @ vectors
        spacing = (rates**2).min()
        gaps = np.maximum(h.beyond[:, None] - energies, spacing)
        return cls(
            products,
            energies,
            vectors,
            np.hypot(inner, np.linalg.norm(out, axis=0)),
            np.sum(out**2 / gaps, axis=0) + inner**2 / spacing,
            products.decoded(h.keys),
            out / gaps,
        )

    def selected(self, size: int, core: np.ndarray, share: np.ndarray) -> np.ndarray:
        """The functions, inside and outside, of largest coefficients, and all of the core: (size, dim)."""
        weight = [np.max(share * c**2, axis=1, initial=0) for c in (self.vectors, self.outer_vectors)]
        quanta = np.concatenate([core, self.products.quanta, self.outer])
        weights = np.concatenate([np.full(len(core), np.inf), *weight])
        order = np.argsort(-weights, kind="stable")
        _, first = np.unique(quanta[order], axis=0, return_index=True)
        return quanta[order[np.sort(first)[:size]]]


def grown(
    v: Polynomial, rates: np.ndarray, n: int, most: int, tolerance: float
) -> tuple[SelectedStates, np.ndarray]:
    """The n lowest states of -Σ rates² ∂² + V, and a few above, in a basis that grows to `most` functions, or until their
    relative errors are far below the tolerance; and the factor (n,) ≥ 1 that its second-order estimate wants."""
    count = n + max(6, n // 2)
    sizes = [float(most)]
    while sizes[0] > 2 * BLOCK or len(sizes) < 2:
        sizes.insert(0, sizes[0] / _GROWTH)
    sizes = [min(max(size, 2.0 * count), float(most)) for size in sizes]
    share = np.where(np.arange(count) < n, 1.0, _GUARD_SHARE)
    core = lowest_products(np.outer(rates**2, np.arange(most)), most)[0][:most]
    found = SelectedStates.solve(v, rates, core[: int(sizes[0])], count)
    ratio = np.ones(n)
    for size in map(int, sizes):
        before = found
        for _ in range(_EXCHANGES):
            last = found
            quanta = last.selected(size, core[: int(_CORE * size)], share)
            found = SelectedStates.solve(v, rates, quanta, count, last)
            if (found.energies + found.left_out)[:n].sum() > (last.energies + last.left_out)[:n].sum():
                found = last  # exchanged once too often
                break
            if (last.energies - found.energies)[:n].sum() <= _SETTLED * found.left_out[:n].sum():
                break
        if found is before:
            continue
        fell = (before.energies - found.energies + found.left_out)[:n]
        known = before.left_out[:n] > _ROUNDING * np.abs(found.energies[:n]).max()
        short = np.where(known, fell / np.where(known, before.left_out[:n], 1), 1)
        # A level is met no better than those below it.
        ratio = np.maximum.accumulate(np.maximum(short, 1))
        enough = _SURPLUS * tolerance * np.abs(found.energies[:n])
        if (DOUBT * ratio * found.left_out[:n] <= enough).all():
            break
    return found, ratio
