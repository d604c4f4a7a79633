"""One-dimensional functions for each axis of a well, in the mean field of the other axes, and products of them.

In the coordinates y of a Gaussian each axis has its own Hamiltonian, with V averaged over the ground densities of the other
axes (the vibrational self-consistent field: Bowman, J. Chem. Phys. 68, 608, 1978). Its lowest functions are φ_n = φ_0·r_n, with
φ_0 = base·exp(q) > 0 and q, r_n short series: polynomials on open axes, cosines between walls, Fourier series on a circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float, Int
from scipy.interpolate import CubicSpline

from qspin.methods.locate.wells import Well
from qspin.numerics.points import golden_lattice
from qspin.numerics.separable import hermite_polynomials, lowest_products
from qspin.problem.problem import Problem

__all__ = [
    "OPEN", "PERIODIC", "WALLED", "MeanField", "Reference", "logarithm", "mean_field", "product_reference", "series",
]  # fmt: skip

OPEN, WALLED, PERIODIC = 0, 1, 2  # kinds of axes

_HALF_WIDTH = 8.0  # of open axes, in units of the Gaussian's; others reach from -1 to 1
_NODES = 241
_COARSE = 49  # nodes where V is averaged
_SAMPLES = 256  # points it is averaged over
_ROUNDS = 4
_SETTLED = 1e-4  # change of q
_DEGREES = 20  # functions in the series of r_n
_BENT = 8  # degree of q
_FAR_OUT = np.linspace(-50.0, 50.0, 401)  # where q must still let ψ fall
_CELLS = 512  # cells of the tables that points are drawn from
_DEFENSIVE = 0.3  # share of points from wider densities, over all axes


class MeanField(NamedTuple):
    """`energies` (dim, L) and `functions` φ_n (dim, L, nodes) of every axis, as series: q in `bent` (dim, 9), r_n in `modals`
    (dim, L, K). Where an axis has fewer than L independent functions, the energies of the missing ones are infinite."""

    bent: Float[np.ndarray, "dim bends"]
    modals: Float[np.ndarray, "dim levels degrees"]
    energies: Float[np.ndarray, "dim levels"]
    functions: Float[np.ndarray, "dim levels nodes"]

    @property
    def excitations(self) -> Float[np.ndarray, "dim levels"]:
        """Energies above the ground state of each axis."""
        return self.energies - self.energies[:, :1]


def mean_field(problem: Problem, well: Well, kinds: tuple[int, ...]) -> MeanField:
    """The self-consistent functions of every axis about a well.

    Costs 4·dim·49·256 evaluations of V, and 4·dim eigenproblems of 20 functions.
    """
    bent = np.zeros((problem.dim, _BENT + 1))
    for _ in range(_ROUNDS):
        fields = _averaged_potential(problem, well, kinds, _ground(kinds, bent)[0] ** 2)
        functions = _levels(kinds, bent, well.rates, fields)[2]
        before, bent = bent, _bend(kinds, functions[:, 0])
        if np.abs(bent - before).max() < _SETTLED:
            break
    return MeanField(bent, *_levels(kinds, bent, well.rates, fields))


def _edges(kinds: tuple[int, ...]) -> Float[np.ndarray, "dim 1"]:
    return np.where(np.array(kinds) == OPEN, _HALF_WIDTH, 1.0)[:, None]


def _nodes(kinds: tuple[int, ...], count: int = _NODES) -> Float[np.ndarray, "dim {count}"]:
    """Midpoints of `count` equal cells of [-edge, edge], for every axis."""
    return _edges(kinds) * (2 * (np.arange(count) + 0.5) / count - 1)


def series(
    kinds: tuple[int, ...], z: Float[Array, "*shape dim"], count: int
) -> tuple[Float[Array, "*shape dim {count}"], ...]:
    """The first `count` functions of every axis at z, and their two derivatives.

    On open axes Hermite polynomials, H_k' = √(2k) H_{k-1}. Between walls cos kθ, θ = π(1 - z)/2: Chebyshev polynomials of
    sin(πz/2), so that sines are sin θ times them. On a circle 1, cos πz, sin πz, cos 2πz, …
    """
    kind, k = np.array(kinds), np.arange(count)
    straight, waves = np.flatnonzero(kind == OPEN), np.flatnonzero(kind != OPEN)
    value, root = jnp.moveaxis(hermite_polynomials(z[..., straight], count - 1), 0, -1), np.sqrt(2 * k)
    first = root * jnp.roll(value, 1, axis=-1)
    walled = kind[waves, None] == WALLED
    rate = np.where(walled, np.pi / 2 * k, np.pi * ((k + 1) // 2))
    angle = z[..., waves, None] * rate - np.where(walled, rate, np.pi / 2 * (k > 0) * (k % 2 == 0))
    pairs = (
        (value, jnp.cos(angle)),
        (first, -rate * jnp.sin(angle)),
        (root * jnp.roll(first, 1, axis=-1), -(rate**2) * jnp.cos(angle)),
    )
    back = np.argsort(np.concatenate([straight, waves]))
    return tuple(jnp.concatenate(pair, axis=-2)[..., back, :] for pair in pairs)


def logarithm(
    kinds: tuple[int, ...], bent: Float[Array, "dim bends"], z: Float[Array, "*shape dim"]
) -> tuple[Float[Array, "*shape dim"], ...]:
    """ln φ_0 of every axis at z, and its two derivatives."""
    bends = series(kinds, z, bent.shape[-1])
    pairs = zip(_log_base(kinds, z), bends, strict=True)
    return tuple(base + jnp.sum(part * bent, axis=-1) for base, part in pairs)


def _log_base(
    kinds: tuple[int, ...], z: Float[Array, "*shape dim"]
) -> tuple[Float[Array, "*shape dim"], ...]:
    """exp(-z²/2) on open axes, cos(πz/2) between walls, one on a circle: the logarithm and its two derivatives."""
    is_open, rate = np.array(kinds) == OPEN, np.pi / 2 * (np.array(kinds) == WALLED)
    angle = rate * z
    return (
        jnp.where(is_open, -(z**2) / 2, jnp.log(jnp.maximum(jnp.cos(angle), 1e-300))),
        jnp.where(is_open, -z, -rate * jnp.tan(angle)),
        jnp.where(is_open, -1.0, -(rate**2) * (1 + jnp.tan(angle) ** 2)),
    )


@lru_cache(maxsize=32)
def _tables(kinds: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The series, their slopes, ln base and its slope, (dim, points, …): at the nodes, then at points from -50 to 50."""
    z = np.concatenate([_nodes(kinds).T, np.tile(_FAR_OUT[:, None], (1, len(kinds)))])
    compiled = jax.jit(lambda z: (*series(kinds, z, _DEGREES)[:2], *_log_base(kinds, z)[:2]))
    return tuple(np.moveaxis(np.asarray(part), 0, 1) for part in compiled(z))


def _ground(
    kinds: tuple[int, ...], bent: Float[np.ndarray, "dim bends"]
) -> tuple[Float[np.ndarray, "dim nodes"], Float[np.ndarray, "dim nodes"]]:
    """φ_0 at the nodes, at most one, and the slope of its logarithm."""
    value, first, base, slope = (part[:, :_NODES] for part in _tables(kinds))
    log = base + np.einsum("ink,ik->in", value[..., : _BENT + 1], bent)
    slope = slope + np.einsum("ink,ik->in", first[..., : _BENT + 1], bent)
    return np.exp(log - log.max(1, keepdims=True)), slope


def _averaged_potential(
    problem: Problem, well: Well, kinds: tuple[int, ...], ground: Float[np.ndarray, "dim nodes"]
) -> Float[np.ndarray, "dim nodes"]:
    """V along each axis, averaged over the ground densities of the others."""
    nodes, coarse, dim = _nodes(kinds), _nodes(kinds, _COARSE), len(kinds)
    unit = golden_lattice(_SAMPLES // 2, dim)
    unit = np.concatenate([unit, 1 - unit])
    share = (np.cumsum(ground, axis=1) - ground / 2) / ground.sum(1, keepdims=True)
    y = np.stack([np.interp(unit[:, i], share[i], nodes[i]) for i in range(dim)], axis=1)
    fields = np.empty_like(nodes)
    for i in range(dim):
        at = np.repeat(y[None], _COARSE, axis=0)
        at[..., i] = coarse[i][:, None]
        mean = problem.potential_values(well.centre + at.reshape(-1, dim) @ well.axes.T)
        fields[i] = CubicSpline(coarse[i], mean.reshape(_COARSE, _SAMPLES).mean(1))(nodes[i])
    return fields


def _levels(
    kinds: tuple[int, ...],
    bent: Float[np.ndarray, "dim bends"],
    rates: Float[np.ndarray, " dim"],
    fields: Float[np.ndarray, "dim nodes"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`modals`, `energies` and `functions` of the Hamiltonian of each axis."""
    nodes, (ground, slope) = _nodes(kinds), _ground(kinds, bent)
    value, first = (part[:, :_NODES] for part in _tables(kinds)[:2])
    most, axes = _DEGREES // 2, []
    for i in range(len(kinds)):
        root = np.sqrt(nodes[i, 1] - nodes[i, 0])
        f = root * ground[i][:, None] * value[i]
        df = root * ground[i][:, None] * (first[i] + slope[i][:, None] * value[i])
        norms = np.linalg.norm(f, axis=0)
        _, singular, right = np.linalg.svd(f / norms, full_matrices=False)
        kept = singular > 1e-10 * singular[0]
        basis = (right[kept].T / singular[kept]) / norms[:, None]
        g, dg = f @ basis, df @ basis
        own = rates[i] ** 2 * dg.T @ dg + (g * fields[i][:, None]).T @ g
        e, vectors = scipy.linalg.eigh((own + own.T) / 2)
        # Where φ_0 is far from its base, fewer functions are independent: no product uses the missing ones.
        missing = max(0, most - len(e))
        c = np.pad((basis @ vectors)[:, :most].T, ((0, missing), (0, 0)))
        axes.append((c, np.pad(e[:most], (0, missing), constant_values=np.inf), (f @ c.T).T / root))
    modals, energies, functions = (np.stack(part) for part in zip(*axes, strict=True))
    return modals, energies, functions


def _bend(kinds: tuple[int, ...], ground: Float[np.ndarray, "dim nodes"]) -> Float[np.ndarray, "dim bends"]:
    """q of each axis, so that base·exp(q) is close to its ground state."""
    bent = np.zeros((len(kinds), _BENT + 1))
    for i, (psi, nodes, value, base) in enumerate(
        zip(np.abs(ground), _nodes(kinds), *_tables(kinds)[::2], strict=True)
    ):
        known = np.flatnonzero(psi > 1e-5 * psi.max())
        outside = _NODES + np.flatnonzero((nodes[known[0]] > _FAR_OUT) | (nodes[known[-1]] < _FAR_OUT))
        target = (np.log(psi[known]) - base[known]) * psi[known]
        for degree in (8, 6, 4, 2):
            a = value[:, : degree + 1]
            fit = np.linalg.lstsq(a[known] * psi[known][:, None], target, rcond=1e-10)[0]
            # Outside the fitted range ψ must keep falling, and a polynomial might rise there.
            log = base + a @ fit
            if kinds[i] != OPEN or log[outside].max() < log[known].max() - 5:
                bent[i, : degree + 1] = fit
                break
    return bent


@dataclass(frozen=True, eq=False)
class Reference:
    """Products of functions of the coordinates y about a well, x = centre + axes·y.

    The kinetic energy is -Σ rates² ∂²/∂y². `bent` holds the series q of every axis, and `modals` the series r_n (see
    `MeanField`). `levels` are the quantum numbers of each product, `energies` the products' energies above the ground state.
    `density` are tables of |φ_n|², widened, over [-edge, edge].
    """

    kinds: tuple[int, ...]
    centre: Float[np.ndarray, " dim"]
    axes: Float[np.ndarray, "dim dim"]
    rates: Float[np.ndarray, " dim"]
    bent: Float[np.ndarray, "dim bends"]
    modals: Float[np.ndarray, "dim rungs degrees"]
    levels: Int[np.ndarray, "products dim"]
    energies: Float[np.ndarray, " products"]
    density: Float[np.ndarray, "dim rungs cells"]

    @property
    def dim(self) -> int:
        return len(self.kinds)

    @property
    def n_products(self) -> int:
        return len(self.levels)

    @cached_property
    def factors(self) -> tuple[Int[np.ndarray, "pairs 2"], Int[np.ndarray, "products slots"]]:
        """All pairs (axis, n > 0) in the products, and which of them make each product; their number stands for none."""
        product, axis = np.nonzero(self.levels)
        named = np.stack([axis, self.levels[product, axis]], axis=1)
        pairs, place = np.unique(named, axis=0, return_inverse=True)
        counts = np.bincount(product, minlength=self.n_products)
        slots = np.full((self.n_products, max(1, counts.max())), len(pairs))
        slots[product, np.arange(len(product)) - np.repeat(np.cumsum(counts) - counts, counts)] = (
            place.ravel()
        )
        return pairs, slots

    @cached_property
    def _cumulated(self) -> Float[np.ndarray, "rows bounds"]:
        table = self.density.reshape(-1, _CELLS)
        sums = np.cumsum(table / table.sum(1, keepdims=True), axis=1)
        return np.pad(np.column_stack([sums[:, :-1], np.ones(len(table))]), ((0, 0), (1, 0)))

    def coordinates(self, x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
        """y of points x."""
        return (x - jnp.asarray(self.centre)) @ jnp.asarray(np.linalg.inv(self.axes)).T

    def points(self, unit: Float[Array, "batch columns"]) -> Float[Array, "batch dim"]:
        """Map points of the unit cube to points x distributed as the mean density of the products."""
        chosen = jnp.minimum((unit[:, 0] * self.n_products).astype(int), self.n_products - 1)
        row = jnp.arange(self.dim) * self.density.shape[1] + jnp.asarray(self.levels)[chosen]  # (B, dim)
        cumulated, u = jnp.asarray(self._cumulated), unit[:, 1:]
        low, step = jnp.zeros_like(row), _CELLS // 2
        while step:
            low = jnp.where(cumulated[row, low + step] <= u, low + step, low)
            step //= 2
        below, above = cumulated[row, low], cumulated[row, low + 1]
        part = jnp.clip((u - below) / jnp.maximum(above - below, 1e-300), 0, 1)
        y = jnp.asarray(_edges(self.kinds).T) * (2 * (low + part) / _CELLS - 1)
        return jnp.asarray(self.centre) + y @ jnp.asarray(self.axes).T

    def log_density(self, x: Float[Array, "batch dim"]) -> Float[Array, " batch"]:
        """Logarithm of the density of `points` at points x; -inf outside the tables."""
        edges = jnp.asarray(_edges(self.kinds).T)
        cell = jnp.floor((self.coordinates(x) + edges) / (2 * edges) * _CELLS).astype(int)
        inside = jnp.all((cell >= 0) & (cell < _CELLS), axis=1)
        cell = jnp.clip(cell, 0, _CELLS - 1)
        tables, (pairs, slots) = jnp.log(jnp.asarray(self.density)), self.factors
        ground = tables[jnp.arange(self.dim), 0, cell]
        ratios = tables[pairs[:, 0], pairs[:, 1], cell[:, pairs[:, 0]]] - ground[:, pairs[:, 0]]
        products = jnp.sum(jnp.pad(ratios, ((0, 0), (0, 1)))[:, slots], axis=2)  # (B, M)
        mean = jax.nn.logsumexp(products, axis=1) - np.log(self.n_products)
        return jnp.where(inside, ground.sum(1) + mean - float(np.linalg.slogdet(self.axes)[1]), -jnp.inf)


def product_reference(problem: Problem, well: Well, kinds: tuple[int, ...], count: int) -> Reference:
    """The `count` lowest products of mean-field functions (and those of the last one's energy) about a well."""
    field = mean_field(problem, well, kinds)
    levels, sums = lowest_products(field.excitations, count)
    most = int(levels.max()) + 1
    used = np.isfinite(field.energies[:, :most, None])
    density = _widened(kinds, np.where(used, field.functions[:, :most] ** 2, 1.0))
    modals = field.modals[:, :most]
    return Reference(
        kinds, well.centre, well.axes, well.rates, field.bent, modals, levels, sums, density
    )  # fmt: skip


def _widened(
    kinds: tuple[int, ...], densities: Float[np.ndarray, "dim rungs nodes"]
) -> Float[np.ndarray, "dim rungs cells"]:
    """Tables over [-edge, edge] of densities wider than the given ones, so that weights stay bounded."""
    dim, levels, _ = densities.shape
    nodes, cells = _nodes(kinds), _nodes(kinds, _CELLS)
    share = _DEFENSIVE / dim
    table = np.empty((dim, levels, _CELLS))
    for i, n in np.ndindex(dim, levels):
        one, stretches = densities[i, n], (1 + 0.45 / np.sqrt(dim), 1.6) if kinds[i] == OPEN else (1.0,)
        mean = one @ nodes[i] / one.sum()
        parts = [np.interp((cells[i] - mean) / stretch + mean, nodes[i], one) for stretch in stretches]
        near, wide = (
            part / part.sum() for part in (parts[0], parts[-1] if kinds[i] == OPEN else np.ones(_CELLS))
        )
        table[i, n] = (1 - share) * near + share * wide
    table = np.maximum(table, 1e-60)
    return table / table.sum(2, keepdims=True) * (_CELLS / 2) / _edges(kinds)[..., None]
