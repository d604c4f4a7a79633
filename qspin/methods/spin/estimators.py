"""How a minibatch becomes a gradient: SpIN's masked trace by two estimators. `Estimator` is what a method of this
family must offer; its rivals are in `rivals`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from qspin.methods.spin.jacobian import Jacobian, PulledBackJacobian
from qspin.numerics.pencil import Average, Ordering, masked_residual, moment, order, orthogonalise_upwards
from qspin.numerics.points import Points

__all__ = ["AveragedCovariance", "AveragedJacobian", "Batch", "Estimator", "Pullback"]

# Cotangent of u(x_b) -> gradient, a pytree like params.
Pullback = Callable[[Float[Array, "batch states"]], Any]


class Batch(NamedTuple):
    """One minibatch: points and weights, u and Hu there, and the ways back to the parameters.

    `jacobian` may know a cheaper way to E[u_i ∂u_k/∂θ] than pulling back each pair.
    """

    points: Points
    u: Float[Array, "batch states"]
    hu: Float[Array, "batch states"]
    pullback: Pullback
    jacobian: Jacobian | None = None


class Estimator(ABC):
    """How a minibatch and the moving averages become a gradient whose zero is the N lowest eigenfunctions."""

    name: str = "spin"

    def init(self, first: Callable[[], Batch]) -> Any:
        """What it keeps from step to step beside Σ and Π, a pytree; `first()` is a minibatch of the start."""
        del first

    @abstractmethod
    def gradient(
        self, batch: Batch, sigma: Average, pi: Average, kept: Any, rate: float
    ) -> tuple[Any, Any, Ordering]:
        """Gradient of the parameters, what it keeps, and the ordering of the states."""

    def default_optimizer(self, steps: int) -> optax.GradientTransformation:
        """An optimizer that suits its noise."""
        return optax.adam(optax.cosine_decay_schedule(3e-3, max(steps, 1), alpha=1e-3))


@dataclass(frozen=True)
class AveragedCovariance(Estimator):
    """The default: average Σ and Π, contract with the minibatch's residual. No Jacobian: one pull-back a
    step.

    The cotangent of u_k is 2 w r_k/L_kk with r_k = Hv_k - Σ_{j≤k} Λ_jk v_j, Λ and L from the averages. Given
    the averages this is unbiased for the paper's masked gradient (Eq. 12), and it vanishes at every sample
    where v_k is an eigenfunction.

    Two additions keep it stable at learning rates a hundred times the paper's. Exact eigenfunctions stay a
    fixed point; for networks that cannot represent them the projection adds a bias of order N/batch. In both
    state k feels only states j ≤ k:

    - `project`: r_k is made orthogonal to v_1 … v_k on the minibatch itself. Averages are taken over past
      parameters, and a set of functions that swing in time can be orthogonal on average while each of them is
      the ground state: the averaged trace then falls below the true one. On one minibatch that is impossible.
    - `gauge`: Λ_kk does not change when a lower state is mixed into u_k or u_k is rescaled, so nothing holds
      Σ away from singular. A pull towards orthonormal u, this many times the norm of r_k, does.

    `AveragedCovariance(project=False, gauge=0.0)` is the bare formula. State: two N × N averages, whatever the
    number of parameters.
    """

    project: bool = True
    gauge: float = 0.3

    def gradient(
        self, batch: Batch, sigma: Average, pi: Average, kept: Any, rate: float
    ) -> tuple[Any, Any, Ordering]:
        weights = batch.points.weights
        ordering = order(sigma.value, pi.value)
        scale = jnp.diagonal(ordering.chol)
        v, hv = batch.u @ ordering.inverse.T, batch.hu @ ordering.inverse.T
        residual = masked_residual(v, hv, ordering.eigenvalues)
        if self.project:
            residual = orthogonalise_upwards(residual, v, weights)
        cotangent = 2 * residual / scale
        if self.gauge:
            # In proportion to the residual, so that the pull neither overwhelms it nor is overwhelmed.
            strength = jnp.sqrt(weights @ residual**2)
            excess = jnp.tril(ordering.chol) - jnp.eye(len(scale), dtype=scale.dtype)
            cotangent += self.gauge * strength * (v @ excess.T)
        return batch.pullback(cotangent * weights[:, None]), None, ordering


@dataclass(frozen=True)
class AveragedJacobian(Estimator):
    """The paper's Algorithm 1: average Σ and its Jacobian J_ik = E[u_i ∂u_k/∂θ], with Π from the minibatch.

    gradient = 2 Σ_k E[(L⁻¹Hu)_k ∂u_k]/L_kk - 2 Σ_{i≤k} B_ik J_ik, B = L⁻ᵀ triu(Λ) diag(L)⁻¹, the masked
    gradient of Eq. 12–14. Time and memory grow as N² · parameters (see `jacobian`): the reference, not the tool.

    Args:
        by_layers: whether J is formed through the layers of the network, N backward passes and one product over
            the batch for each pair of states; False pulls back each pair, N² backward passes, with the same result.
    """

    by_layers: bool = True

    def _jacobian(self, batch: Batch) -> Jacobian:
        if self.by_layers and batch.jacobian is not None:
            return batch.jacobian
        return PulledBackJacobian(batch.pullback, batch.u, batch.points.weights)

    def init(self, first: Callable[[], Batch]) -> Any:
        moments = jax.eval_shape(lambda: self._jacobian(first()).moments())
        return jax.tree.map(lambda j: Average.zeros(j.shape, j.dtype), moments)

    def gradient(
        self, batch: Batch, sigma: Average, pi: Average, kept: Any, rate: float
    ) -> tuple[Any, Any, Ordering]:
        weights = batch.points.weights
        ordering = order(sigma.value, moment(batch.u, batch.hu, weights))
        scale = jnp.diagonal(ordering.chol)
        jacobian = self._jacobian(batch)
        explicit = batch.pullback(2 * (batch.hu @ ordering.inverse.T) / scale * weights[:, None])
        kept = jax.tree.map(
            lambda average, new: average.update(new, rate),
            kept,
            jacobian.moments(),
            is_leaf=_is_average,
        )
        averaged = jax.tree.map(lambda average: average.value, kept, is_leaf=_is_average)
        contraction = 2 * ordering.inverse.T @ jnp.triu(ordering.eigenvalues) / scale
        implicit = jacobian.contract(contraction, averaged)
        return jax.tree.map(jnp.subtract, explicit, implicit), kept, ordering

    def default_optimizer(self, steps: int) -> optax.GradientTransformation:
        return optax.rmsprop(1e-5, decay=0.999)  # the paper's, appendix C.1


def _is_average(node: Any) -> bool:
    return isinstance(node, Average)
