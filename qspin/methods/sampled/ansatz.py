"""Trial functions in many dimensions: products of mean-field functions times one shared network, about one or several wells.

f_m(x) = exp(J + y·Qy + Σ_i ln φ_0(z_i))·(∏ r_n(z_i) + h_m), z = y + Ry + s: a log factor J, a shift s of the coordinates and
additive parts h_m are outputs of one small network of y; the matrices Q and R represent any Gaussian and any linear change of
coordinates exactly. All are zero at first: training starts from the reference, the products of lowest energy, from whose
densities points are drawn. Values, gradients and Laplacians are computed in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from qspin.methods.locate.mean_field import OPEN, PERIODIC, WALLED, axis_nodes, logarithm, mean_field, series
from qspin.methods.locate.wells import Well
from qspin.numerics.laplacian import Jet, concatenate, seed
from qspin.numerics.separable import lowest_products
from qspin.problem.domain import Box
from qspin.problem.problem import Problem

__all__ = ["ProductAnsatz", "Reference", "TrialSpace", "product_reference"]

_CELLS = 512  # cells of the tables that points are drawn from
_DEFENSIVE = 0.3  # share of points from wider densities, over all axes


@dataclass(frozen=True, eq=False)
class Reference:
    """Products of functions of the coordinates y about a well, x = centre + axes·y.

    `rates`: the kinetic energy is -Σ rates² ∂²/∂y². `bent` holds the series q of every axis, and `modals` the series r_n (see
    `mean_field`). Product m is made of the pairs (axis, n) in `pairs` that row m of `slots` names; the number of pairs stands
    for none. `levels` are the quantum numbers, `energies` the products' energies above the ground state. `density` and
    `cumulated` are tables of |φ_n|², widened, over [-edge, edge].
    """

    kinds: tuple[int, ...]
    centre: Float[np.ndarray, " dim"]
    axes: Float[np.ndarray, "dim dim"]
    rates: Float[np.ndarray, " dim"]
    bent: Float[np.ndarray, "dim bends"]
    modals: Float[np.ndarray, "dim rungs degrees"]
    pairs: Int[np.ndarray, "pairs 2"]
    slots: Int[np.ndarray, "products slots"]
    levels: Int[np.ndarray, "products dim"]
    energies: Float[np.ndarray, " products"]
    edges: Float[np.ndarray, " dim"]
    density: Float[np.ndarray, "dim rungs cells"]
    cumulated: Float[np.ndarray, "dim rungs bounds"]

    @property
    def dim(self) -> int:
        return len(self.kinds)

    @property
    def n_products(self) -> int:
        return len(self.levels)

    def coordinates(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """y of a point x."""
        return jnp.asarray(np.linalg.inv(self.axes)) @ (x - jnp.asarray(self.centre))

    def points(self, unit: Float[Array, "batch columns"]) -> Float[Array, "batch dim"]:
        """Map points of the unit cube to points x distributed as the mean density of the products."""
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
        y = -jnp.asarray(self.edges) + width * (low + part)
        return jnp.asarray(self.centre) + y @ jnp.asarray(self.axes).T

    def log_density(self, x: Float[Array, "batch dim"]) -> Float[Array, " batch"]:
        """Logarithm of the density of `points` at points x; -inf outside the tables."""
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
    pairs = [(i, n) for i in range(dim) for n in range(1, most) if (levels[:, i] == n).any()]
    index = {pair: k for k, pair in enumerate(pairs)}
    excited = [[index[i, int(n)] for i, n in enumerate(level) if n] for level in levels]
    slots = np.full((len(levels), max(1, max(map(len, excited)))), len(pairs))
    for m, places in enumerate(excited):
        slots[m, : len(places)] = places
    used = np.isfinite(field.energies[:, :most, None])
    densities = np.where(used, field.functions[:, :most] ** 2, 1.0)
    density, cumulated = _tables(kinds, field.edges, field.nodes, densities)
    return Reference(
        kinds, well.centre, well.axes, well.rates, field.bent, field.modals[:, :most],
        np.array(pairs, dtype=int).reshape(-1, 2), slots, levels, sums, field.edges, density, cumulated,
    )  # fmt: skip


def _tables(
    kinds: tuple[int, ...],
    edges: Float[np.ndarray, " dim"],
    nodes: Float[np.ndarray, "dim nodes"],
    densities: Float[np.ndarray, "dim rungs nodes"],
) -> tuple[Float[np.ndarray, "dim rungs cells"], Float[np.ndarray, "dim rungs bounds"]]:
    """Tables over [-edge, edge] of densities wider than the given ones, and their cumulative sums."""
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


@dataclass(frozen=True, eq=False)
class ProductAnsatz:
    """Settings: references, one a well, and hidden widths of the network of each.

    Parameters are, for each well, a list of (matrix, bias), and then (Q, R). Cost of values at a point O(network + M); with
    gradients and Laplacians (dim + 2) times that, and O(dim · (dim + M)) memory.
    """

    references: tuple[Reference, ...]
    widths: tuple[int, ...] = (32, 32)

    @property
    def n_features(self) -> int:
        return sum(r.n_products for r in self.references)

    @property
    def dim(self) -> int:
        return self.references[0].dim

    def init(self, random: int) -> PyTree:
        """Random hidden layers; a last layer of zeros."""
        rng = np.random.default_rng(random)
        params = []
        for r in self.references:
            sizes = [len(r.kinds) + r.kinds.count(PERIODIC), *self.widths]
            layers = [
                (rng.normal(size=(n, m)) / np.sqrt(n), 0.5 * rng.normal(size=m)) for n, m in pairwise(sizes)
            ]
            outputs = 1 + r.dim + r.n_products
            square = np.zeros((r.dim, r.dim))
            params.append([*layers, (np.zeros((sizes[-1], outputs)), np.zeros(outputs)), (square, square)])
        return params

    def features(
        self, params: PyTree, x: Float[Array, " dim"], shift: ArrayLike = 0.0
    ) -> tuple[Float[Array, " features"], Float[Array, " features"]]:
        """f and Σ c_i ∂²f/∂x_i² at a point, times exp(shift)."""
        parts = []
        for r, layers in zip(self.references, params, strict=True):
            y = r.coordinates(x)
            parts.append(_with_laplacian(r, layers, seed(y, jnp.asarray(r.rates, y.dtype)), shift))
        values, laplacians = zip(*parts, strict=True)
        return jnp.concatenate(values), jnp.concatenate(laplacians)

    def values(
        self, params: PyTree, x: Float[Array, " dim"], shift: ArrayLike = 0.0
    ) -> Float[Array, " features"]:
        """f alone: jets without directions, so that no derivatives are computed."""
        parts = []
        for r, layers in zip(self.references, params, strict=True):
            y = r.coordinates(x)
            jet = Jet(y, jnp.zeros((0, r.dim), y.dtype), jnp.zeros_like(y))
            parts.append(_with_laplacian(r, layers, jet, shift)[0])
        return jnp.concatenate(parts)

    def points(
        self, unit: Float[Array, "batch columns"], box: Box
    ) -> tuple[Float[Array, "batch dim"], Float[Array, " batch"]]:
        """Points distributed as the references' densities, and half the logarithms of their weights (-inf outside walls)."""
        references = self.references
        parts = np.array_split(np.arange(len(unit)), len(references))
        x = jnp.concatenate(
            [r.points(unit[part[0] : part[-1] + 1]) for r, part in zip(references, parts, strict=True)]
        )
        logs = [r.log_density(x) + np.log(len(p) / len(unit)) for r, p in zip(references, parts, strict=True)]
        log = jax.scipy.special.logsumexp(jnp.stack(logs), axis=0)
        lower, upper = jnp.asarray(box.lower), jnp.asarray(box.upper)
        inside = jnp.all((x > lower) & (x < upper), axis=1) & jnp.isfinite(log)
        shift = jnp.where(inside, -(log + np.log(len(unit))) / 2, -jnp.inf)
        return jnp.where(inside[:, None], x, jnp.asarray(references[0].centre)), shift


def _with_laplacian(
    r: Reference, layers: PyTree, y: Jet, shift: ArrayLike
) -> tuple[Float[Array, " products"], Float[Array, " products"]]:
    """f = F·(P + h), F = exp L: Δf = F·[(ΔL + |∇L|²)(P + h) + 2∇L·(∇P + ∇h) + ΔP + Δh].

    Gradients of the M parts are only needed along ∇L and along each other: (dim, dim) products give those, without (dim, M)
    arrays.
    """
    *layers, (quadratic, linear) = layers
    hidden = _hidden_layer(r, layers, y)
    matrix, bias = layers[-1]
    quadratic, linear = (a * _non_periodic(r) for a in (quadratic, linear))
    both = quadratic + quadratic.T
    log_matrix, shift_matrix, added_matrix = jnp.split(matrix, [1, 1 + r.dim], axis=1)
    log_factor = hidden.linear(log_matrix)
    displacement = hidden.linear(shift_matrix).raised(bias[1 : 1 + r.dim]).plus(y.linear(linear.T))
    z = y.plus(_gate_at_walls(r, y, displacement))
    gram = z.slope.T @ z.slope
    l0, l1, l2 = logarithm(r.kinds, jnp.asarray(r.bent), z.value)
    log = jnp.sum(l0) + log_factor.value[0] + bias[0] + y.value @ quadratic @ y.value
    slope = z.slope @ l1 + log_factor.slope[:, 0] + y.slope @ (both @ y.value)
    bend = l1 @ z.bend + l2 @ jnp.diagonal(gram) + log_factor.bend[0]
    bend += jnp.asarray(r.rates**2) @ jnp.diagonal(both)
    p, along_p, bend_p = _products(r, z.value, z.bend, gram, z.slope.T @ slope)
    h = hidden.value @ added_matrix + bias[1 + r.dim :]
    along_h = (slope @ hidden.slope) @ added_matrix
    factor = jnp.exp(log + shift)
    total = p + h
    laplacian = (bend + slope @ slope) * total + 2 * (along_p + along_h) + bend_p + hidden.bend @ added_matrix
    return factor * total, factor * laplacian


def _products(
    r: Reference,
    z: Float[Array, " dim"],
    bend: Float[Array, " dim"],
    gram: Float[Array, "dim dim"],
    along: Float[Array, " dim"],
) -> tuple[Float[Array, " products"], Float[Array, " products"], Float[Array, " products"]]:
    """P_m = ∏ r_n(z_i), ∇L·∇P_m and ΔP_m, from Δz, ∇z_i·∇z_j and ∇L·∇z_i."""
    axis, level = r.pairs[:, 0], r.pairs[:, 1]
    rows = jnp.asarray(r.modals[axis, level])
    parts = (part[axis] for part in series(r.kinds, z, rows.shape[1]))
    value, first, second = (jnp.sum(part * rows, axis=-1) for part in parts)
    # One more entry, the number one, is for slots without a pair.
    value = jnp.pad(value, (0, 1), constant_values=1.0)
    tilt = jnp.pad(first * along[axis], (0, 1))
    lap = jnp.pad(first * bend[axis] + second * jnp.diagonal(gram)[axis], (0, 1))
    cross = jnp.pad(first[:, None] * first * gram[np.ix_(axis, axis)], ((0, 1), (0, 1)))
    columns = r.slots.T
    factors = [value[c] for c in columns]

    def others(*left_out: int) -> Array:
        kept = [f for s, f in enumerate(factors) if s not in left_out]
        return prod(kept[1:], start=kept[0]) if kept else jnp.ones(r.n_products, value.dtype)

    along_p = sum((tilt[c] * others(s) for s, c in enumerate(columns)), jnp.zeros(r.n_products, value.dtype))
    bend_p = sum((lap[c] * others(s) for s, c in enumerate(columns)), jnp.zeros(r.n_products, value.dtype))
    for s, t in combinations(range(len(columns)), 2):
        bend_p += 2 * cross[columns[s], columns[t]] * others(s, t)
    return others(), along_p, bend_p


def _non_periodic(r: Reference) -> Float[np.ndarray, "dim dim"]:
    """A mask that is one for entries of Q and R between axes that are not periodic, and zero for all others."""
    straight = np.array(r.kinds) != PERIODIC
    return np.multiply.outer(straight, straight).astype(float)


def _hidden_layer(r: Reference, layers: PyTree, y: Jet) -> Jet:
    """The last hidden layer. Inputs are y, scaled to order one, and for periodic axes cosine and sine."""
    kinds = np.array(r.kinds)
    straight, turning = np.flatnonzero(kinds != PERIODIC), np.flatnonzero(kinds == PERIODIC)
    scale = np.where(kinds == OPEN, 1 / np.sqrt(2), 1.5)[straight]
    parts = [y.at(straight).scaled(scale)]
    if len(turning):
        angle = y.at(turning).scaled(np.pi)
        c, s = jnp.cos(angle.value), jnp.sin(angle.value)
        parts += [angle.apply(c, -s, -c), angle.apply(s, c, -s)]
    hidden = concatenate(parts)
    for matrix, bias in layers[:-1]:
        hidden = hidden.linear(matrix).raised(bias).tanh()
    return hidden


def _gate_at_walls(r: Reference, y: Jet, displacement: Jet) -> Jet:
    """The shift of the coordinates, times 1 - y² on walled axes, so that it vanishes on walls."""
    walled = np.array(r.kinds) == WALLED
    if not walled.any():
        return displacement
    gate = Jet(
        jnp.where(walled, 1 - y.value**2, 1.0),
        jnp.where(walled, -2 * y.value * y.slope, 0.0),
        jnp.where(walled, -2 * jnp.sum(y.slope**2, axis=0), 0.0),
    )
    return displacement.times(gate)


@dataclass(frozen=True, eq=False)
class TrialSpace:
    """Trial functions in a box, and the potential as a function of one point."""

    box: Box
    potential: Callable[[Array], Array]
    ansatz: ProductAnsatz
    n_states: int

    def points(
        self, unit: Float[Array, "batch columns"]
    ) -> tuple[Float[Array, "batch dim"], Float[Array, " batch"]]:
        """Points, and half the logarithms of their weights."""
        return self.ansatz.points(unit, self.box)

    def images(
        self, params: PyTree, x: Float[Array, "batch dim"], shift: Float[Array, " batch"]
    ) -> tuple[Float[Array, "batch features"], Float[Array, "batch features"]]:
        """f and Hf at points, times root weights."""
        f, laplacians = jax.vmap(lambda point, s: self.ansatz.features(params, point, s))(x, shift)
        return f, jax.vmap(self.potential)(x)[:, None] * f - laplacians

    def values(
        self, params: PyTree, x: Float[Array, "batch dim"], shift: Float[Array, " batch"]
    ) -> Float[Array, "batch features"]:
        """f alone."""
        return jax.vmap(lambda point, s: self.ansatz.values(params, point, s))(x, shift)
