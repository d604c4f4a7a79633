"""Rival objectives for the same networks, operators and samplers: NeuralEF and NestedLoRA.

Both look for the largest eigenvalues of K = shift - H, which must be positive on the wanted states: `shift` lies
above the N-th energy (zero does for bound states, and for the largest eigenvalues of a positive kernel). As
published they take their moments from the minibatch; the moving averages only report energies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.methods.spin.estimators import Batch, Estimator
from qspin.numerics.pencil import Average, Ordering, moment, order

__all__ = ["NestedLoRA", "NeuralEF"]

# Settings are checked by value, with a message that names them; a run-time check of types would come first.
if TYPE_CHECKING:
    Number = float
    Name = str
else:
    Number = Name = Any


def _check_shift(owner: str, shift: Any) -> None:
    if isinstance(shift, bool) or not isinstance(shift, int | float) or not np.isfinite(shift):
        raise ValueError(f"{owner}: shift must be a finite energy above the wanted levels, got {shift!r}.")


@dataclass(frozen=True)
class NeuralEF(Estimator):
    """Neural eigenfunctions (Deng, Shi, Zhu, ICML 2022): maximise Σ_j [R_jj - Σ_{i<j} R_ij²/R_ii], in which state j
    is differentiated and the lower ones are held; R_ij = ⟨φ_i|K|φ_j⟩ with φ normalised on the minibatch.

    A lower state that is not yet bound (R_ii ≤ 0) holds nothing off. R is a product of noisy means, so the
    gradient has a bias of order 1/batch. Time and memory as for `AveragedCovariance`.
    """

    shift: Number = 0.0
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

    nesting: Name = "sequential"
    shift: Number = 0.0
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
