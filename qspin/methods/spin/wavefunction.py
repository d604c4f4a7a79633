"""Wavefunctions: network × boundary mask × cusp factor × decay, and the orthonormal combinations of them.

Near a declared centre V ~ -Z/r, and Hψ stays bounded only if ψ has the right cusp. So the inputs of the network
have no term linear in r about the centre (apart from a direction times r, which is harmless), and the cusp
factor exp(cusp · r/(1 + r/length)) has the exact slope. Far from the centre the inputs grow like log r.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from qspin.methods.spin.networks import Network
from qspin.problem.domain import Box, Centre, Cloud, Domain

__all__ = ["Wavefunction", "WavefunctionParams"]


class WavefunctionParams(NamedTuple):
    """Parameters of a `Wavefunction`: the network's, and the logarithm of each state's decay rate (N,)."""

    network: Any
    log_decay: Float[Array, " states"]


@dataclass(frozen=True)
class Wavefunction:
    """u(x) = network(inputs(x)) · mask(x) · cusp(x) · exp(-decay_k · mean distance to centres), (N,).

    Args:
        network: settings of the network.
        domain: a box, whose mask makes u vanish on hard walls; periodic axes enter as cosine and sine. Or any
            other domain.
        n_states: N.
        centres: singular points; without any, the inputs are the box coordinates, scaled to [-3, 3], and there is no cusp and
            no decay.
        cloud: where the states are; inputs are then (x - mean) in its principal axes, whitened.

    u is not normalised, and its states are not orthogonal: Rayleigh–Ritz does that afterwards. Cost a point:
    the network's, plus O(dim · centres).
    """

    network: Network
    domain: Domain
    n_states: int
    centres: tuple[Centre, ...] = ()
    cloud: Cloud | None = None

    def __post_init__(self) -> None:
        if not self.landmarks:
            return
        if not isinstance(self.domain, Box):
            raise TypeError(f"Wavefunction: centres and clouds need a Box, got {self.domain!r}.")
        if any(self.domain.periodic):
            raise ValueError(
                "Wavefunction: centres or a cloud in a box with periodic axes are not supported: distances "
                "from them are not periodic. Use hard walls, or a Potential without singularities."
            )

    def init(self, key: PRNGKeyArray, dtype: Any = jnp.float32) -> WavefunctionParams:
        """Initial parameters; decay rates start at five e-foldings from the middle to the nearest wall."""
        n_inputs = jax.eval_shape(self.inputs, jax.ShapeDtypeStruct((self.domain.dim,), jnp.float32)).shape[0]
        decay = 10.0 / min(self.domain.lengths) if isinstance(self.domain, Box) else 1.0
        return WavefunctionParams(
            self.network.init(key, n_inputs, self.n_states, dtype),
            jnp.full((self.n_states,), np.log(decay), dtype),
        )

    def inputs(self, x: Float[Array, " dim"]) -> Float[Array, " inputs"]:
        """Inputs of the network: the domain's own, or direction and log-distance about each centre."""
        if self.centres:
            return jnp.concatenate([self._about(centre, x) for centre in self.centres])
        if self.cloud is not None:
            variances, axes = np.linalg.eigh(np.asarray(self.cloud.covariance))
            return (x - jnp.asarray(self.cloud.mean, x.dtype)) @ jnp.asarray(
                axes / np.sqrt(variances), x.dtype
            )
        return self.domain.inputs(x, 3.0)

    @property
    def landmarks(self) -> tuple[Centre | Cloud, ...]:
        """Where a sampler may put more points: about the centres, or else in the cloud."""
        return self.centres if self.centres or self.cloud is None else (self.cloud,)

    def _about(self, centre: Centre, x: Float[Array, " dim"]) -> Float[Array, " inputs"]:
        offset, r = _from_centre(centre, x)
        s = r / centre.length
        log = jnp.log1p(s)
        # log(1 + s) - s/(1 + s) = s²/2 - 2s³/3 + …: distance without a linear term; see the module's top.
        return jnp.concatenate([offset * (log / r / 2), (log - s / (1 + s) - 1)[None]])

    def _envelope(self, decay: Float[Array, " rates"], x: Float[Array, " dim"]) -> Float[Array, " rates"]:
        """exp(-decay · mean distance to the centres) · mask · cusp. The distances are smooth at each centre: no second cusp."""
        exponent, distance = jnp.zeros((), x.dtype), jnp.zeros((), x.dtype)
        for centre in self.centres:
            _, r = _from_centre(centre, x)
            exponent += centre.cusp * r / (1 + r / centre.length)
            distance += (jnp.sqrt(r**2 + centre.length**2) - centre.length) / len(self.centres)
        return jnp.exp(-decay * distance) * (self.domain.boundary_mask(x) * jnp.exp(exponent))

    def __call__(self, params: WavefunctionParams, x: Float[Array, " dim"]) -> Float[Array, " states"]:
        return self.network(params.network, self.inputs(x)) * self._envelope(jnp.exp(params.log_decay), x)

    def hidden_functions(
        self, params: WavefunctionParams, x: Float[Array, " dim"]
    ) -> Float[Array, "groups width"]:
        """The last hidden activations times the same factors: u is, up to its biases, a sum of them.

        In the larger space that they span, Rayleigh–Ritz shows how much the energies of u could still fall.
        """
        hidden = self.network.hidden_activations(params.network, self.inputs(x))
        decay = jnp.exp(params.log_decay)
        decay = decay if hidden.shape[0] == self.n_states else decay.mean(keepdims=True)
        return hidden * self._envelope(decay, x)[:, None]


def _from_centre(centre: Centre, x: Float[Array, " dim"]) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
    """x relative to the centre, and its length, never zero, so that derivatives stay finite there."""
    offset = x - jnp.asarray(centre.position, x.dtype)
    return offset, jnp.sqrt(jnp.sum(offset**2) + jnp.asarray(1e-12 * centre.length, x.dtype) ** 2)
