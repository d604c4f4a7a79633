"""`ProductBasis`: the referee in one to eight dimensions, for polynomial V: products of oscillator functions, sparse matrices.

In normal coordinates y of the best Gaussian, -Σ rates² ∂² + Σ rates² y² is diagonal in products of Hermite functions, and
the rest of V, a polynomial, moves no quantum number by more than its power: matrix elements are exact, the matrix is sparse,
energies are upper bounds. H maps the basis into a finite larger set, so residuals are exact too, and show which functions to
add: the basis is selected (Huron, Malrieu & Rancurel 1973, for electrons), not cut at a number of quanta.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import factorial, prod
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from qspin.checks import whole
from qspin.domain import Box, Gaussian, Nodes
from qspin.gaussian_reference import Well, gaussian_wells
from qspin.levels import energy_scale
from qspin.method import DirectMethod
from qspin.problem import Problem
from qspin.product_basis_functions import ProductBasisFunctions
from qspin.region import Region
from qspin.runtime import double_precision
from qspin.sampling import golden_slopes
from qspin.spectrum import Spectrum

__all__ = ["ProductBasis"]

_MOST_DIM = 8
_USEFUL = {1: 160, 2: 1500}  # functions beyond which only rounding grows
_DENSE = 1500  # functions up to which the whole matrix is diagonalised
_BLOCK = 1200  # functions of the block that is inverted exactly
_GROWTH = 3.0  # of the basis, from one size to the next
_CORE = 0.2  # of the basis: the functions of fewest quanta, wanted or not, so that no symmetry is left out
_GUARD_SHARE = 0.01  # of what a coefficient counts for, in the states solved for beyond those asked
_SETTLED = 1.0  # fall of the energies on exchanging functions, of what is still left out, below which it ends
_EXCHANGES = 25
_SURPLUS = 1e-3  # of the tolerance: errors below that ask for no more functions
_DOUBT = 2.0  # of the second-order estimate of what the basis leaves out
_MISFIT = 1e-9  # of V's deviation, beyond which V is no polynomial
_ROUNDING = 1e-12  # of the largest coefficient or energy
_REACH = 1.5  # deviation of the points that V is fitted on, in widths of the Gaussian
_ACCURATE = (
    1e-7  # residual of the matrix eigenproblem, of the largest energy; energies are good to its square
)
_MOST_PASSES = 100
_MOST_ENTRIES = 3e8  # of the matrices: 6 GB
_NEGLIGIBLE = 1e-13  # coefficients that eigenfunctions are evaluated without
_WALL_POINTS = 256


@dataclass(frozen=True)
class ProductBasis(DirectMethod):
    """Products of oscillator functions in normal coordinates, for polynomial V in one to eight dimensions: exact linear
    algebra.

    Args:
        max_functions: products used, at most.
        degree: of V as a polynomial, at most.
        tolerance: relative error at which a state counts as converged. A thousandth of it ends the growth of the basis.

    The basis begins with the products of fewest quanta and trades those that matter least for those, among all that H leads
    to, that matter most, by their coefficients to first order; then it grows, threefold a time.

    Energies are upper bounds in all of space: the walls of a box play no part but in the error. `errors` are twice the
    second-order estimate Σ_k |⟨k|H|ψ⟩|²/(H_kk - E) over all functions k outside the basis, times the factor by which the same
    estimate fell short on a basis a third as large, plus V's misfit, plus the shift that the walls would make. `residuals`
    are those in all of space.

    Time and memory for M functions: O(M · shifts), the shifts being the changes of quanta that V makes, of which those that
    lead below zero cost nothing: for quartic V in six dimensions about 140 entries a function; and block Davidson steps of
    O(M · n_states · (shifts + n_states)).
    Raises ValueError where V is no polynomial, for more than eight dimensions, singular points, periodic axes, or n_states of
    a fourth of the basis or more; MemoryError where the matrix would exceed 6 GB.
    """

    max_functions: int = 20_000
    degree: int = 6
    tolerance: float = 1e-6
    name = "product basis"

    def __post_init__(self) -> None:
        for setting, least in (("max_functions", 20), ("degree", 2)):
            whole(f"ProductBasis: {setting}", getattr(self, setting), least)
        if not 1e-14 <= self.tolerance < 1:
            raise ValueError(f"ProductBasis: tolerance must be from 1e-14 to 1, got {self.tolerance!r}.")

    def check(self, problem: Problem, n_states: int) -> None:
        if (
            isinstance(problem.domain, Gaussian | Nodes | Region)
            or not problem.hamiltonian.is_local
            or problem.largest
        ):
            raise ValueError(
                "ProductBasis: solves for the lowest states of a Hamiltonian in a Box whose walls are out of reach; for "
                "regions use qspin.Grid(), for kernels, matrices and largest eigenvalues qspin.SpIN()."
            )
        if problem.dim > _MOST_DIM:
            raise ValueError(f"ProductBasis: serves 1 to {_MOST_DIM} dimensions, got {problem.dim}.")
        if problem.hamiltonian.singularities:
            raise ValueError("ProductBasis: V must be a polynomial, and it is declared singular.")
        if any(getattr(problem.domain, "periodic", ())):
            raise ValueError("ProductBasis: oscillator functions are not periodic; use qspin.Grid().")
        most = self._most(problem)
        if not 1 <= n_states < most / 4:
            raise ValueError(
                f"ProductBasis: n_states must be at least 1 and less than a fourth of the {most} functions, got {n_states}."
            )

    def _most(self, problem: Problem) -> int:
        return min(int(self.max_functions), _USEFUL.get(problem.dim, int(self.max_functions)))

    @double_precision()
    def solve(self, problem: Problem, n_states: int, seed: int = 0) -> Spectrum:
        well = _frame(problem, seed)
        v, misfit = fitted(problem, well, self.degree)
        _check_bounded(problem, v)
        found, ratio = self._grown(v, well.rates, n_states, self._most(problem))
        energies = found.energies[:n_states]
        functions = _functions(problem, well, found, n_states)
        left_out = _DOUBT * ratio * found.left_out[:n_states]
        raised = _wall_shifts(problem, well, functions, energies)
        scale = max(np.abs(energies).max(), energy_scale(energies))
        errors = left_out + misfit + raised + _ROUNDING * scale
        converged = errors <= self.tolerance * np.maximum(np.abs(energies), 1e-2 * scale)
        return Spectrum(
            energies=energies,
            errors=errors,
            residuals=found.residuals[:n_states],
            converged=converged,
            status=_status(converged, raised, left_out, self.max_functions),
            eigenfunctions=functions,
            domain=problem.domain,
            name=problem.name,
            units=problem.units,
            method=self.name,
            provenance={
                "method": repr(self),
                "precision": "float64",
                "functions": len(found.products.quanta),
                "most_quanta": found.products.quanta.max(axis=0).tolist(),
                "degree": int(v.powers.sum(axis=1).max(initial=0)),
                "terms": len(v.powers),
                "misfit": misfit,
                "left_out": found.left_out[:n_states].tolist(),
                "second_order_fell_short_by": ratio.tolist(),
                "wall_shifts": raised.tolist(),
                "widths": np.linalg.norm(well.axes, axis=0).tolist(),
            },
            potential=problem.potential_values,
        )

    def _grown(self, v: "Polynomial", rates: np.ndarray, n: int, most: int) -> tuple["Found", np.ndarray]:
        """States in a basis that grows to `most`, and the factor (n,) ≥ 1 that its second-order estimate wants."""
        count = n + max(6, n // 2)
        sizes = [float(most)]
        while sizes[0] > 2 * _BLOCK or len(sizes) < 2:
            sizes.insert(0, sizes[0] / _GROWTH)
        sizes = [min(max(size, 2.0 * count), float(most)) for size in sizes]
        share = np.where(np.arange(count) < n, 1.0, _GUARD_SHARE)
        core = lowest_products(rates**2, most)
        found = Found.solve(v, rates, core[: int(sizes[0])], count)
        ratio = np.ones(n)
        for size in map(int, sizes):
            before = found
            for _ in range(_EXCHANGES):
                last = found
                quanta = last.selected(size, core[: int(_CORE * size)], share)
                found = Found.solve(v, rates, quanta, count, last)
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
            ratio = np.maximum.accumulate(
                np.maximum(short, 1)
            )  # a level is met no better than those below it
            if (
                _DOUBT * ratio * found.left_out[:n] <= _SURPLUS * self.tolerance * np.abs(found.energies[:n])
            ).all():
                break
        return found, ratio


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

    @property
    def top(self) -> "Polynomial":
        """The terms of highest degree."""
        degrees = self.powers.sum(axis=1)
        return Polynomial(*(part[degrees == degrees.max(initial=0)] for part in self))


def _frame(problem: Problem, seed: int) -> Well:
    """The best Gaussian's coordinates; with several wells about their middle, each axis wider as they lie apart on it.

    In widths D apart from the middle, a single well asks for functions as wide as it is, and filling the phase space between
    them for functions (1 + 2D²)^(1/4) times as wide: the geometric mean of both was the best of those tried.
    """
    wells = gaussian_wells(problem, seed)
    lowest = wells[0]
    low = [well for well in wells if well.energy < lowest.energy + 4 * np.sum(lowest.rates**2)]
    centre = np.mean([well.centre for well in low], axis=0)
    apart = np.stack([np.linalg.solve(lowest.axes, well.centre - centre) for well in low])
    wider = (1 + 2 * np.mean(apart**2, axis=0)) ** (1 / 8)
    return Well(centre, lowest.axes * wider, lowest.rates / wider, lowest.energy)


# --- V as a polynomial


def fitted(problem: Problem, well: Well, degree: int) -> tuple[Polynomial, float]:
    """V in the coordinates of a well, by least squares in normalised Hermite polynomials, and its misfit on fresh points.

    Of T monomials time O(T³), memory O(T²). ValueError, naming the worst point, where no polynomial fits.
    """
    for d in sorted({2, *range(4, degree, 2), degree}):
        powers = quanta_below(np.ones(problem.dim), float(d))
        n_fit = 3 * len(powers) + 200
        z = ndtri((0.5 + np.outer(np.arange(n_fit + 512), golden_slopes(problem.dim))) % 1.0)
        points = well.centre + _REACH * z @ well.axes.T
        values, design = problem.potential_values(points), _hermite_products(z, powers)
        mean, spread = values.mean(), values.std()
        # Rows over the root of the Christoffel function: far points, where polynomials are large, do not rule the fit.
        row = 1 / np.linalg.norm(design[:n_fit], axis=1)
        found = _least_squares(design[:n_fit] * row[:, None], (values - mean)[:n_fit] * row)
        off = np.abs(design[n_fit:] @ found + mean - values[n_fit:])
        if off.max() <= _MISFIT * spread:
            v = _monomials(powers, np.where(np.abs(found) > off.max(), found, 0.0), mean)
            return v, float(np.abs(v(_REACH * z[n_fit:]) - values[n_fit:]).max())
    worst = ", ".join(f"{c:.6g}" for c in points[n_fit + off.argmax()])
    raise ValueError(
        f"ProductBasis: V of {problem.name} is not a polynomial of degree ≤ {degree}: the best one is off by {off.max():.1e} "
        f"at x = ({worst}), where V varies by {spread:.1e}. Raise degree, or use another method."
    )


def _least_squares(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Normal equations, refined: ten times as fast as an SVD, and as exact for a design as well-conditioned as this."""
    factor = scipy.linalg.cho_factor(design.T @ design)
    found = np.zeros(design.shape[1])
    for _ in range(4):
        found = found + scipy.linalg.cho_solve(factor, design.T @ (values - design @ found))
    return found


def _monomials(powers: np.ndarray, found: np.ndarray, constant: float) -> Polynomial:
    """From Hermite products of y/_REACH, and a constant, to powers of y; what is only rounding is dropped."""
    one = _hermite_coefficients(int(powers.max()))
    change = np.ones((len(powers), len(powers)))
    for axis in powers.T:
        change *= one[axis][:, axis]
    coefficients = found @ change
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


def _check_bounded(problem: Problem, v: Polynomial) -> None:
    """Raise ValueError where V falls without bound in some direction: by its terms of highest degree, on random directions."""
    y = np.random.default_rng(0).normal(size=(4096, problem.dim))
    values = v.top(y / np.linalg.norm(y, axis=1, keepdims=True))
    if values.min() < -1e-9 * np.abs(values).max():
        degree = v.top.powers.sum(axis=1)[0]
        raise ValueError(
            f"ProductBasis: V of {problem.name} falls without bound far out, by its terms of degree {degree}: in all of space "
            "there is no lowest state. Use a method that knows the walls: qspin.Grid() or qspin.Ritz()."
        )


# --- sets of products


def quanta_below(weights: np.ndarray, cut: float) -> np.ndarray:
    """All n (M, dim) ≥ 0 with Σ weights_i n_i ≤ cut, axis by axis."""
    quanta, left = np.zeros((1, 0), np.int64), np.array([cut])
    for weight in weights:
        counts = np.floor(left / weight + 1e-9).astype(int) + 1
        parent = np.repeat(np.arange(len(left)), counts)
        new = np.arange(len(parent)) - np.repeat(np.cumsum(counts) - counts, counts)
        quanta = np.column_stack([quanta[parent], new])
        left = left[parent] - weight * new
    return quanta


def lowest_products(weights: np.ndarray, most: int) -> np.ndarray:
    """The `most` n (M, dim) of least Σ weights_i n_i, ascending."""
    # A simplex of volume `most` holds at least as many corners of unit cubes.
    cut = (most * factorial(len(weights))) ** (1 / len(weights)) * prod(weights ** (1 / len(weights)))
    quanta = quanta_below(weights, float(cut))
    return quanta[np.argsort(quanta @ weights, kind="stable")[:most]]


@dataclass(frozen=True, eq=False)
class Products:
    """Basis functions by their quanta (M, dim), and a number for each that an operator may lead to: it moves by ≤ `reach`."""

    quanta: np.ndarray
    reach: int

    @cached_property
    def bases(self) -> np.ndarray:
        """Possible quanta an axis, (dim,)."""
        return self.quanta.max(axis=0) + self.reach + 1

    @cached_property
    def strides(self) -> np.ndarray:
        """What one quantum adds to the key, (dim,)."""
        return np.concatenate([[1], np.cumprod(self.bases[:-1])])

    @cached_property
    def keys(self) -> np.ndarray:
        """(M,)."""
        return self.quanta @ self.strides

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.keys)
        return self.keys[order], order

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Place of each key, -1 where it is none of ours."""
        known, order = self._sorted
        place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[place] == keys, order[place], -1)

    def decoded(self, keys: np.ndarray) -> np.ndarray:
        """Quanta of keys."""
        return keys[:, None] // self.strides % self.bases


# --- matrix elements


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


def couplings(v: Polynomial, products: Products) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """V's elements, shift by shift: functions that it moves (C,), keys of where to (C,), elements (C,)."""
    if not len(v.powers):
        return
    degree = int(v.powers.max())
    table = position_powers(int(products.quanta.max()), degree)
    moves = [list(product(*(range(-k, k + 1, 2) for k in row))) for row in v.powers.tolist()]
    shifts, group = np.unique(
        np.array([m for some in moves for m in some]).reshape(-1, v.powers.shape[1]),
        axis=0,
        return_inverse=True,
    )
    terms = np.repeat(np.arange(len(moves)), [len(some) for some in moves])
    members = np.split(
        terms[np.argsort(group.ravel(), kind="stable")], np.cumsum(np.bincount(group.ravel()))[:-1]
    )
    for shift, own in zip(shifts, members, strict=True):
        down = np.flatnonzero(shift < 0)
        columns = np.flatnonzero((products.quanta[:, down] >= -shift[down]).all(axis=1))
        n, known = products.quanta[columns], {}
        elements = np.zeros(len(columns))
        for term in own:
            value: Any = v.coefficients[term]
            for i in np.flatnonzero(v.powers[term]):
                k = v.powers[term, i]
                if (i, k) not in known:
                    known[i, k] = table[k, degree + shift[i]][n[:, i]]
                value = value * known[i, k]
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
    def build(cls, rest: Polynomial, rates: np.ndarray, products: Products) -> "Matrices":
        """Σ rates² (2n + 1) + rest. MemoryError where there are too many entries."""
        size, parts, total = len(products.quanta), [], 0
        for column, key, value in couplings(rest, products):
            total += len(column)
            if total > _MOST_ENTRIES:
                raise MemoryError(
                    f"ProductBasis: {size} functions make more than {_MOST_ENTRIES:.0e} matrix elements; lower max_functions."
                )
            parts.append((column.astype(np.int32), key, value))
        none = (np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))
        columns, key, values = (np.concatenate(some) for some in zip(none, *parts, strict=True))
        del parts
        rows = products.find(key)
        kept = rows >= 0
        oscillators = sp.diags_array((2 * products.quanta + 1) @ rates**2)
        inside = sp.coo_array(
            (values[kept], (rows[kept].astype(np.int32), columns[kept])), shape=(size, size)
        )
        keys, place = np.unique(key[~kept], return_inverse=True)
        outside = sp.coo_array((values[~kept], (place, columns[~kept])), shape=(len(keys), size))
        beyond = _diagonal(rest, rates, products.decoded(keys))
        return cls(sp.csr_array(sp.csr_array(inside) + oscillators), sp.csr_array(outside), keys, beyond)


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
            total = total + coefficient * np.prod(
                [table[k, quanta[:, i]] for i, k in enumerate(powers)], axis=0
            )
    return total


# --- states


@dataclass(frozen=True, eq=False)
class Found:
    """The lowest states in a basis: energies (N,) and vectors (M, N).

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
        cls, v: Polynomial, rates: np.ndarray, quanta: np.ndarray, count: int, before: "Found | None" = None
    ) -> "Found":
        products = Products(quanta, int(v.powers.max(initial=2)))
        h = Matrices.build(_without_oscillator(v, rates), rates, products)
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


@threadpool_limits.wrap(limits=1)
def lowest_states(h: sp.csr_array, count: int, start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Energies (count,) and vectors (M, count): all of a small matrix, else block Davidson from `start`.

    Preconditioned by the inverse of the block of the functions with the lowest diagonal elements, whose own lowest states
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

    def corrected(residual: np.ndarray, energies: np.ndarray) -> np.ndarray:
        def over(values: np.ndarray) -> np.ndarray:
            gap = values[:, None] - energies
            return np.where(np.abs(gap) < least, least, gap)

        new = residual / over(diagonal)
        new[block] = modes @ ((modes.T @ residual[block]) / over(levels))
        return new

    beside = np.zeros((len(diagonal), count))
    beside[block] = modes[:, :count]
    v = np.linalg.qr(np.column_stack([start, beside]))[0]
    hv = h @ v
    for _ in range(_MOST_PASSES):
        energies, turn = np.linalg.eigh(v.T @ hv)
        energies = energies[:count]
        x, hx = v @ turn[:, :count], hv @ turn[:, :count]
        residual = hx - x * energies
        norms = np.linalg.norm(residual, axis=0)
        accurate = _ACCURATE * np.abs(energies).max()
        wanted = norms > accurate
        if not wanted.any():
            break
        if v.shape[1] > 5 * count:
            v, hv = x, hx
        new = corrected(residual[:, wanted], energies[wanted])
        for _ in range(2):
            new = np.linalg.qr(new - v @ (v.T @ new))[0]
        v, hv = np.column_stack([v, new]), np.column_stack([hv, h @ new])
    return energies, x


# --- what is said about them


def _functions(problem: Problem, well: Well, found: Found, n: int) -> ProductBasisFunctions:
    quanta, c = found.products.quanta, found.vectors[:, :n]
    spread = np.zeros(problem.dim)
    for i, unit in enumerate(np.eye(problem.dim, dtype=np.int64)):
        square = (quanta[:, i] + 0.5) @ c**2
        above = found.products.find((quanta + 2 * unit) @ found.products.strides)
        pairs = above >= 0
        root = np.sqrt((quanta[pairs, i] + 1) * (quanta[pairs, i] + 2))
        spread[i] = np.sqrt(np.mean(square + root @ (c[pairs] * c[above[pairs]])))
    kept = np.abs(c).max(axis=1) > _NEGLIGIBLE
    return ProductBasisFunctions(well.centre, well.axes, quanta[kept], c[kept], spread, problem.domain)


def _wall_shifts(
    problem: Problem, well: Well, functions: ProductBasisFunctions, energies: np.ndarray
) -> np.ndarray:
    """How far the walls of a box would raise each energy, about, (N,): Σ ∫ 2 c κ ψ² dS, κ² = |V - E|/c.

    Between walls ψ ~ exp(-κ s) becomes exp(-κ s) - exp(κ s), with slope 2κψ at the wall, and a wall that recedes lowers E by
    c ∫ (∂ψ/∂n)² dS per length (Hadamard): of the whole tail c (2κψ)²/(2κ). The surface is sampled as ψ² falls off there.
    """
    if not isinstance(problem.domain, Box):
        return np.zeros(len(energies))
    dim, c = problem.dim, problem.hamiltonian.kinetic_coefficients(problem.dim)
    axes = functions.axes * functions.spread
    lengths = np.linalg.norm(axes, axis=1)
    normal = ndtri((0.5 + np.outer(np.arange(_WALL_POINTS), golden_slopes(dim))) % 1.0)
    surfaces, weights = [], []
    for i, walls in enumerate(zip(problem.domain.lower, problem.domain.upper, strict=True)):
        along = normal - np.outer(normal @ axes[i], axes[i]) / lengths[i] ** 2
        density = np.exp(-np.sum(along**2, axis=1) / 2) / (2 * np.pi) ** ((dim - 1) / 2)
        for wall in walls:
            surfaces.append(
                well.centre + (along + (wall - well.centre[i]) / lengths[i] ** 2 * axes[i]) @ axes.T
            )
            weights.append(np.abs(np.linalg.det(axes)) / lengths[i] / density / _WALL_POINTS)
    points, stiffness = np.concatenate(surfaces), np.repeat(c, 2 * _WALL_POINTS)[:, None]
    kappa = np.sqrt(np.abs(problem.potential_values(points)[:, None] - energies) / stiffness)
    return np.concatenate(weights) @ (2 * stiffness * kappa * functions(points) ** 2)


def _status(converged: np.ndarray, raised: np.ndarray, left_out: np.ndarray, max_functions: int) -> str:
    def names(chosen: np.ndarray) -> str:
        return ", ".join(map(str, np.flatnonzero(chosen)))

    said = "all errors within the tolerance."
    if not converged.all():
        short = ~converged & (left_out > raised)
        said = "the basis holds all levels to the tolerance, and the errors come from elsewhere."
        if short.any():
            said = (
                f"levels {names(short)} have claimed errors above the tolerance; raise max_functions (now "
                f"{max_functions}), or the tolerance."
            )
    noticed = raised > np.maximum(left_out, 1e-12)
    if noticed.any():
        said += (
            f" Energies are those of free space: the walls would raise levels {names(noticed)} by up to {raised.max():.1e}, "
            "which the errors allow for. Enlarge the box, or use qspin.Grid() where walls are meant."
        )
    return said
