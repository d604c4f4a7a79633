"""Products of one-dimensional functions as a first guess in many dimensions, and points drawn from their densities.

In coordinates y each axis has its own mean-field Hamiltonian, V averaged over the ground densities of the other axes (the
vibrational self-consistent field: Bowman, J. Chem. Phys. 68, 608, 1978). Its lowest functions are φ_n = φ_0·r_n, with
φ_0 = base·exp(q) > 0 and q, r_n short series: polynomials on open axes, cosines between walls, Fourier series on a circle.
Products of them with the lowest sums of energies are the reference states.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.linalg
from scipy.interpolate import CubicSpline

from qspin.methods.locate.wells import Well
from qspin.numerics.points import golden_lattice
from qspin.problem.problem import Problem

__all__ = ["OPEN", "PERIODIC", "WALLED", "Reference", "logarithm", "product_reference", "series"]

OPEN, WALLED, PERIODIC = 0, 1, 2  # kinds of axes

_HALF_WIDTH = 8.0  # of open axes, in units of the Gaussian's
_NODES = 241
_COARSE = 49  # nodes where V is averaged
_SAMPLES = 256  # points it is averaged over
_ROUNDS = 4
_SETTLED = 1e-4  # change of q
_DEGREES = 20  # of r_n, at most
_BENT = 8  # of q
_FAR = 50.0  # where q must still let ψ fall
_CELLS = 512  # of the tables that points are drawn from
_DEFENSIVE = 0.3  # share of points from wider densities, over all axes


@dataclass(frozen=True, eq=False)
class Reference:
    """x = centre + axes·y, and functions of y. `rates`: the kinetic energy is -Σ rates² ∂²/∂y².

    bent (dim, 9) holds q, and modals (dim, L, K) the series r_n. Product m is made of the pairs (axis, n) in `pairs` (D, 2)
    that `slots` (M, S) names; D stands for none. `levels` (M, dim) are the quantum numbers, `energies` (M,) the products'
    sums above the ground state. `density` (dim, L, cells) and `cumulated` (dim, L, cells + 1) are tables of |φ_n|², widened,
    over [-edge, edge].
    """

    kinds: tuple[int, ...]
    centre: np.ndarray
    axes: np.ndarray
    rates: np.ndarray
    bent: np.ndarray
    modals: np.ndarray
    pairs: np.ndarray
    slots: np.ndarray
    levels: np.ndarray
    energies: np.ndarray
    edges: np.ndarray
    density: np.ndarray
    cumulated: np.ndarray

    @property
    def dim(self) -> int:
        return len(self.kinds)

    @property
    def n_products(self) -> int:
        return len(self.levels)

    def coordinates(self, x: Any) -> Any:
        """y of a point x (dim,)."""
        return jnp.asarray(np.linalg.inv(self.axes)) @ (x - jnp.asarray(self.centre))

    def place(self, y: Any) -> Any:
        """Points x of coordinates y (B, dim)."""
        return jnp.asarray(self.centre) + y @ jnp.asarray(self.axes).T

    def points(self, unit: Any) -> Any:
        """Points x (B, dim) spread as the mean density of the products, from points (B, dim + 1) of the unit cube."""
        chosen = jnp.minimum((unit[:, 0] * self.n_products).astype(int), self.n_products - 1)
        level = jnp.asarray(self.levels)[chosen]  # (B, dim)
        row = jnp.arange(self.dim) * self.density.shape[1] + level
        cumulated = jnp.asarray(self.cumulated.reshape(-1, _CELLS + 1))
        low, step, u = jnp.zeros_like(row), _CELLS // 2, unit[:, 1:]
        while step:
            low = jnp.where(cumulated[row, low + step] <= u, low + step, low)
            step //= 2
        width = 2 * jnp.asarray(self.edges) / _CELLS
        below, above = cumulated[row, low], cumulated[row, low + 1]
        part = jnp.clip((u - below) / jnp.maximum(above - below, 1e-300), 0, 1)
        return self.place(-jnp.asarray(self.edges) + width * (low + part))

    def log_density(self, x: Any) -> Any:
        """Logarithm of the density of `points` at points x (B, dim); -inf outside the tables."""
        y = (x - jnp.asarray(self.centre)) @ jnp.asarray(np.linalg.inv(self.axes)).T
        edges = jnp.asarray(self.edges)
        cell = jnp.floor((y + edges) / (2 * edges) * _CELLS).astype(int)
        inside = jnp.all((cell >= 0) & (cell < _CELLS), axis=1)
        cell = jnp.clip(cell, 0, _CELLS - 1)
        tables = jnp.log(jnp.asarray(self.density))
        axis = jnp.arange(self.dim)
        ground = tables[axis, 0, cell]
        ratios = (
            tables[self.pairs[:, 0], self.pairs[:, 1], cell[:, self.pairs[:, 0]]]
            - ground[:, self.pairs[:, 0]]
        )
        ratios = jnp.concatenate([ratios, jnp.zeros((len(x), 1))], axis=1)
        products = jnp.sum(ratios[:, self.slots], axis=2)  # (B, M)
        top = products.max(1)
        mean = top + jnp.log(jnp.mean(jnp.exp(products - top[:, None]), axis=1))
        volume = float(np.linalg.slogdet(self.axes)[1])
        return jnp.where(inside, ground.sum(1) + mean - volume, -jnp.inf)


def series(kinds: tuple[int, ...], z: Any, count: int) -> tuple[Any, Any, Any]:
    """The first `count` functions of every axis at z (..., dim), and two derivatives: (..., dim, count) each."""
    parts: list[Any] = []
    order: list[int] = []
    for kind, make in ((OPEN, _hermite), (WALLED, _cosines), (PERIODIC, _fourier)):
        index = [i for i, k in enumerate(kinds) if k == kind]
        if index:
            parts.append(make(z[..., np.array(index)], count))
            order += index
    back = np.argsort(np.array(order))
    value, first, second = (jnp.concatenate(part, axis=-2)[..., back, :] for part in zip(*parts, strict=True))
    return value, first, second


def _hermite(z: Any, count: int) -> tuple[Any, Any, Any]:
    """Hermite polynomials, normalised under exp(-z²)/√π."""
    values = [jnp.ones_like(z), np.sqrt(2) * z]
    for k in range(1, count - 1):
        values.append(z * np.sqrt(2 / (k + 1)) * values[k] - np.sqrt(k / (k + 1)) * values[k - 1])
    value = jnp.stack(values[:count], axis=-1)
    root = np.sqrt(2 * np.arange(count))
    zero = jnp.zeros_like(value[..., :1])
    first = jnp.concatenate([zero, value[..., :-1]], axis=-1) * root
    second = jnp.concatenate([zero, first[..., :-1]], axis=-1) * root
    return value, first, second


def _cosines(z: Any, count: int) -> tuple[Any, Any, Any]:
    """cos kθ, θ = π(1 - z)/2: Chebyshev polynomials of sin(πz/2), so that sines are sin θ times them."""
    rate = np.pi / 2 * np.arange(count)
    angle = (1 - z)[..., None] * rate
    return jnp.cos(angle), rate * jnp.sin(angle), -(rate**2) * jnp.cos(angle)


def _fourier(z: Any, count: int) -> tuple[Any, Any, Any]:
    """1, cos πz, sin πz, cos 2πz, …"""
    k = np.arange(count)
    rate, turned = np.pi * ((k + 1) // 2), np.pi / 2 * (k > 0) * (k % 2 == 0)
    angle = z[..., None] * rate - turned
    return jnp.cos(angle), -rate * jnp.sin(angle), -(rate**2) * jnp.cos(angle)


def logarithm(kinds: tuple[int, ...], bent: Any, z: Any) -> tuple[Any, Any, Any]:
    """ln φ_0 of every axis at z (..., dim), and two derivatives."""
    walled = np.array([k == WALLED for k in kinds])
    opened = np.array([k == OPEN for k in kinds])
    angle = jnp.where(walled, np.pi / 2 * z, 0.0)
    tangent = jnp.tan(angle)
    base = jnp.where(opened, -(z**2) / 2, jnp.log(jnp.maximum(jnp.cos(angle), 1e-300)))
    first = jnp.where(opened, -z, -np.pi / 2 * tangent)
    second = jnp.where(opened, -1.0, jnp.where(walled, -((np.pi / 2) ** 2) * (1 + tangent**2), 0.0))
    parts = series(kinds, z, bent.shape[-1])
    extra = [jnp.sum(part * bent, axis=-1) for part in parts]
    return base + extra[0], first + extra[1], second + extra[2]


def product_reference(
    problem: Problem, well: Well, kinds: tuple[int, ...], count: int, mean_field: bool = True
) -> Reference:
    """The `count` lowest products (and those of the last one's energy) about a well.

    `mean_field=False` leaves the Gaussian as it is: Hermite products. Costs 4·dim·49·256 evaluations of V, and dim
    eigenproblems of 20 functions.
    """
    dim = problem.dim
    edges = np.where(np.array(kinds) == OPEN, _HALF_WIDTH, 1.0)
    nodes = _nodes(kinds, edges, _NODES)  # (dim, nodes)
    weights = 2 * edges / _NODES
    bent = np.zeros((dim, _BENT + 1))
    modals, energies = np.zeros((0,)), np.zeros((0,))
    fields = well.rates[:, None] ** 2 * nodes**2 if not mean_field else None
    for _ in range(_ROUNDS if mean_field else 1):
        log = _logs(kinds, bent, nodes)
        ground = np.exp(2 * (log - log.max(1, keepdims=True)))
        v = _mean_fields(problem, well, kinds, edges, nodes, ground) if fields is None else fields
        modals, energies, functions = _levels(kinds, bent, nodes, weights, well.rates, v)
        if not mean_field:
            break
        before, bent = bent, _bend(kinds, nodes, functions[:, 0])
        if np.abs(bent - before).max() < _SETTLED:
            break
    if mean_field:
        modals, energies, functions = _levels(kinds, bent, nodes, weights, well.rates, v)
    levels, sums = _lowest_products(energies - energies[:, :1], count)
    most = int(levels.max()) + 1
    pairs = np.argwhere(np.arange(most)[None] * np.ones((dim, 1)) > 0)
    pairs = np.array([p for p in pairs.tolist() if (levels[:, p[0]] == p[1]).any()]).reshape(-1, 2)
    index = {tuple(p): i for i, p in enumerate(pairs.tolist())}
    excited = [[index[(i, int(n))] for i, n in enumerate(level) if n] for level in levels]
    slots = np.full((len(levels), max(1, max(map(len, excited)))), len(pairs))
    for m, found in enumerate(excited):
        slots[m, : len(found)] = found
    used = np.isfinite(energies[:, :most, None])
    density, cumulated = _tables(kinds, edges, nodes, np.where(used, functions[:, :most] ** 2, 1.0))
    return Reference(
        kinds, well.centre, well.axes, well.rates, bent, modals[:, :most], pairs, slots, levels, sums, edges, density, cumulated
    )  # fmt: skip


def _nodes(kinds: tuple[int, ...], edges: np.ndarray, count: int) -> np.ndarray:
    return edges[:, None] * (2 * (np.arange(count) + 0.5) / count - 1)


def _logs(kinds: tuple[int, ...], bent: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    return np.asarray(logarithm(kinds, bent, jnp.asarray(nodes.T))[0]).T


def _mean_fields(
    problem: Problem,
    well: Well,
    kinds: tuple[int, ...],
    edges: np.ndarray,
    nodes: np.ndarray,
    ground: np.ndarray,
) -> np.ndarray:
    """V along each axis (dim, nodes), averaged over the ground densities (dim, nodes) of the others."""
    dim = len(kinds)
    unit = golden_lattice(_SAMPLES // 2, dim)
    unit = np.concatenate([unit, 1 - unit])
    share = np.cumsum(ground, axis=1) - ground / 2
    y = np.stack([np.interp(unit[:, i], share[i] / ground[i].sum(), nodes[i]) for i in range(dim)], axis=1)
    coarse = _nodes(kinds, edges, _COARSE)
    fields = np.empty_like(nodes)
    for i in range(dim):
        at = np.repeat(y[None], _COARSE, axis=0)
        at[..., i] = coarse[i][:, None]
        x = well.centre + at.reshape(-1, dim) @ well.axes.T
        mean = problem.potential_values(x).reshape(_COARSE, _SAMPLES).mean(1)
        fields[i] = CubicSpline(coarse[i], mean, extrapolate=True)(nodes[i])
    return fields


def _levels(
    kinds: tuple[int, ...],
    bent: np.ndarray,
    nodes: np.ndarray,
    weights: np.ndarray,
    rates: np.ndarray,
    fields: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Series r_n (dim, L, K), energies (dim, L) and functions φ_n (dim, L, nodes) of each axis's own Hamiltonian."""
    z = jnp.asarray(nodes.T)
    log, slope, _ = (np.asarray(part).T for part in logarithm(kinds, bent, z))
    value, first, _ = (np.moveaxis(np.asarray(part), 0, 1) for part in series(kinds, z, _DEGREES))
    ground = np.exp(log - log.max(1, keepdims=True))
    modals, energies, functions = [], [], []
    for i in range(len(kinds)):
        f = ground[i][:, None] * value[i] * np.sqrt(weights[i])
        df = ground[i][:, None] * (first[i] + slope[i][:, None] * value[i]) * np.sqrt(weights[i])
        norms = np.linalg.norm(f, axis=0)
        _, singular, right = np.linalg.svd(f / norms, full_matrices=False)
        kept = singular > 1e-10 * singular[0]
        basis = (right[kept].T / singular[kept]) / norms[:, None]
        own = rates[i] ** 2 * (df @ basis).T @ (df @ basis) + ((f @ basis) * fields[i][:, None]).T @ (
            f @ basis
        )
        e, vectors = scipy.linalg.eigh((own + own.T) / 2)
        most = _DEGREES // 2
        # A ground function far from its base leaves fewer that are independent: no product takes the rest.
        missing = max(0, most - len(e))
        c = np.pad((basis @ vectors)[:, :most].T, ((0, missing), (0, 0)))
        modals.append(c)
        energies.append(np.pad(e[:most], (0, missing), constant_values=np.inf))
        functions.append((f @ c.T).T / np.sqrt(weights[i]))
    return np.stack(modals), np.stack(energies), np.stack(functions)


def _bend(kinds: tuple[int, ...], nodes: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """q of each axis, so that base·exp(q) is close to its ground state (dim, nodes)."""
    dim = len(kinds)
    base = _logs(kinds, np.zeros((dim, _BENT + 1)), nodes)
    value = np.moveaxis(np.asarray(series(kinds, jnp.asarray(nodes.T), _BENT + 1)[0]), 0, 1)
    away = np.linspace(-_FAR, _FAR, 401)
    far = np.asarray(series(kinds, jnp.asarray(np.tile(away[:, None], (1, dim))), _BENT + 1)[0])
    bent = np.zeros((dim, _BENT + 1))
    for i in range(dim):
        psi = np.abs(ground[i])
        told = psi > 1e-5 * psi.max()
        target = np.log(psi[told]) - base[i][told]
        for degree in (8, 6, 4, 2):
            a = value[i][told][:, : degree + 1]
            fit = np.linalg.lstsq(a * psi[told][:, None], target * psi[told], rcond=1e-10)[0]
            # Beyond what was fitted ψ must keep falling: a polynomial could turn up there.
            beyond = (away < nodes[i][told].min()) | (away > nodes[i][told].max())
            tail = (far[:, i, : degree + 1] @ fit - away**2 / 2)[beyond]
            if kinds[i] != OPEN or tail.max() < (a @ fit + base[i][told]).max() - 5:
                bent[i, : degree + 1] = fit
                break
    return bent


def _lowest_products(energies: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Quantum numbers (M, dim) and sums (M,) of the lowest products, at least `count`; whole levels."""
    dim, most = energies.shape
    start = (0,) * dim
    heap, seen = [(0.0, start)], {start}
    found: list[tuple[float, tuple[int, ...]]] = []
    while heap:
        energy, level = heapq.heappop(heap)
        scale = max(found[-1][0], 1e-12) if found else 1.0
        if len(found) >= count and energy > found[-1][0] + 1e-6 * scale:
            break
        found.append((energy, level))
        for i in range(dim):
            if level[i] + 1 < most and np.isfinite(energies[i, level[i] + 1]):
                higher = (*level[:i], level[i] + 1, *level[i + 1 :])
                if higher not in seen:
                    seen.add(higher)
                    rise = float(sum(energies[a, n] for a, n in enumerate(higher)))
                    heapq.heappush(heap, (rise, higher))
    return np.array([level for _, level in found]), np.array([energy for energy, _ in found])


def _tables(
    kinds: tuple[int, ...], edges: np.ndarray, nodes: np.ndarray, densities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Densities (dim, L, cells) over [-edge, edge], wider than |φ_n|² (dim, L, nodes), and their sums."""
    dim, levels, _ = densities.shape
    cells = _nodes(kinds, edges, _CELLS)
    share = _DEFENSIVE / dim
    wide = 1 + 0.45 / np.sqrt(dim)
    table = np.zeros((dim, levels, _CELLS))
    for i in range(dim):
        for n in range(levels):
            mean = densities[i, n] @ nodes[i] / densities[i, n].sum()
            parts = []
            for stretch in (wide, 1.6) if kinds[i] == OPEN else (1.0,):
                part = np.interp((cells[i] - mean) / stretch + mean, nodes[i], densities[i, n])
                parts.append(part / part.sum())
            if kinds[i] != OPEN:
                parts.append(np.full(_CELLS, 1 / _CELLS))
            table[i, n] = (1 - share) * parts[0] + share * parts[1]
    table = np.maximum(table, 1e-60)
    table /= table.sum(2, keepdims=True)
    cumulated = np.concatenate([np.zeros((dim, levels, 1)), np.cumsum(table, axis=2)], axis=2)
    cumulated[..., -1] = 1.0
    return table * _CELLS / (2 * edges[:, None, None]), cumulated
