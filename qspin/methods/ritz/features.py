"""Random neural features, tanh(w·f(x) + b) · envelope(x), and their combinations: the trial functions of `Ritz`.

f are a few coordinates of x in which wavefunctions have widths of order one. The envelope vanishes on walls and decays. About
declared centres both have terms linear in the distance, so that features can form cusps. f and the envelope are differentiated
automatically, once for all M features; so values, gradients and Σ_i c_i ∂²φ/∂x_i² of all of them cost a few products of
(points, coordinates) with (coordinates, M).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Num

from qspin.methods.locate.extent import Frame
from qspin.methods.locate.survey import Jump
from qspin.numerics.laplacian import Function
from qspin.problem.domain import Box, Centre, Domain
from qspin.spectrum.eigenfunctions import Eigenfunctions, PointwiseFunctions, check_shapes, combined
from qspin.spectrum.store import check_region, describe_domain

__all__ = ["Coordinates", "Features", "Neurons", "RitzFunctions", "Trial"]


_SHAPES = {
    "mean": "dim", "whiten": "dim dim", "decay": "decays", "lengths": "lengths", "hidden": "features inputs",
    "biases": "features", "combination": "features states", "points": "points dim", "weights": "points",
}  # fmt: skip


class Neurons(NamedTuple):
    """Hidden weights (M, inputs) and biases (M,)."""

    weights: Float[Array | np.ndarray, "features inputs"]
    biases: Float[Array | np.ndarray, " features"]


class Features(NamedTuple):
    """Values, gradients and Σ_i c_i ∂²φ/∂x_i² of all features at a batch of points."""

    values: Float[Array, "batch features"]
    gradients: Float[Array, "batch dim features"]
    laplacians: Float[Array, "batch features"]


@dataclass(frozen=True)
class Coordinates:
    """Which coordinates and envelope a domain with these centres has; a setting. `Frame` has the numbers in them."""

    domain: Box
    centres: tuple[Centre, ...] = ()
    jumps: tuple[Jump, ...] = ()

    @property
    def n_inputs(self) -> int:
        """The number of coordinates f."""
        if self.centres:
            return len(self.centres) * (self.domain.dim + 1)
        return self.domain.dim + sum(self.domain.periodic) + len(self.jumps)

    def parts(
        self, frame: Frame, x: Float[Array, " dim"]
    ) -> tuple[Float[Array, " inputs"], Float[Array, ""]]:
        """f(x), and the envelope that multiplies every feature."""
        mask = self.domain.boundary_mask(x)
        if self.centres:
            pairs = [_about(c, s, x) for c, s in zip(self.centres, frame.lengths, strict=True)]
            distance = sum(r for _, r in pairs) / len(pairs)
            return jnp.concatenate([f for f, _ in pairs]), mask * jnp.exp(-frame.decay[0] * distance)
        turns = np.asarray(self.domain.periodic)
        z = frame.whiten[np.ix_(~turns, ~turns)] @ (x - frame.mean)[~turns]
        angle = (2 * jnp.pi * (x - jnp.asarray(self.domain.lower)) / jnp.asarray(self.domain.lengths))[turns]
        bends = [_bend(jump, frame, x) for jump in self.jumps]
        decay = jnp.broadcast_to(frame.decay, self.domain.dim)[~turns]
        inputs = jnp.concatenate([z, jnp.cos(angle), jnp.sin(angle), *bends])
        return inputs, mask * jnp.exp(-jnp.sum(decay * z**2))

    @partial(jax.jit, static_argnums=0)
    def inputs(self, frame: Frame, x: Float[Array, "batch dim"]) -> Float[Array, "batch inputs"]:
        """f at a batch of points."""
        return jax.vmap(lambda point: self.parts(frame, point)[0])(x)


def _about(
    centre: Centre, length: Any, x: Float[Array, " dim"]
) -> tuple[Float[Array, " inputs"], Float[Array, ""]]:
    """Two inputs, direction times log distance and log distance; and the distance.

    Their terms linear in r let features form cusps; without them the same number of features left errors a hundred times as
    large.
    """
    offset = x - jnp.asarray(centre.position)
    r = jnp.sqrt(jnp.sum(offset**2) + (1e-9 * centre.length) ** 2)  # smooth at the centre itself
    log = jnp.log1p(r / length)
    return jnp.concatenate([offset * (log / r), log[None]]) / 2, r


def _bend(jump: Jump, frame: Frame, x: Float[Array, " dim"]) -> Float[Array, " 1"]:
    """A smooth input but for a jump of its second derivative, or of its third, as V causes in ψ."""
    u = (x[jump.axis] - jump.position) * jnp.linalg.norm(frame.whiten[:, jump.axis])
    bent = u * jnp.abs(u) if jump.order == 0 else jnp.abs(u) ** 3
    return (bent / (1 + jnp.abs(u) ** (2 + jump.order)))[None]


class Trial(eqx.Module):
    """Features: neurons, and the coordinates that they are functions of."""

    coordinates: Coordinates = eqx.field(static=True)
    frame: Frame
    neurons: Neurons

    def __len__(self) -> int:
        return len(self.neurons.biases)

    def at(self, x: Float[Array, " dim"]) -> Float[Array, " features"]:
        """All features at one point."""
        f, e = self.coordinates.parts(self.frame, x)
        return jnp.tanh(self.neurons.weights @ f + self.neurons.biases) * e

    def bloch(self, x: Float[Array, " dim"]) -> Num[Array, " features"]:
        """All features at one point, times exp(ik·x) where the domain has a wave vector k."""
        wave = self.coordinates.domain.wave_vector
        return self.at(x) * jnp.exp(1j * jnp.dot(jnp.asarray(wave), x)) if any(wave) else self.at(x)

    def features(self, x: Float[Array, "batch dim"], coefficients: Float[Array, " dim"]) -> Features:
        """All features at a batch of points, with derivatives. Cost O(batch · M · dim · inputs)."""

        def parts(point: Float[Array, " dim"]) -> tuple[Float[Array, " inputs"], Float[Array, " 1"]]:
            f, e = self.coordinates.parts(self.frame, point)
            return f, e[None]

        def derivatives(point: Float[Array, " dim"]) -> Any:
            slopes, curves = jax.jacfwd(parts)(point), jax.jacfwd(jax.jacfwd(parts))(point)
            return parts(point), slopes, [jnp.einsum("kii,i->k", curve, coefficients) for curve in curves]

        (f, e), (df, de), (lf, le) = jax.vmap(derivatives)(x)
        de = de[:, 0]  # e and le: (batch, 1); de: (batch, dim)
        weights, biases = self.neurons
        t = jnp.tanh(f @ weights.T + biases)
        first, second = 1 - t**2, -2 * t * (1 - t**2)
        slope = jnp.einsum("bki,mk->bim", df, weights)
        gradients = e[:, :, None] * first[:, None] * slope + de[:, :, None] * t[:, None]
        square = jnp.einsum("bim,i->bm", slope**2, coefficients)
        cross = jnp.einsum("bim,bi,i->bm", slope, de, coefficients)
        laplacians = e * (second * square + first * (lf @ weights.T)) + 2 * first * cross + le * t
        return Features(e * t, gradients, laplacians)


@dataclass(frozen=True, eq=False)
class RitzFunctions(PointwiseFunctions):
    """ψ(x) = combinationᵀ · tanh(W f(x) + b) · envelope(x) · exp(ik·x), with the points and weights that verified them."""

    coordinates: Coordinates
    frame: Frame
    neurons: Neurons
    combination: Num[np.ndarray, "features states"]
    points: Float[np.ndarray, "points dim"]
    weights: Float[np.ndarray, " points"]

    @property
    def n_states(self) -> int:
        return self.combination.shape[1]

    @property
    def dim(self) -> int:
        return self.coordinates.domain.dim

    def psi(self) -> Function:
        return combined(
            Partial(Trial.bloch, Trial(self.coordinates, self.frame, self.neurons)), self.combination
        )

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        return replace(self, combination=self.combination * factors)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings = {
            "domain": describe_domain(self.coordinates.domain),
            "centres": [[*c.position, c.strength, c.length, c.cusp] for c in self.coordinates.centres],
            "jumps": [list(jump) for jump in self.coordinates.jumps],
        }
        arrays = {
            "mean": self.frame.mean, "whiten": self.frame.whiten, "decay": self.frame.decay, "lengths": self.frame.lengths,
            "hidden": self.neurons.weights, "biases": self.neurons.biases, "combination": self.combination,
            "points": self.points, "weights": self.weights,
        }  # fmt: skip
        return settings, {name: np.asarray(value) for name, value in arrays.items()}

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> "RitzFunctions":
        """Read back what `record` gave. Raises ValueError where the region's walls are not in the file."""
        assert isinstance(domain, Box)
        check_region(settings["domain"], domain)
        check_shapes(arrays, _SHAPES, dim=domain.dim)
        centres = tuple(Centre(tuple(row[:-3]), *row[-3:]) for row in settings["centres"])
        return cls(
            Coordinates(domain, centres, tuple(Jump(*jump) for jump in settings.get("jumps", ()))),
            Frame(*(arrays[name] for name in ("mean", "whiten", "decay", "lengths"))),
            Neurons(arrays["hidden"], arrays["biases"]),
            *(arrays[name] for name in ("combination", "points", "weights")),
        )
