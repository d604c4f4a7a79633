"""The Jacobian that the paper's Algorithm 1 averages, J_ik = E[u_i ∂u_k/∂θ]: only what its gradient reads.

The masked gradient contracts J with an upper triangular matrix, so the N(N + 1)/2 pairs i ≤ k suffice. Networks of
dense layers show ∂u_k/∂θ at a point as a product of two vectors a layer; u_i is folded into one of them, and one
matrix product over the batch gives J. So N backward passes serve all pairs, where pulling back each needs N².
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.methods.spin.networks import Layered
from qspin.methods.spin.wavefunction import Wavefunction, WavefunctionParams
from qspin.numerics.points import Points

__all__ = ["Jacobian", "LayeredJacobian", "PulledBackJacobian"]


@runtime_checkable
class Jacobian(Protocol):
    """J on one minibatch, and what it is for."""

    def moments(self) -> Any:
        """J_ik for i ≤ k, a pytree."""
        ...

    def contract(self, coefficients: Float[Array, "states states"], moments: Any) -> Any:
        """Σ_{i≤k} coefficients_ik J_ik, a pytree like the parameters."""
        ...


class PulledBackJacobian:
    """J by one pull-back for each pair of states: for any functions. The reference.

    Time N² pull-backs, memory N² · parameters.
    """

    def __init__(
        self,
        pullback: Callable[[Float[Array, "batch states"]], Any],
        u: Float[Array, "batch states"],
        weights: Float[Array, " batch"],
    ) -> None:
        self._pullback, self._left = pullback, u * weights[:, None]

    def moments(self) -> Any:
        only = jnp.eye(self._left.shape[1], dtype=self._left.dtype)
        one = jax.vmap(lambda left, k: self._pullback(left[:, None] * k), (None, 0))
        return jax.vmap(one, (1, None))(self._left, only)

    def contract(self, coefficients: Float[Array, "states states"], moments: Any) -> Any:
        return jax.tree.map(lambda j: jnp.tensordot(jnp.triu(coefficients), j, 2), moments)


class LayeredJacobian:
    """J through the layers of the network, in the windows that each output depends on.

    Time: N backward passes and N(N + 1)/2 products over the batch of the size of a window; memory
    N(N + 1)/2 windows. A window is the whole network for `MLP`, one output's own for `SeparateMLPs`.
    """

    def __init__(
        self,
        wavefunction: Wavefunction,
        params: WavefunctionParams,
        points: Points,
        u: Float[Array, "batch states"],
    ) -> None:
        self._wavefunction, self._params, self._points, self._u = wavefunction, params, points, u
        self._lower, self._upper = np.triu_indices(wavefunction.n_states)

    def moments(self) -> Any:
        network, params, x = self._wavefunction.network, self._params, self._points.x
        assert isinstance(network, Layered)
        z = jax.vmap(self._wavefunction.inputs)(x)
        envelope = jax.vmap(lambda y: self._wavefunction.envelope(params, y))(x)
        left = (self._u * self._points.weights[:, None]).T[self._lower]  # (pairs, batch)

        def products(inputs: Array, deltas: Array) -> tuple[Array, Array]:
            right = left[:, :, None] * deltas[self._upper]
            if len(inputs) == 1:
                weight = jnp.einsum("br,pbc->prc", inputs[0], right)
            else:
                weight = jnp.einsum("pbr,pbc->prc", inputs[self._upper], right)
            return weight, right.sum(1)

        layers = tuple(products(*factor) for factor in network.factors(params.network, z, envelope))
        slope = jax.vmap(lambda y: self._wavefunction.decay_slope(params, y))(x)
        return WavefunctionParams(layers, jnp.sum(left * (slope * self._u).T[self._upper], axis=1))

    def contract(self, coefficients: Float[Array, "states states"], moments: Any) -> WavefunctionParams:
        network, n_states = self._wavefunction.network, self._wavefunction.n_states
        assert isinstance(network, Layered)
        chosen = jnp.asarray(np.arange(n_states)[:, None] == self._upper, coefficients.dtype)
        chosen *= coefficients[self._lower, self._upper]  # (states, pairs): the pairs (i, k) of each k
        by_state = jax.tree.map(lambda j: jnp.tensordot(chosen, j, 1), moments)
        return WavefunctionParams(
            network.assemble(self._params.network, by_state.network), by_state.log_decay
        )
