"""Products of mean-field functions (`locate.mean_field`) as a first guess in many dimensions, and points drawn from their
densities. Products with the lowest sums of energies are the reference states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspin.methods.locate.mean_field import OPEN, axis_nodes, mean_field
from qspin.methods.locate.wells import Well
from qspin.numerics.lowest_sums import lowest_products
from qspin.problem.problem import Problem

__all__ = ["Reference", "product_reference"]

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


def product_reference(problem: Problem, well: Well, kinds: tuple[int, ...], count: int) -> Reference:
    """The `count` lowest products of mean-field functions (and those of the last one's energy) about a well."""
    dim = problem.dim
    field = mean_field(problem, well, kinds)
    levels, sums = lowest_products(field.excitations, count)
    most = int(levels.max()) + 1
    pairs = np.argwhere(np.arange(most)[None] * np.ones((dim, 1)) > 0)
    pairs = np.array([p for p in pairs.tolist() if (levels[:, p[0]] == p[1]).any()]).reshape(-1, 2)
    index = {tuple(p): i for i, p in enumerate(pairs.tolist())}
    excited = [[index[(i, int(n))] for i, n in enumerate(level) if n] for level in levels]
    slots = np.full((len(levels), max(1, max(map(len, excited)))), len(pairs))
    for m, places in enumerate(excited):
        slots[m, : len(places)] = places
    used = np.isfinite(field.energies[:, :most, None])
    densities = np.where(used, field.functions[:, :most] ** 2, 1.0)
    density, cumulated = _tables(kinds, field.edges, field.nodes, densities)
    return Reference(
        kinds, well.centre, well.axes, well.rates, field.bent, field.modals[:, :most], pairs, slots, levels, sums, field.edges,
        density, cumulated,
    )  # fmt: skip


def _tables(
    kinds: tuple[int, ...], edges: np.ndarray, nodes: np.ndarray, densities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Densities (dim, L, cells) over [-edge, edge], wider than |φ_n|² (dim, L, nodes), and their sums."""
    dim, levels, _ = densities.shape
    cells = axis_nodes(edges, _CELLS)
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
