"""Random neural features: tanh(w·f(x) + b) · envelope(x), with their derivatives by the chain rule.

f are a few coordinates of x in which wavefunctions are of order one wide, and the envelope vanishes on walls and decays; about
declared centres both have terms linear in the distance, of which cusps are made. f and the envelope are differentiated
automatically, once for all M features; so values, gradients and -c·∇² of all of them cost a few products of (points,
coordinates) with (coordinates, M).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.methods.locate.extent import Frame
from qspin.methods.locate.survey import Jump
from qspin.problem.domain import Box, Centre

__all__ = ["Coordinates", "Features", "Frame", "Neurons"]


class Neurons(NamedTuple):
    """Hidden weights (M, coordinates) and biases (M,)."""

    weights: Any
    biases: Any


class Features(NamedTuple):
    """At points (B,): values (B, M), gradients (B, dim, M), and Σ_i c_i ∂²φ/∂x_i² (B, M)."""

    values: Any
    gradients: Any
    laplacians: Any


@dataclass(frozen=True)
class Coordinates:
    """Settings: which coordinates and envelope a domain with these centres has. `frame` holds their numbers."""

    domain: Box
    centres: tuple[Centre, ...] = ()
    jumps: tuple[Jump, ...] = ()

    @property
    def turning(self) -> np.ndarray:
        """Which axes are periodic."""
        return np.asarray(self.domain.periodic)

    def inputs(self, frame: Frame, x: Float[Array, " dim"]) -> Float[Array, " inputs"]:
        """f(x)."""
        if self.centres:
            pairs = enumerate(self.centres)
            return jnp.concatenate([self._about(centre, frame.lengths[i], x) for i, centre in pairs])
        angle = 2 * jnp.pi * (x - jnp.asarray(self.domain.lower)) / jnp.asarray(self.domain.lengths)
        straight = np.flatnonzero(~self.turning)
        z = frame.whiten[np.ix_(straight, straight)] @ (x - frame.mean)[straight]
        turned = angle[np.flatnonzero(self.turning)]
        bends = [self._bend(jump, frame, x) for jump in self.jumps]
        return jnp.concatenate([z, jnp.cos(turned), jnp.sin(turned), *bends])

    def _bend(self, jump: Jump, frame: Frame, x: Float[Array, " dim"]) -> Float[Array, " 1"]:
        """Smooth but for what V does to ψ there: a jump of its second derivative, or of its third."""
        u = (x[jump.axis] - jump.position) * jnp.linalg.norm(frame.whiten[:, jump.axis])
        bent = u * jnp.abs(u) if jump.order == 0 else jnp.abs(u) ** 3
        return (bent / (1 + jnp.abs(u) ** (2 + jump.order)))[None]

    def envelope(self, frame: Frame, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """What multiplies every feature."""
        mask = self.domain.boundary_mask(x)
        if self.centres:
            exponent = jnp.zeros(())
            for centre in self.centres:
                r = jnp.sqrt(jnp.sum((x - jnp.asarray(centre.position)) ** 2) + (1e-9 * centre.length) ** 2)
                exponent -= frame.decay[0] * r / len(self.centres)
            return mask * jnp.exp(exponent)
        straight = np.flatnonzero(~self.turning)
        z = frame.whiten[np.ix_(straight, straight)] @ (x - frame.mean)[straight]
        decay = jnp.broadcast_to(frame.decay, self.domain.dim)[straight]
        return mask * jnp.exp(-jnp.sum(decay * z**2))

    def _about(self, centre: Centre, length: Any, x: Float[Array, " dim"]) -> Float[Array, " inputs"]:
        """Direction times, and, the logarithm of the distance. Their term linear in r bends cusps of any state; without it
        the same number of features left errors a hundred times as large."""
        offset = x - jnp.asarray(centre.position)
        r = jnp.sqrt(jnp.sum(offset**2) + (1e-9 * centre.length) ** 2)
        log = jnp.log1p(r / length)
        return jnp.concatenate([offset * (log / r), log[None]]) / 2

    def features(
        self, frame: Frame, neurons: Neurons, coefficients: Any, x: Float[Array, "batch dim"]
    ) -> Features:
        """All features at a batch of points. Cost O(batch · M · dim · inputs)."""

        def everything(point: Array) -> tuple[Array, Array]:
            return self.inputs(frame, point), self.envelope(frame, point)[None]

        def derivatives(point: Array) -> Any:
            values = everything(point)
            slopes = jax.jacfwd(everything)(point)
            curves = jax.jacfwd(jax.jacfwd(everything))(point)
            bent = [jnp.einsum("kii,i->k", curve, coefficients) for curve in curves]
            return values, slopes, bent

        (f, e), (df, de), (lf, le) = jax.vmap(derivatives)(x)
        e, de, le = e, de[:, 0], le  # (B, 1), (B, dim), (B, 1)
        t = jnp.tanh(f @ neurons.weights.T + neurons.biases)
        first, second = 1 - t**2, -2 * t * (1 - t**2)
        slope = jnp.einsum("bki,mk->bim", df, neurons.weights)
        gradients = e[:, :, None] * first[:, None] * slope + de[:, :, None] * t[:, None]
        square = jnp.einsum("bim,i->bm", slope**2, coefficients)
        cross = jnp.einsum("bim,bi,i->bm", slope, de, coefficients)
        laplacians = e * (second * square + first * (lf @ neurons.weights.T)) + 2 * first * cross + le * t
        return Features(e * t, gradients, laplacians)
