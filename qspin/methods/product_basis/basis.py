"""H in a basis of oscillator products: V as a polynomial, its sparse matrices, and the lowest states in a selected basis.

V is fitted in the coordinates of a well by least squares, its misfit known; where it falls far out, the functions end before.
The basis is selected as it grows (Huron, Malrieu & Rancurel 1973, for electrons); each is solved by block Davidson steps from
the states of the one before, a small one by diagonalisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import factorial
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from jaxtyping import Float, Int
from scipy.integrate import trapezoid
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from qspin.methods.locate.wells import Well
from qspin.numerics.points import golden_lattice
from qspin.numerics.separable import lowest_products, products_below
from qspin.problem.problem import Problem

__all__ = [
    "DOUBT", "Matrices", "Polynomial", "Products", "SelectedStates", "Window", "fit_polynomial", "position_powers",
    "select_states", "window",
]  # fmt: skip

_MISFIT = 1e-9  # of V's deviation, beyond which V is no polynomial
_ROUNDING = 1e-12  # of the largest coefficient, or energy
_REACH = 1.5  # deviation of the points that V is fitted on, in widths of the Gaussian
_FAR_OUT = 1e3  # widths of the Gaussian, where V that is bounded below is positive
_MOST_ENTRIES = 3e8  # of the matrices: 6 GB
DOUBT = 2.0  # of the second-order estimate of what the basis leaves out
_GROWTH = 3.0  # of the basis, from one size to the next
_CORE = 0.2  # of the basis: the functions of fewest quanta, wanted or not, so that no symmetry is left out
_GUARD_SHARE = 0.01  # of what a coefficient counts for, in the states solved for beyond those wanted
_SETTLED = 1.0  # fall of the energies on exchanging functions, of what is still left out, below which it ends
_EXCHANGES = 25
_SURPLUS = 1e-3  # of the tolerance: errors below that ask for no more functions
_BLOCK = 1200  # rows of the block that is inverted exactly
_DENSE = 1500  # rows up to which the whole matrix is diagonalised
_ACCURATE = 1e-7  # residual, of the largest energy; energies are good to its square
_MOST_PASSES = 100


class Polynomial(NamedTuple):
    """Σ_t coefficients_t ∏_i y_i^powers_ti: (T, dim) integers, (T,)."""

    powers: np.ndarray
    coefficients: np.ndarray

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """At points (P, dim): (P,)."""
        total = np.zeros(len(y))
        for powers, coefficient in zip(self.powers, self.coefficients, strict=True):
            total += coefficient * np.prod(y**powers, axis=1)
        return total


def fit_polynomial(problem: Problem, well: Well, degree: int) -> tuple[Polynomial, float]:
    """V in the coordinates of a well, by least squares in normalised Hermite polynomials, and its misfit on fresh points.

    Of T monomials time O(T³), memory O(T²). ValueError, naming the worst point, where no polynomial fits.
    """
    for d in sorted({2, *range(4, degree, 2), degree}):
        powers = products_below(np.tile(np.arange(d + 1.0), (problem.dim, 1)), float(d))
        n_fit = 3 * len(powers) + 200
        z = ndtri(golden_lattice(n_fit + 512, problem.dim))
        points = well.centre + _REACH * z @ well.axes.T
        values, design = problem.potential_values(points), _hermite_products(z, powers)
        mean, spread = values.mean(), values.std()
        # Rows over the root of the Christoffel function: far points, where polynomials are large, do not rule the fit.
        row = 1 / np.linalg.norm(design[:n_fit], axis=1)
        fit = _least_squares(design[:n_fit] * row[:, None], (values - mean)[:n_fit] * row)
        off = np.abs(design[n_fit:] @ fit + mean - values[n_fit:])
        if off.max() <= _MISFIT * spread:
            v = _monomials(powers, np.where(np.abs(fit) > off.max(), fit, 0.0), mean)
            return v, float(np.abs(v(_REACH * z[n_fit:]) - values[n_fit:]).max())
    worst = ", ".join(f"{c:.6g}" for c in points[n_fit + off.argmax()])
    raise ValueError(
        f"ProductBasis: V of {problem.name} is not a polynomial of degree ≤ {degree}: the best one is off by {off.max():.1e} "
        f"at x = ({worst}), where V varies by {spread:.1e}. Raise degree, or use another method."
    )


def _least_squares(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Normal equations, refined: ten times as fast as an SVD, and as exact for a design as well-conditioned as this."""
    factor = scipy.linalg.cho_factor(design.T @ design)
    solution = np.zeros(design.shape[1])
    for _ in range(4):
        solution = solution + scipy.linalg.cho_solve(factor, design.T @ (values - design @ solution))
    return solution


def _monomials(powers: np.ndarray, fit: np.ndarray, constant: float) -> Polynomial:
    """From Hermite products of y/_REACH, and a constant, to powers of y; what is only rounding is dropped."""
    one = _hermite_coefficients(int(powers.max()))
    change = np.ones((len(powers), len(powers)))
    for axis in powers.T:
        change *= one[axis][:, axis]
    coefficients = fit @ change
    coefficients[np.abs(coefficients) < _ROUNDING * np.abs(coefficients).max()] = 0.0
    coefficients[powers.sum(axis=1) == 0] += constant
    kept = coefficients != 0
    return Polynomial(powers[kept], coefficients[kept] * _REACH ** -powers[kept].sum(axis=1).astype(float))


def _hermite_coefficients(degree: int) -> np.ndarray:
    """He_n(z)/√n! = Σ_k [n, k] z^k."""
    one = np.zeros((degree + 1, degree + 1))
    for n in range(degree + 1):
        one[n, : n + 1] = np.polynomial.hermite_e.herme2poly([0] * n + [1]) / np.sqrt(float(factorial(n)))
    return one


def _hermite_products(z: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """∏_i He_{k_i}(z_i)/√k_i! at points (P, dim): (P, T)."""
    one = _hermite_coefficients(int(powers.max()))
    design = np.ones((len(z), len(powers)))
    for i in range(z.shape[1]):
        design *= (np.vander(z[:, i], len(one), increasing=True) @ one.T)[:, powers[:, i]]
    return design


class Window(NamedTuple):
    """How far V rises about a well, in its widths: at least as far as `distance`, to at least `barrier`; both are infinite
    where V falls nowhere. `heights` are V at `radii` along the rays of lowest barriers, where the kinetic energy is
    -`stiffness` ∂²."""

    distance: float
    barrier: float
    radii: Float[np.ndarray, " radii"]
    heights: Float[np.ndarray, "radii rays"]
    stiffness: Float[np.ndarray, " rays"]

    def leaving(self, energies: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """exp(-2∫√((V - E)/c) dy) through the thinnest barrier: how fast states leave, in units of the level spacing."""
        height = np.maximum(self.heights[..., None] - energies, 0)
        action = trapezoid(np.sqrt(height / self.stiffness[:, None]), self.radii, axis=0)
        return np.exp(-2 * action).max(axis=0, initial=0.0)


def window(v: Polynomial, rates: Float[np.ndarray, " dim"]) -> Window:
    """Where V falls: on 4096 random rays, and on lower ones near the lowest of them, a thousand widths out."""
    rng, dim = np.random.default_rng(0), len(rates)
    rays = np.concatenate([np.eye(dim), -np.eye(dim), rng.normal(size=(4096, dim))])
    for turn in range(12):
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        lowest = rays[np.argsort(v(_FAR_OUT * rays))[:64], None]
        near = lowest + 0.7**turn * rng.normal(size=(64, 16, dim)) / np.sqrt(dim)
        rays = np.concatenate([rays, near.reshape(-1, dim)])
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    far = v(_FAR_OUT * rays)
    rays = rays[far < -1e-9 * np.abs(far).max(initial=0)]
    degrees = v.powers.sum(axis=1)
    along = [
        Polynomial(v.powers[degrees == k], v.coefficients[degrees == k])(rays)
        for k in range(degrees.max(initial=0) + 1)
    ]
    radii = np.geomspace(0.1, _FAR_OUT, 400)
    heights = np.polynomial.polynomial.polyval(radii, np.stack(along)).T
    if not len(rays):
        return Window(np.inf, np.inf, radii, heights, np.zeros(0))
    barriers = heights.max(axis=0)
    few = np.argsort(barriers)[:64]
    nearest = float(radii[heights.argmax(axis=0)].min())
    return Window(nearest, float(barriers.min()), radii, heights[:, few], rays[few] ** 2 @ rates**2)


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
    def build(cls, v: Polynomial, rates: np.ndarray, products: Products) -> Matrices:
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

    def most_important(self, size: int, core: np.ndarray, share: np.ndarray, farthest: float) -> np.ndarray:
        """The functions, inside and outside, of largest coefficients that end within a distance, and all of the core."""
        weight = [np.max(share * c**2, axis=1, initial=0) for c in (self.vectors, self.outer_vectors)]
        quanta = np.concatenate([core, self.products.quanta, self.outer])
        weights = np.concatenate([np.full(len(core), np.inf), *weight])
        order = np.argsort(-weights, kind="stable")
        order = order[_reaches(quanta[order]) <= farthest]
        _, first = np.unique(quanta[order], axis=0, return_index=True)
        return quanta[order[np.sort(first)[:size]]]


def select_states(
    v: Polynomial, rates: np.ndarray, n: int, most: int, tolerance: float, farthest: float
) -> tuple[SelectedStates, np.ndarray]:
    """The n lowest states of -Σ rates² ∂² + V, and a few above, in a basis that grows to `most` functions, or until their
    relative errors are far below the tolerance; and the factor (n,) ≥ 1 that its second-order estimate wants. All functions
    end within the `farthest` distance.
    """
    count = n + max(6, n // 2)
    sizes = [float(most)]
    while sizes[0] > 2 * _BLOCK or len(sizes) < 2:
        sizes.insert(0, sizes[0] / _GROWTH)
    sizes = [min(max(size, 2.0 * count), float(most)) for size in sizes]
    share = np.where(np.arange(count) < n, 1.0, _GUARD_SHARE)
    core = lowest_products(np.outer(rates**2, np.arange(most)), most)[0][:most]
    core = core[_reaches(core) <= farthest]
    if len(core) < count:
        raise ValueError(
            f"ProductBasis: V falls without bound far out, from so near that only {len(core)} functions end before; {n} states "
            f"need {count}. Use a method that knows the walls of a Box: qspin.Grid() or qspin.Ritz()."
        )
    states = SelectedStates.solve(v, rates, core[: int(sizes[0])], count, None)
    ratio = np.ones(n)
    for size in map(int, sizes):
        before = states
        for _ in range(_EXCHANGES):
            last = states
            quanta = last.most_important(size, core[: int(_CORE * size)], share, farthest)
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


def _reaches(quanta: Int[np.ndarray, "products dim"]) -> Float[np.ndarray, " products"]:
    """How far products of oscillator functions reach, in widths: to the outermost turning points."""
    return np.sqrt((2 * quanta + 1).sum(axis=1))


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
