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

from qspin.methods.spin.networks import Layered
from qspin.methods.spin.wavefunction import Wavefunction, WavefunctionParams
from qspin.numerics.pencil import Average, Ordering, masked_residual, moment, order, orthogonalise_upwards
from qspin.numerics.points import Points

__all__ = [
    "AveragedCovariance",
    "AveragedJacobian",
    "Batch",
    "Estimator",
    "LayeredJacobian",
    "NestedLoRA",
    "NeuralEF",
    "PulledBackJacobian",
]

# Cotangent of u(x_b) -> gradient, a pytree like params.
Pullback = Callable[[Float[Array, "batch states"]], Any]


class Jacobian(ABC):
    """J_ik = E[u_i ∂u_k/∂θ] on a minibatch, which Algorithm 1 averages and contracts with an upper triangular matrix: the pairs
    i ≤ k suffice."""

    @abstractmethod
    def moments(self) -> Any:
        """J_ik for i ≤ k, a pytree."""

    @abstractmethod
    def contract(self, coefficients: Float[Array, "states states"], moments: Any) -> Any:
        """Σ_{i≤k} coefficients_ik J_ik, a pytree like the parameters."""


@dataclass(frozen=True, eq=False)
class PulledBackJacobian(Jacobian):
    """J by one pull-back for each pair of states, for any functions. It takes N² pull-backs, and memory N² · parameters."""

    pullback: Pullback
    u: Float[Array, "batch states"]
    weights: Float[Array, " batch"]

    def moments(self) -> Any:
        only = jnp.eye(self.u.shape[1], dtype=self.u.dtype)
        one = jax.vmap(lambda left, k: self.pullback(left[:, None] * k), (None, 0))
        return jax.vmap(one, (1, None))(self.u * self.weights[:, None], only)

    def contract(self, coefficients: Float[Array, "states states"], moments: Any) -> Any:
        return jax.tree.map(lambda j: jnp.tensordot(jnp.triu(coefficients), j, 2), moments)


@dataclass(frozen=True, eq=False)
class LayeredJacobian(Jacobian):
    """J through the layers of a `Layered` network, at three to four times the speed of pulling back each pair.

    For each layer, ∂u_k/∂θ at a point is a product of two vectors; u_i multiplies one of them, and one matrix product over the
    batch gives J. It takes N backward passes and N(N + 1)/2 products, and memory for as many gradients of one output.
    """

    wavefunction: Wavefunction
    params: WavefunctionParams
    points: Points
    u: Float[Array, "batch states"]

    def moments(self) -> Any:
        wave, params, x = self.wavefunction, self.params, self.points.x
        lower, upper = np.triu_indices(wave.n_states)
        assert isinstance(wave.network, Layered)
        z = jax.vmap(wave.inputs)(x)
        envelope, slope = jax.vmap(lambda y: (wave.envelope(params, y), wave.decay_slope(params, y)))(x)
        left = (self.u * self.points.weights[:, None]).T[lower]  # (pairs, batch)

        def products(inputs: Array, deltas: Array) -> tuple[Array, Array]:
            right = left[:, :, None] * deltas[upper]
            if len(inputs) == 1:
                weight = jnp.einsum("br,pbc->prc", inputs[0], right)
            else:
                weight = jnp.einsum("pbr,pbc->prc", inputs[upper], right)
            return weight, right.sum(1)

        layers = tuple(products(*factor) for factor in wave.network.factors(params.network, z, envelope))
        return WavefunctionParams(layers, jnp.sum(left * (slope * self.u).T[upper], axis=1))

    def contract(self, coefficients: Float[Array, "states states"], moments: Any) -> WavefunctionParams:
        lower, upper = np.triu_indices(len(coefficients))
        chosen = jnp.asarray(np.arange(len(coefficients))[:, None] == upper, coefficients.dtype)
        chosen *= coefficients[lower, upper]  # (states, pairs): the pairs (i, k) of each k
        by_state = jax.tree.map(lambda j: jnp.tensordot(chosen, j, 1), moments)
        network = self.wavefunction.network
        assert isinstance(network, Layered)
        assembled = network.assemble(self.params.network, by_state.network)
        return WavefunctionParams(assembled, by_state.log_decay)


class Batch(NamedTuple):
    """One minibatch: points and weights, u and Hu there, and the pull-back to the parameters, cotangent of u -> gradient.

    `jacobian`, where there is one, computes E[u_i ∂u_k/∂θ] more cheaply than by pulling back each pair.
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
        """What it keeps from step to step beside Σ and Π, a pytree. `first()` gives a minibatch at the first parameters."""
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
    gradient of Eq. 12–14. Time and memory grow as N² · parameters, so it serves to check, not to solve.
    """

    @staticmethod
    def _jacobian(batch: Batch) -> Jacobian:
        return batch.jacobian or PulledBackJacobian(batch.pullback, batch.u, batch.points.weights)

    def init(self, first: Callable[[], Batch]) -> Average:
        moments = jax.eval_shape(lambda: self._jacobian(first()).moments())
        zeros = jax.tree.map(lambda j: jnp.zeros(j.shape, j.dtype), moments)
        return Average(zeros, jnp.zeros((), jax.tree.leaves(zeros)[0].dtype))

    def gradient(
        self, batch: Batch, sigma: Average, pi: Average, kept: Any, rate: float
    ) -> tuple[Any, Any, Ordering]:
        weights = batch.points.weights
        ordering = order(sigma.value, moment(batch.u, batch.hu, weights))
        scale = jnp.diagonal(ordering.chol)
        jacobian = self._jacobian(batch)
        explicit = batch.pullback(2 * (batch.hu @ ordering.inverse.T) / scale * weights[:, None])
        kept = kept.update(jacobian.moments(), rate)
        contraction = 2 * ordering.inverse.T @ jnp.triu(ordering.eigenvalues) / scale
        implicit = jacobian.contract(contraction, kept.value)
        return jax.tree.map(jnp.subtract, explicit, implicit), kept, ordering

    def default_optimizer(self, steps: int) -> optax.GradientTransformation:
        return optax.rmsprop(1e-5, decay=0.999)  # the paper's, appendix C.1


def _check_shift(owner: str, shift: Any) -> None:
    if isinstance(shift, bool) or not isinstance(shift, int | float) or not np.isfinite(shift):
        raise ValueError(f"{owner}: shift must be a finite energy above the wanted levels, got {shift!r}.")


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
        _check_shift("NeuralEF", self.shift)

    def gradient(
        self, batch: Batch, sigma: Average, pi: Average, kept: Any, rate: float
    ) -> tuple[Any, Any, Ordering]:
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
        _check_shift("NestedLoRA", self.shift)
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

    def gradient(
        self, batch: Batch, sigma: Average, pi: Average, kept: Any, rate: float
    ) -> tuple[Any, Any, Ordering]:
        weights = batch.points.weights
        f, hf = batch.u * kept, batch.hu * kept
        vector, matrix = (jnp.asarray(m, f.dtype) for m in self._masks(f.shape[1]))
        even = (jnp.arange(len(f)) % 2 == 0)[:, None]
        overlap = [moment(half, f, 2 * weights) for half in (jnp.where(even, f, 0), jnp.where(even, 0, f))]
        metric = jnp.where(even, f @ (matrix * overlap[1]), f @ (matrix * overlap[0]))
        cotangent = 4 * (metric - vector * (self.shift * f - hf)) * kept
        return batch.pullback(cotangent * weights[:, None]), kept, order(sigma.value, pi.value)
