"""Trial functions in many dimensions: reference products times one shared network, about one or several wells.

f_m(x) = exp(J + y·Qy + Σ_i ln φ_0(z_i))·(∏ r_n(z_i) + h_m), z = y + Ry + s: a log factor J, a shift s of the coordinates and
additive parts h_m are outputs of one small network of y; Q and R are what Gaussians and normal coordinates need, exactly. All
start at zero: training begins from the reference. Values, gradients and Laplacians come out of one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspin.methods.locate.mean_field import OPEN, PERIODIC, WALLED, logarithm, series
from qspin.methods.sampled.product_reference import Reference
from qspin.numerics.forward_laplacian import Jet, concatenate, seed

__all__ = ["ProductAnsatz"]


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

    def init(self, random: int) -> Any:
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

    def features(self, params: Any, x: Any, shift: Any = 0.0) -> tuple[Any, Any]:
        """f (M,) and Σ c_i ∂²f/∂x_i² (M,) at a point x (dim,), times exp(shift)."""
        parts = [
            _with_laplacian(r, layers, r.coordinates(x), shift)
            for r, layers in zip(self.references, params, strict=True)
        ]
        values, laplacians = zip(*parts, strict=True)
        return jnp.concatenate(values), jnp.concatenate(laplacians)

    def values(self, params: Any, x: Any, shift: Any = 0.0) -> Any:
        """f (M,) alone."""
        return jnp.concatenate(
            [
                _values(r, layers, r.coordinates(x), shift)
                for r, layers in zip(self.references, params, strict=True)
            ]
        )


def _with_laplacian(r: Reference, layers: Any, position: Any, shift: Any) -> tuple[Any, Any]:
    """f = F·(P + h), F = exp L: Δf = F·[(ΔL + |∇L|²)(P + h) + 2∇L·(∇P + ∇h) + ΔP + Δh].

    Gradients of the M parts are only needed along ∇L and of each other: they go through (dim, dim) products, and never
    through (dim, M) arrays.
    """
    y = seed(position, jnp.asarray(r.rates, position.dtype))
    *layers, (quadratic, linear) = layers
    hidden = _hidden(r, layers, y)
    matrix, bias = layers[-1]
    quadratic, linear = (a * _straight(r) for a in (quadratic, linear))
    both = quadratic + quadratic.T
    log_matrix, shift_matrix, added_matrix = jnp.split(matrix, [1, 1 + r.dim], axis=1)
    log_factor = hidden.linear(log_matrix)
    z = y.plus(_gated(r, y, hidden.linear(shift_matrix).raised(bias[1 : 1 + r.dim]).plus(y.linear(linear.T))))
    gram = z.slope.T @ z.slope
    square = jnp.diagonal(gram)
    l0, l1, l2 = logarithm(r.kinds, jnp.asarray(r.bent), z.value)
    log = jnp.sum(l0) + log_factor.value[0] + bias[0] + position @ quadratic @ position
    slope = z.slope @ l1 + log_factor.slope[:, 0] + y.slope @ (both @ position)
    bend = l1 @ z.bend + l2 @ square + log_factor.bend[0] + jnp.asarray(r.rates**2) @ jnp.diagonal(both)
    p, along_p, bend_p = _products(r, z.value, z.bend, gram, z.slope.T @ slope)
    h = hidden.value @ added_matrix + bias[1 + r.dim :]
    along_h = (slope @ hidden.slope) @ added_matrix
    factor = jnp.exp(log + shift)
    total = p + h
    laplacian = (bend + slope @ slope) * total + 2 * (along_p + along_h) + bend_p + hidden.bend @ added_matrix
    return factor * total, factor * laplacian


def _products(r: Reference, z: Any, bend: Any, gram: Any, along: Any) -> tuple[Any, Any, Any]:
    """P_m = ∏ r_n(z_i) (M,), ∇L·∇P_m and ΔP_m, from Δz, ∇z_i·∇z_j and ∇L·∇z_i."""
    axis, level = r.pairs[:, 0], r.pairs[:, 1]
    rows = jnp.asarray(r.modals[axis, level])
    parts = (part[axis] for part in series(r.kinds, z, rows.shape[1]))
    value, first, second = (jnp.sum(part * rows, axis=-1) for part in parts)
    tilt, lap = first * along[axis], first * bend[axis] + second * jnp.diagonal(gram)[axis]
    cross = first[:, None] * first * gram[np.ix_(axis, axis)]

    def padded(a: Any, with_: float) -> Any:
        return jnp.concatenate([a, jnp.full((1,), with_, a.dtype)])

    value, tilt, lap = padded(value, 1.0), padded(tilt, 0.0), padded(lap, 0.0)
    cross = jnp.pad(cross, ((0, 1), (0, 1)))
    columns = r.slots.T  # (S, M)
    factors = [value[c] for c in columns]

    def others(*left_out: int) -> Any:
        kept = [f for s, f in enumerate(factors) if s not in left_out]
        return prod(kept[1:], start=kept[0]) if kept else jnp.ones(r.n_products, value.dtype)

    along_p = sum(tilt[c] * others(s) for s, c in enumerate(columns))
    bend_p = sum(lap[c] * others(s) for s, c in enumerate(columns))
    for s, t in combinations(range(len(columns)), 2):
        bend_p += 2 * cross[columns[s], columns[t]] * others(s, t)
    return others(), along_p, bend_p


def _values(r: Reference, layers: Any, position: Any, shift: Any) -> Any:
    """f without derivatives: jets of no direction."""
    y = Jet(position, jnp.zeros((0, r.dim), position.dtype), jnp.zeros_like(position))
    *layers, (quadratic, linear) = layers
    matrix, bias = layers[-1]
    out = _hidden(r, layers, y).linear(matrix).raised(bias)
    quadratic, linear = (a * _straight(r) for a in (quadratic, linear))
    z = y.plus(_gated(r, y, out.at(slice(1, 1 + r.dim)).plus(y.linear(linear.T)))).value
    log = (
        jnp.sum(logarithm(r.kinds, jnp.asarray(r.bent), z)[0])
        + out.value[0]
        + position @ quadratic @ position
    )
    rows = jnp.asarray(r.modals[r.pairs[:, 0], r.pairs[:, 1]])
    value = jnp.sum(series(r.kinds, z, rows.shape[1])[0][r.pairs[:, 0]] * rows, axis=-1)
    value = jnp.concatenate([value, jnp.ones(1, value.dtype)])
    return jnp.exp(log + shift) * (jnp.prod(value[r.slots], axis=1) + out.value[1 + r.dim :])


def _straight(r: Reference) -> np.ndarray:
    """Entries (dim, dim) of Q and R between axes that are not circles."""
    straight = np.array(r.kinds) != PERIODIC
    return np.multiply.outer(straight, straight).astype(float)


def _hidden(r: Reference, layers: Any, y: Jet) -> Jet:
    """Of the last hidden layer; the network sees y, of order one, and circles as cosine and sine."""
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


def _gated(r: Reference, y: Jet, moved: Jet) -> Jet:
    """Walls stay where they are."""
    walled = np.array(r.kinds) == WALLED
    if not walled.any():
        return moved
    gate = Jet(
        jnp.where(walled, 1 - y.value**2, 1.0),
        jnp.where(walled, -2 * y.value * y.slope, 0.0),
        jnp.where(walled, -2 * jnp.sum(y.slope**2, axis=0), 0.0),
    )
    return moved.times(gate)
