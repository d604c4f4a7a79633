"""How a minibatch becomes a gradient. SpIN's masked trace has two estimators, `AveragedCovariance` and the paper's
`AveragedJacobian`; `NeuralEF` and `NestedLoRA` are other objectives for the same networks, operators and samplers.

These two maximise the largest eigenvalues of K = shift - H, which must be positive on the wanted states: `shift` must lie above
the N-th energy (zero suffices for bound states, and for the largest eigenvalues of a positive kernel). As published they take
their moments from the minibatch; the moving averages only report energies.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from qspin.numerics.checks import real_number
from qspin.numerics.pencil import Average, Ordering, masked_residual, moment, order, orthogonalise_upwards
from qspin.numerics.points import Points

__all__ = [
    "AveragedCovariance",
    "AveragedJacobian",
    "Batch",
    "Estimator",
    "NestedLoRA",
    "NeuralEF",
    "jacobian_moments",
]

# Cotangent of u(x_b) -> gradient, a pytree like params.
Pullback = Callable[[Float[Array, "batch states"]], Any]
# Of the parameters, what the estimator keeps, and the ordering of the states.
Gradient = tuple[Any, Any, Ordering]


class Batch(NamedTuple):
    """One minibatch: points and weights, u and Hu there, and the pull-back to the parameters, cotangent of u -> gradient."""

    points: Points
    u: Float[Array, "batch states"]
    hu: Float[Array, "batch states"]
    pullback: Pullback


class Estimator(ABC):
    """How a minibatch and the moving averages become a gradient whose zero is the N lowest eigenfunctions."""

    name: str = "spin"

    def init(self, first: Callable[[], Batch]) -> Any:
        """What it keeps from step to step beside Σ and Π, a pytree. `first()` gives a minibatch at the first parameters."""
        del first

    @abstractmethod
    def gradient(self, batch: Batch, sigma: Average, pi: Average, kept: Any, rate: float) -> Gradient:
        """Gradient of the parameters, what the estimator keeps, and the ordering of the states."""

    def default_optimizer(self, steps: int) -> optax.GradientTransformation:
        """An optimizer that suits its noise."""
        return optax.adam(optax.cosine_decay_schedule(3e-3, max(steps, 1), alpha=1e-3))


@dataclass(frozen=True)
class AveragedCovariance(Estimator):
    """The default: average Σ and Π, contract with the minibatch's residual. It needs no Jacobian, only one pull-back
    a step.

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

    def gradient(self, batch: Batch, sigma: Average, pi: Average, kept: Any, rate: float) -> Gradient:
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
    gradient of Eq. 12–14. Time and memory grow as N² · parameters, so it serves to check, not to solve.
    """

    def init(self, first: Callable[[], Batch]) -> Average:
        moments = jax.eval_shape(lambda: jacobian_moments(first()))
        zeros = jax.tree.map(lambda j: jnp.zeros(j.shape, j.dtype), moments)
        return Average(zeros, jnp.zeros((), jax.tree.leaves(zeros)[0].dtype))

    def gradient(self, batch: Batch, sigma: Average, pi: Average, kept: Any, rate: float) -> Gradient:
        weights = batch.points.weights
        ordering = order(sigma.value, moment(batch.u, batch.hu, weights))
        scale = jnp.diagonal(ordering.chol)
        explicit = batch.pullback(2 * (batch.hu @ ordering.inverse.T) / scale * weights[:, None])
        kept = kept.update(jacobian_moments(batch), rate)
        contraction = (2 * ordering.inverse.T @ jnp.triu(ordering.eigenvalues) / scale)[
            np.triu_indices(len(scale))
        ]
        implicit = jax.tree.map(lambda j: jnp.tensordot(contraction, j, 1), kept.value)
        return jax.tree.map(jnp.subtract, explicit, implicit), kept, ordering

    def default_optimizer(self, steps: int) -> optax.GradientTransformation:
        return optax.rmsprop(1e-5, decay=0.999)  # the paper's, appendix C.1


def jacobian_moments(batch: Batch) -> Any:
    """J_ik = E[u_i ∂u_k/∂θ] for i ≤ k, one pull-back a pair: a pytree like the parameters, with an axis of pairs before theirs.

    Algorithm 1 contracts J with an upper triangular matrix, so these N(N + 1)/2 pairs suffice.
    """
    lower, upper = np.triu_indices(batch.u.shape[1])
    only = jnp.eye(batch.u.shape[1], dtype=batch.u.dtype)[upper]
    left = (batch.u * batch.points.weights[:, None]).T[lower]
    return jax.vmap(lambda u, state: batch.pullback(u[:, None] * state))(left, only)


@dataclass(frozen=True)
class NeuralEF(Estimator):
    """Neural eigenfunctions (Deng, Shi, Zhu, ICML 2022): maximise Σ_j [R_jj - Σ_{i<j} R_ij²/R_ii], in which state j
    is differentiated and the lower ones are constant; R_ij = ⟨φ_i|K|φ_j⟩ with φ normalised on the minibatch.

    A lower state that is not yet bound (R_ii ≤ 0) adds no constraint. R is a product of noisy means, so the
    gradient has a bias of order 1/batch. Time and memory as for `AveragedCovariance`.
    """

    shift: Any = 0.0
    name = "neuralef"

    def __post_init__(self) -> None:
        real_number("NeuralEF: shift", self.shift)

    def gradient(self, batch: Batch, sigma: Average, pi: Average, kept: Any, rate: float) -> Gradient:
        weights = batch.points.weights
        norm = jnp.sqrt(weights @ batch.u**2)
        phi = batch.u / norm
        k_phi = self.shift * phi - batch.hu / norm
        r = moment(phi, k_phi, weights)
        r = (r + r.T) / 2
        diagonal = jnp.diagonal(r)[:, None]
        bound = diagonal > 0
        held = jnp.triu(jnp.where(bound, r / jnp.where(bound, diagonal, 1), 0), 1)
        rise = k_phi - k_phi @ held
        along = weights @ (phi * rise)  # normalised outputs: only what is orthogonal to φ_j counts
        cotangent = -2 * (rise - phi * along) / norm
        return batch.pullback(cotangent * weights[:, None]), None, order(sigma.value, pi.value)


@dataclass(frozen=True)
class NestedLoRA(Estimator):
    """Low-rank approximation K ≈ Σ f_i f_iᵀ, nested so that the first states are the best (Ryu et al., ICML 2024).

    The cotangent of f_k is -4 m_k Kf_k + 4 Σ_j M_jk ⟨f_j, f_k⟩ f_j; in the end f_k = √(shift - E_k) ψ_k.

    Args:
        nesting: "sequential" (m = 1, M_jk = 1 for j ≤ k: state k feels only lower ones) or "joint" (the mean of
            the objectives of the first 1, 2 … N states: m_k = (N - k)/N, M_jk = m_max(j,k), k = 0 … N - 1).
        shift: K = shift - H.

    ⟨f_j, f_k⟩ for one half of the minibatch comes from the other, so independent points give an unbiased
    gradient. f = c_k u_k with constants that give norm one at the start. Raises ValueError for other settings.
    """

    nesting: Any = "sequential"
    shift: Any = 0.0
    name = "nestedlora"

    def __post_init__(self) -> None:
        real_number("NestedLoRA: shift", self.shift)
        if self.nesting not in ("sequential", "joint"):
            raise ValueError(f'NestedLoRA: nesting must be "sequential" or "joint", got {self.nesting!r}.')

    def init(self, first: Callable[[], Batch]) -> Float[Array, " states"]:
        batch = first()
        return 1 / jnp.sqrt(batch.points.weights @ batch.u**2)

    def _masks(self, n_states: int) -> tuple[np.ndarray, np.ndarray]:
        if self.nesting == "sequential":
            return np.ones(n_states), np.triu(np.ones((n_states, n_states)))
        share = 1 - np.arange(n_states) / n_states
        return share, np.minimum(share[:, None], share)

    def gradient(self, batch: Batch, sigma: Average, pi: Average, kept: Any, rate: float) -> Gradient:
        weights = batch.points.weights
        f, hf = batch.u * kept, batch.hu * kept
        vector, matrix = (jnp.asarray(m, f.dtype) for m in self._masks(f.shape[1]))
        even = (jnp.arange(len(f)) % 2 == 0)[:, None]
        overlap = [moment(half, f, 2 * weights) for half in (jnp.where(even, f, 0), jnp.where(even, 0, f))]
        metric = jnp.where(even, f @ (matrix * overlap[1]), f @ (matrix * overlap[0]))
        cotangent = 4 * (metric - vector * (self.shift * f - hf)) * kept
        return batch.pullback(cotangent * weights[:, None]), kept, order(sigma.value, pi.value)
