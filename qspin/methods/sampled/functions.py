"""Trial functions in many dimensions: products of mean-field functions times one shared network, about one or several wells;
and the eigenfunctions made of them, with their densities along one or two coordinates.

f_m(x) = exp(J + y·Qy + Σ_i ln φ_0(z_i))·(∏ r_n(z_i) + h_m), z = y + Ry + s: a log factor J, a shift s of the coordinates and
additive parts h_m are outputs of one small network of y; the matrices Q and R represent any Gaussian and any linear change of
coordinates exactly. All are zero at first: training starts from the reference, the products of lowest energy, from whose
densities points are drawn. Values, gradients and Laplacians are computed in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import combinations, pairwise
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, ArrayLike, Float, Inexact, PyTree

from qspin.methods.locate.mean_field import OPEN, PERIODIC, WALLED, Reference, logarithm, series
from qspin.numerics.laplacian import Function, Jet, concatenate, seed
from qspin.numerics.points import golden_lattice
from qspin.numerics.precision import double_precision, evaluated
from qspin.problem.domain import Box, Domain
from qspin.spectrum.eigenfunctions import Eigenfunctions, PointwiseFunctions, Rotated, check_shapes, combined
from qspin.spectrum.spectrum import Spectrum

__all__ = ["BATCH", "ProductAnsatz", "SampledFunctions", "TrialSpace", "marginal"]

BATCH = 4096  # points at a time
_TABLES = tuple(field.name for field in fields(Reference) if field.name != "kinds")


@dataclass(frozen=True, eq=False)
class ProductAnsatz:
    """Settings: references, one a well, in a box, and hidden widths of the network of each.

    Parameters are, for each well, a list of (matrix, bias), and then (Q, R). Cost of values at a point O(network + M); with
    gradients and Laplacians (dim + 2) times that, and O(dim · (dim + M)) memory.
    """

    references: tuple[Reference, ...]
    box: Box
    widths: tuple[int, ...] = (32, 32)

    @property
    def n_features(self) -> int:
        return sum(r.n_products for r in self.references)

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
        self, params: PyTree, x: Float[Array, " dim"], shift: ArrayLike = 0.0, derivatives: bool = True
    ) -> tuple[Float[Array, " features"], Float[Array, " features"]]:
        """f and Σ c_i ∂²f/∂x_i² at a point, times exp(shift)."""
        parts = []
        for r, layers in zip(self.references, params, strict=True):
            y = r.coordinates(x)
            jet = seed(y, jnp.asarray(r.rates, y.dtype))
            if not derivatives:  # jets without directions
                jet = jet._replace(slope=jnp.zeros((0, r.dim), y.dtype))
            parts.append(_with_laplacian(r, layers, jet, shift))
        values, laplacians = zip(*parts, strict=True)
        return jnp.concatenate(values), jnp.concatenate(laplacians)

    def values(
        self, params: PyTree, x: Float[Array, " dim"], shift: ArrayLike = 0.0
    ) -> Float[Array, " features"]:
        """f alone."""
        return self.features(params, x, shift, derivatives=False)[0]

    def points(
        self, unit: Float[Array, "batch columns"]
    ) -> tuple[Float[Array, "batch dim"], Float[Array, " batch"]]:
        """Points distributed as the references' densities, and half the logarithms of their weights (-inf outside walls)."""
        parts = np.array_split(np.arange(len(unit)), len(self.references))
        pairs = list(zip(self.references, parts, strict=True))
        x = jnp.concatenate([r.points(unit[part[0] : part[-1] + 1]) for r, part in pairs])
        logs = [r.log_density(x) + np.log(len(part) / len(unit)) for r, part in pairs]
        log = jax.nn.logsumexp(jnp.stack(logs), axis=0)
        inside = jnp.all((x > jnp.asarray(self.box.lower)) & (x < jnp.asarray(self.box.upper)), axis=1)
        inside &= jnp.isfinite(log)
        shift = jnp.where(inside, -(log + np.log(len(unit))) / 2, -jnp.inf)
        return jnp.where(inside[:, None], x, jnp.asarray(self.references[0].centre)), shift


def _with_laplacian(
    r: Reference, layers: PyTree, y: Jet, shift: ArrayLike
) -> tuple[Float[Array, " products"], Float[Array, " products"]]:
    """f = F·(P + h), F = exp L: Δf = F·[(ΔL + |∇L|²)(P + h) + 2∇L·(∇P + ∇h) + ΔP + Δh].

    Gradients of the M parts are only needed along ∇L and along each other: (dim, dim) products give those, without (dim, M)
    arrays.
    """
    *layers, forms = layers
    hidden = _hidden_layer(r, layers, y)
    log_matrix, shift_matrix, added_matrix = jnp.split(layers[-1][0], [1, 1 + r.dim], axis=1)
    log_bias, shift_bias, added_bias = jnp.split(layers[-1][1], [1, 1 + r.dim])
    straight, walled = np.array(r.kinds) != PERIODIC, np.array(r.kinds) == WALLED
    quadratic, linear = (form * np.outer(straight, straight) for form in forms)  # not between periodic axes
    displacement = hidden.linear(shift_matrix).raised(shift_bias).plus(y.linear(linear.T))
    if walled.any():  # times 1 - y², so that it vanishes on walls
        inner = jnp.where(walled, 1 - y.value**2, 1.0)
        displacement = displacement.times(y.apply(inner, -2 * walled * y.value, -2.0 * walled))
    z = y.plus(displacement)
    log = z.apply(*logarithm(r.kinds, jnp.asarray(r.bent), z.value)).plus(y.linear(quadratic).times(y))
    log = log.linear(np.ones(r.dim)).plus(hidden.linear(log_matrix).raised(log_bias).at(0))
    p, along_p, bend_p = _products(r, z, log.slope)
    factor, total = jnp.exp(log.value + shift), p + hidden.value @ added_matrix + added_bias
    along = along_p + (log.slope @ hidden.slope) @ added_matrix
    laplacian = (log.bend + log.slope @ log.slope) * total + 2 * along + bend_p + hidden.bend @ added_matrix
    return factor * total, factor * laplacian


def _products(
    r: Reference, z: Jet, slope: Float[Array, " directions"]
) -> tuple[Float[Array, " products"], Float[Array, " products"], Float[Array, " products"]]:
    """P_m = ∏ r_n(z_i), ∇L·∇P_m and ΔP_m, from z and ∇L."""
    (axis, level), columns = r.factors[0].T, r.factors[1].T
    rows, gram = jnp.asarray(r.modals[axis, level]), z.slope.T @ z.slope
    parts = (part[axis] for part in series(r.kinds, z.value, rows.shape[1]))
    value, first, second = (jnp.sum(part * rows, axis=-1) for part in parts)
    # One more entry, the number one, is for slots without a pair.
    value = jnp.pad(value, (0, 1), constant_values=1.0)
    tilt = jnp.pad(first * (slope @ z.slope)[axis], (0, 1))
    lap = jnp.pad(first * z.bend[axis] + second * jnp.diagonal(gram)[axis], (0, 1))
    cross = jnp.pad(first[:, None] * first * gram[np.ix_(axis, axis)], ((0, 1), (0, 1)))

    def others(*left_out: int) -> Array:
        kept = [value[column] for s, column in enumerate(columns) if s not in left_out]
        return prod(kept[1:], start=kept[0]) if kept else jnp.ones(r.n_products, value.dtype)

    along_p = bend_p = jnp.zeros(r.n_products, value.dtype)
    for s, column in enumerate(columns):
        rest = others(s)
        along_p, bend_p = along_p + tilt[column] * rest, bend_p + lap[column] * rest
    for s, t in combinations(range(len(columns)), 2):
        bend_p += 2 * cross[columns[s], columns[t]] * others(s, t)
    return others(), along_p, bend_p


def _hidden_layer(r: Reference, layers: PyTree, y: Jet) -> Jet:
    """The last hidden layer. Inputs are y, scaled to order one, and for periodic axes cosine and sine."""
    kinds = np.array(r.kinds)
    straight, turning = np.flatnonzero(kinds != PERIODIC), np.flatnonzero(kinds == PERIODIC)
    scale = np.where(kinds == OPEN, 1 / np.sqrt(2), 1.5)[straight]
    angle = y.at(turning).scaled(np.pi)
    c, s = jnp.cos(angle.value), jnp.sin(angle.value)
    hidden = concatenate([y.at(straight).scaled(scale), angle.apply(c, -s, -c), angle.apply(s, c, -s)])
    for matrix, bias in layers[:-1]:
        hidden = hidden.linear(matrix).raised(bias).tanh()
    return hidden


@dataclass(frozen=True, eq=False)
class TrialSpace:
    """Trial functions, the potential as a function of one point, and how many states are wanted."""

    ansatz: ProductAnsatz
    potential: Callable[[Array], Array]
    n_states: int

    def images(
        self, params: PyTree, x: Float[Array, "batch dim"], shift: Float[Array, " batch"]
    ) -> tuple[Float[Array, "batch features"], Float[Array, "batch features"]]:
        """f and Hf at points, times root weights."""
        f, laplacians = jax.vmap(self.ansatz.features, (None, 0, 0))(params, x, shift)
        return f, jax.vmap(self.potential)(x)[:, None] * f - laplacians

    @cached_property
    def moments(self) -> Callable[..., tuple[Float[Array, "m m"], ...]]:
        """E[f fᵀ], E[f (Hf)ᵀ], E[Hf (Hf)ᵀ] at points of the unit cube, compiled."""

        def moments(params: PyTree, unit: Float[Array, "batch columns"]) -> tuple[Float[Array, "m m"], ...]:
            f, hf = self.images(params, *self.ansatz.points(unit))
            return f.T @ f, f.T @ hf, hf.T @ hf

        return jax.jit(moments)


@dataclass(frozen=True, eq=False)
class SampledFunctions(PointwiseFunctions):
    """ψ(x) = combinationᵀ f(x; params), with the points and weights that inner products are taken on."""

    ansatz: ProductAnsatz
    params: PyTree
    combination: Inexact[np.ndarray, "features states"]
    points: Float[np.ndarray, "points dim"]
    weights: Float[np.ndarray, " points"]

    @property
    def n_states(self) -> int:
        return self.combination.shape[1]

    @property
    def dim(self) -> int:
        return self.ansatz.box.dim

    def psi(self) -> Function:
        return combined(Partial(self.ansatz.values, self.params), self.combination)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return evaluated(Partial(self.ansatz.values, self.params), points) @ self.combination

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        return replace(self, combination=self.combination * factors)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings = {
            "kinds": [list(r.kinds) for r in self.ansatz.references],
            "widths": list(self.ansatz.widths),
        }
        arrays = {"combination": self.combination, "points": self.points, "weights": self.weights}
        for w, (reference, layers) in enumerate(zip(self.ansatz.references, self.params, strict=True)):
            arrays |= {f"reference/{w}/{name}": getattr(reference, name) for name in _TABLES}
            for i, (matrix, bias) in enumerate(layers):
                arrays |= {f"layer/{w}/{i}/matrix": matrix, f"layer/{w}/{i}/bias": bias}
        return settings, {name: np.asarray(value) for name, value in arrays.items()}

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> SampledFunctions:
        """Read back what `record` gave."""
        shapes = {"combination": "functions states", "points": "points dim", "weights": "points"}
        check_shapes(arrays, shapes, dim=domain.dim)
        assert isinstance(domain, Box)
        references, params, layers = [], [], range(len(settings["widths"]) + 2)
        for w, kinds in enumerate(settings["kinds"]):
            tables = {name: arrays[f"reference/{w}/{name}"] for name in _TABLES}
            references.append(Reference(tuple(kinds), **tables))
            params.append([(arrays[f"layer/{w}/{i}/matrix"], arrays[f"layer/{w}/{i}/bias"]) for i in layers])
        ansatz = ProductAnsatz(tuple(references), domain, tuple(settings["widths"]))
        return cls(ansatz, params, arrays["combination"], arrays["points"], arrays["weights"])


@double_precision()
def marginal(
    spectrum: Spectrum, axes: tuple[int, ...], bins: int = 60, points: int = 262_144, span: float = 0.999
) -> tuple[list[np.ndarray], np.ndarray]:
    """∫ |ψ_k|² over all coordinates but one or two.

    Args:
        spectrum: of `SampledRitz`, or of `Ritz` past three dimensions.
        axes: one or two of the coordinates x_i.
        bins: of the histogram along each.
        points: fresh sample points; the noise of a bin is about √(bins / points) of its height.
        span: share of the states' density that the histogram reaches over.

    Returns the bin edges along each axis, and densities (bins, …, N) that integrate to one. Costs O(points · M · dim) time.
    Raises ValueError for axes out of range, or a spectrum whose functions were not sampled.
    """
    functions, dim = spectrum.eigenfunctions, spectrum.domain.dim
    turned = functions if isinstance(functions, Rotated) else Rotated(functions, np.eye(spectrum.n_states))
    functions = turned.functions
    if not isinstance(functions, SampledFunctions):
        raise ValueError(
            f"marginal: serves spectra of SampledRitz, which can draw points of their own; this is {spectrum.method}. In up to "
            "three dimensions use plot_orbitals."
        )
    if len(axes) not in (1, 2) or len(set(axes)) != len(axes) or not all(0 <= a < dim for a in axes):
        raise ValueError(f"marginal: axes must be one or two different ones of 0 … {dim - 1}, got {axes!r}.")
    lattice = golden_lattice(BATCH, dim + 1, offset=0.0)
    draw, parts = jax.jit(functions.ansatz.points), []
    for b in range(-(-points // BATCH)):
        unit = lattice + np.asarray(jax.random.uniform(jax.random.fold_in(jax.random.key(1), b), (dim + 1,)))
        x, shift = (np.asarray(part) for part in draw(np.clip(unit % 1, 1e-9, 1 - 1e-9)))
        parts.append((x[:, list(axes)], np.abs(turned(x) * np.exp(shift)[:, None]) ** 2))
    x, density = (np.concatenate(part) for part in zip(*parts, strict=True))
    edges = []
    for column in x.T:
        order = np.argsort(column)
        share = np.cumsum(density.sum(1)[order])
        low, high = np.interp([(1 - span) / 2, (1 + span) / 2], share / share[-1], column[order])
        edges.append(np.linspace(low, high, bins + 1))
    counts = [np.histogramdd(x, edges, weights=column, density=True)[0] for column in density.T]
    return edges, np.stack(counts, axis=-1)
