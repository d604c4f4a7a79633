"""Points with weights: a sampler turns a random key into points x_b of the domain and weights
w_b = 1/(B q(x_b)), so that Σ_b w_b f(x_b) estimates ∫ f dx without bias.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gamma
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from qspin.numerics.checks import check_kind, real_number
from qspin.numerics.points import Points, golden_lattice, normal_deviates
from qspin.problem.domain import Box, Centre, Cloud, Domain

__all__ = ["Clustered", "QuasiRandom", "Sampler", "Stratified", "Uniform"]

Landmark = Centre | Cloud  # what points may crowd about
_WIDENING = 1.3  # of a cloud's standard deviations, so that its sample reaches into the states' tails


class Sampler(ABC):
    """How points are drawn. Settings only; the randomness is the key."""

    @abstractmethod
    def unit(self, key: PRNGKeyArray, n_points: int, dim: int) -> Float[Array, "batch dim"]:
        """Points of the unit cube [0, 1)^dim, each uniformly distributed."""

    def draw(
        self, key: PRNGKeyArray, n_points: int, domain: Domain, landmarks: Sequence[Landmark] = ()
    ) -> Points:
        """`n_points` points of the domain with weights; cost and memory O(n_points · dim)."""
        x = domain.from_unit(self.unit(key, n_points, domain.dim))
        return Points(x, jnp.full((n_points,), domain.volume / n_points, x.dtype))


@dataclass(frozen=True)
class Uniform(Sampler):
    """Independent points, uniform in the box (the paper's choice). Error of a mean falls as B^(-1/2)."""

    def unit(self, key: PRNGKeyArray, n_points: int, dim: int) -> Float[Array, "batch dim"]:
        return jax.random.uniform(key, (n_points, dim))


@dataclass(frozen=True)
class Stratified(Sampler):
    """One point in each of B slices of every axis (a Latin hypercube): less noise where f is nearly a sum."""

    def unit(self, key: PRNGKeyArray, n_points: int, dim: int) -> Float[Array, "batch dim"]:
        cell_key, order_key = jax.random.split(key)
        offsets = jax.random.uniform(cell_key, (dim, n_points))
        cells = jax.vmap(lambda k: jax.random.permutation(k, n_points))(jax.random.split(order_key, dim))
        return jnp.minimum(
            (cells.astype(offsets.dtype) + offsets).T / n_points, 1 - jnp.finfo(offsets.dtype).epsneg
        )


@dataclass(frozen=True)
class QuasiRandom(Sampler):
    """A low-discrepancy sequence, randomly shifted: x_b = frac(shift + b·α), α powers of a golden ratio.

    Unbiased thanks to the shift; for smooth f the error falls nearly as 1/B in low dimension.
    """

    def unit(self, key: PRNGKeyArray, n_points: int, dim: int) -> Float[Array, "batch dim"]:
        shift = jax.random.uniform(key, (dim,))
        # b·α is reduced mod 1 in double precision on the host: float32 would lose the digits that matter.
        lattice = golden_lattice(n_points, dim, offset=0.0)
        return (shift + jnp.asarray(lattice, shift.dtype)) % 1.0


@dataclass(frozen=True)
class Clustered(Sampler):
    """A mixture that crowds points about declared centres, and fills the box with the rest.

    About a centre r is drawn from ∝ 1/(r + length) out to the far corner and the direction is uniform, so
    every scale of r from `length` to the box gets its share; the weights are those of the whole mixture (so
    they are bounded, by volume/(fill·B)). Without centres it is its base sampler. A point that falls outside
    the box gets weight zero.

    Args:
        base: makes the underlying uniform numbers.
        fill: share of points spread over the whole box, in (0, 1].
    """

    base: Sampler = QuasiRandom()
    fill: float = 0.3

    def __post_init__(self) -> None:
        check_kind("Clustered: base", self.base, Sampler, "a sampler such as QuasiRandom()")
        real_number("Clustered: fill", self.fill, above=0, most=1)

    def unit(self, key: PRNGKeyArray, n_points: int, dim: int) -> Float[Array, "batch dim"]:
        return self.base.unit(key, n_points, dim)

    def draw(
        self, key: PRNGKeyArray, n_points: int, domain: Domain, landmarks: Sequence[Landmark] = ()
    ) -> Points:
        if not landmarks:
            return super().draw(key, n_points, domain)
        if not isinstance(domain, Box):
            raise TypeError(f"Clustered: landmarks need a Box, got {domain!r}.")
        n_filling = int(np.ceil(self.fill * n_points))
        shares = np.array_split(np.arange(n_points - n_filling), len(landmarks))
        counts = [n_filling, *map(len, shares)]
        keys = jax.random.split(key, len(counts))
        parts, densities = [domain.from_unit(self.base.unit(keys[0], n_filling, domain.dim))], []
        for landmark, count, part_key in zip(landmarks, counts[1:], keys[1:], strict=True):
            unit = self.base.unit(part_key, count, domain.dim + 1)
            about: Any = _about_centre if isinstance(landmark, Centre) else _about_cloud
            points, density = about(landmark, domain, unit)
            parts.append(points)
            densities.append(density)
        x = jnp.concatenate(parts)
        # Σ over parts of (points in it) × (its density) is B times the density of all (balance heuristic).
        total = jnp.full((n_points,), counts[0] / domain.volume, x.dtype)
        for count, density in zip(counts[1:], densities, strict=True):
            total += count * density(x)
        t = jax.vmap(domain.scaled)(x)
        inside = jnp.all(jnp.abs(t) <= 1, axis=1)
        # A point outside is still evaluated: put it where another one is, never on a centre (0 · ∞ is not 0).
        return Points(jnp.where(inside[:, None], x, x[0]), jnp.where(inside, 1 / total, 0))


Unit = Float[Array, "batch columns"]
Part = tuple[Float[Array, "batch dim"], Callable[[Float[Array, "points dim"]], Float[Array, " points"]]]


def _about_centre(centre: Centre, domain: Box, unit: Unit) -> Part:
    """Points about a centre, and their density."""
    position, length, dim = np.asarray(centre.position), centre.length, domain.dim
    corner = np.maximum(position - domain.lower, domain.upper - position)  # the farthest
    folds = np.log1p(float(np.linalg.norm(corner)) / length)
    sphere = 2 * np.pi ** (dim / 2) / gamma(dim / 2)
    # Never exactly on the centre, where V has no value: not even when added to its coordinates and rounded.
    rounding = 8 * float(jnp.finfo(unit.dtype).eps) * float(np.abs(position).max())
    r = jnp.maximum(length * jnp.expm1(jnp.maximum(unit[:, :1], 1e-7) * folds), rounding)
    # Any dimension: a normal deviate for each coordinate, normalised, is a uniform direction.
    normal = normal_deviates(unit[:, 1:])
    direction = normal / jnp.linalg.norm(normal, axis=1, keepdims=True)

    def density(x: Float[Array, "points dim"]) -> Float[Array, " points"]:
        r = jnp.linalg.norm(x - jnp.asarray(position, x.dtype), axis=1)
        r = jnp.maximum(r, 1e-9 * length)
        return 1 / (folds * (r + length) * sphere * r ** (dim - 1))

    return jnp.asarray(position, unit.dtype) + r * direction, density


def _about_cloud(cloud: Cloud, domain: Box, unit: Unit) -> Part:
    """Normal points in a cloud, and their density."""
    root = _WIDENING * np.linalg.cholesky(np.asarray(cloud.covariance))
    norm = (2 * np.pi) ** (domain.dim / 2) * np.diagonal(root).prod()

    def density(x: Float[Array, "points dim"]) -> Float[Array, " points"]:
        z = (x - jnp.asarray(cloud.mean, x.dtype)) @ jnp.asarray(np.linalg.inv(root).T, x.dtype)
        return jnp.exp(-jnp.sum(z**2, axis=1) / 2) / norm

    turned = normal_deviates(unit[:, 1:]) @ jnp.asarray(root.T, unit.dtype)
    return jnp.asarray(cloud.mean, unit.dtype) + turned, density
