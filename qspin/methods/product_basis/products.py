"""Products of oscillator functions, and the sparse matrices of an oscillator and a polynomial on them and out of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp

from qspin.methods.product_basis.polynomial import Polynomial

__all__ = ["Matrices", "Products", "position_powers"]

_MOST_ENTRIES = 3e8  # of the matrices: 6 GB
_ROUNDING = 1e-12  # of the largest coefficient


class Products:
    """Basis functions by their quanta (M, dim), and a key for each that an operator may lead to: it moves by ≤ `reach`."""

    def __init__(self, quanta: np.ndarray, reach: int) -> None:
        self.quanta = quanta
        self.bases = quanta.max(axis=0) + reach + 1  # possible quanta an axis, (dim,)
        self.strides = np.concatenate([[1], np.cumprod(self.bases[:-1])])  # what one quantum adds to the key
        self.keys = quanta @ self.strides
        self._order = np.argsort(self.keys)

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Place of each key, -1 where it is none of ours."""
        place = np.searchsorted(self.keys, keys, sorter=self._order)
        place = self._order[np.minimum(place, len(self.keys) - 1)]
        return np.where(self.keys[place] == keys, place, -1)

    def decoded(self, keys: np.ndarray) -> np.ndarray:
        """Quanta of keys."""
        return keys[:, None] // self.strides % self.bases


def position_powers(most: int, degree: int) -> np.ndarray:
    """⟨n + Δ|y^k|n⟩ at [k, degree + Δ, n] for n ≤ most and Δ from -degree to degree."""
    root = np.sqrt(np.arange(1, most + degree + 1) / 2)
    y = np.diag(root, 1) + np.diag(root, -1)
    table, power, n = np.zeros((degree + 1, 2 * degree + 1, most + 1)), np.eye(len(y)), np.arange(most + 1)
    for k in range(degree + 1):
        for shift in range(-k, k + 1, 2):
            inside = n + shift >= 0
            table[k, degree + shift, inside] = power[n[inside] + shift, n[inside]]
        power = y @ power
    return table


def _couplings(v: Polynomial, products: Products) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """V's elements, shift by shift: functions that it moves (C,), keys of where to (C,), elements (C,)."""
    degree = int(v.powers.max(initial=0))
    table = position_powers(int(products.quanta.max()), degree)
    terms: dict[tuple[int, ...], list[int]] = {}  # that make each shift of the quanta
    for term, powers in enumerate(v.powers.tolist()):
        for moved in product(*(range(-k, k + 1, 2) for k in powers)):
            terms.setdefault(moved, []).append(term)
    for moved in sorted(terms):
        shift = np.array(moved)
        down = np.flatnonzero(shift < 0)
        columns = np.flatnonzero((products.quanta[:, down] >= -shift[down]).all(axis=1))
        n, elements = products.quanta[columns], np.zeros(len(columns))
        known: dict[tuple[int, int], np.ndarray] = {}
        for term in terms[moved]:
            value: Any = v.coefficients[term]
            for i, k in enumerate(v.powers[term].tolist()):
                if k and (i, k) not in known:
                    known[i, k] = table[k, degree + shift[i]][n[:, i]]
                value = value * known[i, k] if k else value
            elements += value
        yield columns, products.keys[columns] + shift @ products.strides, elements


@dataclass(frozen=True, eq=False)
class Matrices:
    """H on the basis, (M, M), and what leads out of it: rows `outside` (K, M) of functions with those `keys` and diagonal
    elements `beyond` (K,)."""

    inside: sp.csr_array
    outside: sp.csr_array
    keys: np.ndarray
    beyond: np.ndarray

    @classmethod
    def build(cls, v: Polynomial, rates: np.ndarray, products: Products) -> "Matrices":
        """Of -Σ rates² ∂² + V. MemoryError where there are too many entries."""
        rest = _without_oscillator(v, rates)
        size, total = len(products.quanta), 0
        parts = [(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))]
        for column, key, value in _couplings(rest, products):
            total += len(column)
            if total > _MOST_ENTRIES:
                raise MemoryError(
                    f"ProductBasis: {size} functions make more than {_MOST_ENTRIES:.0e} matrix elements; lower max_functions."
                )
            parts.append((column.astype(np.int32), key, value))
        columns, key, values = (np.concatenate(some) for some in zip(*parts, strict=True))
        del parts
        rows = products.find(key)
        kept = rows >= 0
        entries = (values[kept], (rows[kept].astype(np.int32), columns[kept]))
        inside = sp.csr_array(sp.coo_array(entries, shape=(size, size)))
        keys, place = np.unique(key[~kept], return_inverse=True)
        outside = sp.coo_array((values[~kept], (place, columns[~kept])), shape=(len(keys), size))
        inside = inside + sp.diags_array((2 * products.quanta + 1) @ rates**2)
        beyond = _diagonal(rest, rates, products.decoded(keys))
        return cls(sp.csr_array(inside), sp.csr_array(outside), keys, beyond)


def _without_oscillator(v: Polynomial, rates: np.ndarray) -> Polynomial:
    """V - Σ rates² y²: what is left beside the diagonal -Σ rates² ∂² + Σ rates² y²."""
    powers = np.concatenate([v.powers, 2 * np.eye(len(rates), dtype=np.int64)])
    different, place = np.unique(powers, axis=0, return_inverse=True)
    coefficients = np.bincount(place.ravel(), np.concatenate([v.coefficients, -(rates**2)]))
    kept = np.abs(coefficients) > _ROUNDING * (rates**2).max()
    return Polynomial(different[kept], coefficients[kept])


def _diagonal(rest: Polynomial, rates: np.ndarray, quanta: np.ndarray) -> np.ndarray:
    """Of H, at quanta (K, dim)."""
    degree = int(rest.powers.max(initial=0))
    table = position_powers(int(quanta.max(initial=0)), degree)[:, degree]
    total = (2 * quanta + 1) @ rates**2
    for powers, coefficient in zip(rest.powers, rest.coefficients, strict=True):
        if not (powers % 2).any():
            factors = [table[k, quanta[:, i]] for i, k in enumerate(powers)]
            total = total + coefficient * np.prod(factors, axis=0)
    return total
