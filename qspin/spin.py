"""SpIN, Spectral Inference Networks (Pfau et al., ICLR 2019): excited states by stochastic gradients."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, UInt

from qspin.domain import Box
from qspin.evaluate import evaluate
from qspin.hamiltonian import Kinetic, Potential
from qspin.method import IterativeMethod, Run
from qspin.networks import Network, SeparateMLPs
from qspin.problem import Problem
from qspin.runtime import precision
from qspin.sampling import Clustered, Points, Sampler
from qspin.semiclassical import thomas_fermi
from qspin.spectral import (
    Average,
    Ordering,
    all_finite,
    masked_residual,
    moment,
    order,
    orthogonalise_upwards,
)
from qspin.spectrum import Spectrum, energy_scale
from qspin.wavefunction import Wavefunction, WavefunctionParams

__all__ = [
    "AveragedCovariance",
    "AveragedJacobian",
    "Estimator",
    "SpIN",
    "SpinInfo",
    "SpinState",
    "self_test_case",
]

# Cotangent of u(x_b) -> gradient, a pytree like params.
_SNAPSHOT_AT = 0.4  # of the steps: late enough to resemble the end, early enough to differ from it

Pullback = Callable[[Float[Array, "batch states"]], Any]


class SpinState(eqx.Module):
    """Everything that training carries from step to step; a pytree of arrays."""

    params: WavefunctionParams
    optimizer: Any
    sigma: Average
    pi: Average
    jacobian: Any
    snapshot: WavefunctionParams  # the parameters part-way, for the extrapolation in `evaluate`
    step: Int[Array, ""]
    seed: UInt[Array, ""]


class SpinInfo(eqx.Module):
    """What a step reports. `energies` are the running diagonal of Λ; they lag, and are not variational."""

    energies: Float[Array, "... states"]
    gradient_norm: Float[Array, "..."]
    condition: Float[Array, "..."]
    ok: Bool[Array, "..."]


class Batch(NamedTuple):
    """One minibatch: points and weights, u and Hu there, and the way back to the parameters."""

    points: Points
    u: Float[Array, "batch states"]
    hu: Float[Array, "batch states"]
    pullback: Pullback


class Estimator(ABC):
    """How a minibatch and the moving averages become a gradient of the masked trace of Λ = L⁻¹ΠL⁻ᵀ."""

    @abstractmethod
    def init(self, params: Any, n_states: int) -> Any:
        """What it averages beside Σ and Π; None for nothing."""

    @abstractmethod
    def gradient(
        self, batch: Batch, sigma: Average, pi: Average, jacobian: Any, rate: float
    ) -> tuple[Any, Any, Ordering]:
        """Gradient of the parameters, the new extra average, and the ordering it used."""

    @abstractmethod
    def default_optimizer(self, steps: int) -> optax.GradientTransformation:
        """An optimizer that suits its noise."""


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

    `AveragedCovariance(project=False, gauge=0.0)` is the bare formula.
    """

    project: bool = True
    gauge: float = 0.3

    def init(self, params: Any, n_states: int) -> Any:
        return None

    def gradient(
        self, batch: Batch, sigma: Average, pi: Average, jacobian: Any, rate: float
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

    def default_optimizer(self, steps: int) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(3e-3, max(steps, 1), alpha=1e-3))


@dataclass(frozen=True)
class AveragedJacobian(Estimator):
    """The paper's Algorithm 1: average Σ and its Jacobian J_ik = E[u_i ∂u_k/∂θ], with Π from the minibatch.

    gradient = 2 Σ_k E[(L⁻¹Hu)_k ∂u_k]/L_kk - 2 Σ_ik B_ik J_ik, B = L⁻ᵀ triu(Λ) diag(L)⁻¹, the masked gradient
    of Eq. 12–14. Memory N² · parameters, time N² pull-backs a step: the reference, not the tool.
    """

    def init(self, params: Any, n_states: int) -> Any:
        return jax.tree.map(lambda p: Average.zeros((n_states, n_states, *p.shape), p.dtype), params)

    def gradient(
        self, batch: Batch, sigma: Average, pi: Average, jacobian: Any, rate: float
    ) -> tuple[Any, Any, Ordering]:
        weights, n_states = batch.points.weights, batch.u.shape[1]
        ordering = order(sigma.value, moment(batch.u, batch.hu, weights))
        scale = jnp.diagonal(ordering.chol)
        explicit = batch.pullback(2 * (batch.hu @ ordering.inverse.T) / scale * weights[:, None])

        def column(i: Int[Array, ""], k: Int[Array, ""]) -> Any:
            return batch.pullback(
                (weights * batch.u[:, i])[:, None] * jax.nn.one_hot(k, n_states, dtype=batch.u.dtype)
            )

        states = jnp.arange(n_states)
        fresh = jax.vmap(lambda i: jax.vmap(lambda k: column(i, k))(states))(states)
        jacobian = jax.tree.map(
            lambda average, new: average.update(new, rate),
            jacobian,
            fresh,
            is_leaf=lambda a: isinstance(a, Average),
        )
        contraction = ordering.inverse.T @ jnp.triu(ordering.eigenvalues) / scale
        gradient = jax.tree.map(
            lambda direct, average: direct - 2 * jnp.tensordot(contraction, average.value, 2),
            explicit,
            jacobian,
            is_leaf=lambda a: isinstance(a, Average),
        )
        return gradient, jacobian, ordering

    def default_optimizer(self, steps: int) -> optax.GradientTransformation:
        return optax.rmsprop(1e-5, decay=0.999)  # the paper's, appendix C.1


# Settings are checked by value, with a message that names them; a run-time check of types would come first.
if TYPE_CHECKING:
    Count = int
    SomeEstimator = Estimator
    SomeNetwork = Network
    SomeSampler = Sampler
else:
    Count = SomeEstimator = SomeNetwork = SomeSampler = Any


@dataclass(frozen=True)
class SpIN(IterativeMethod):
    """Spectral Inference Networks: stochastic training of N ordered eigenfunctions; works in any dimension.

    Args:
        steps: training steps.
        batch_size: points a step.
        averaging: rate β in (0, 1] of the moving averages, bias-corrected; 1 means no averaging.
        optimizer: any optax optimizer; by default the estimator's (Adam 3e-3 with cosine decay; RMSProp 1e-5
            for `AveragedJacobian`).
        estimator: `AveragedCovariance()`, or the paper's `AveragedJacobian()`.
        network: settings of the network; `SeparateMLPs`, `BlockSparseMLP`, `MLP`.
        sampler: how points are drawn; `Clustered()` (quasi-random, crowded about declared centres),
            `Uniform()`, …
        adapt: whether the network's inputs, cusps, decay and the sampler's hints are fitted to V (centres, or the
            semiclassical extent of the states). False leaves scaled box coordinates, as in the paper.
        dtype: precision of training, float32 or float64. The final evaluation is in float64.
        evaluation_points: fresh points for the final energies.
        tolerance: a state is called converged where its error is below this share of the energies' range.

    Time a step O(batch_size · (3 dim + 3) · network + N²·batch_size + N³), and with `AveragedJacobian` N²
    pull-backs more; memory O(batch_size · dim · network). Raises ValueError for settings out of range.
    """

    steps: Count = 20_000
    batch_size: Count = 256
    averaging: float = 0.01
    optimizer: Any = None
    estimator: SomeEstimator = AveragedCovariance()
    network: SomeNetwork = field(default_factory=SeparateMLPs)
    sampler: SomeSampler = field(default_factory=Clustered)
    adapt: bool = True
    dtype: str = "float32"
    evaluation_points: Count = 131_072
    tolerance: float = 0.01
    name = "spin"

    def __post_init__(self) -> None:
        for setting, least in (("steps", 0), ("batch_size", 1), ("evaluation_points", 1)):
            value = getattr(self, setting)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"SpIN: {setting} must be an integer of at least {least}, got {value!r}.")
        if not 0 < self.averaging <= 1:
            raise ValueError(
                f"SpIN: averaging must be in (0, 1] (1 means no averaging), got {self.averaging!r}."
            )
        for setting, kind in (("estimator", Estimator), ("network", Network), ("sampler", Sampler)):
            if not isinstance(getattr(self, setting), kind):
                raise TypeError(f"SpIN: {setting} must be a {kind.__name__}, got {getattr(self, setting)!r}.")
        if self.optimizer is not None and not isinstance(self.optimizer, optax.GradientTransformation):
            raise TypeError(f"SpIN: optimizer must be an optax optimizer, got {self.optimizer!r}.")
        with precision(self.dtype):
            pass

    def check(self, problem: Problem, n_states: int) -> None:
        if self.batch_size < 2 * n_states:
            raise ValueError(
                f"SpIN: batch_size must be at least twice n_states, got batch_size={self.batch_size}, "
                f"n_states={n_states}: a smaller batch cannot tell the states apart."
            )

    def wavefunction(self, problem: Problem, n_states: int) -> Wavefunction:
        """The trial functions for a problem: this network, masked; adapted to V unless `adapt` is False."""
        if not self.adapt:
            return Wavefunction(self.network, problem.domain, n_states)
        return Wavefunction(
            self.network, problem.domain, n_states, problem.centres, thomas_fermi(problem, n_states)
        )

    def _optimizer(self) -> optax.GradientTransformation:
        return self.estimator.default_optimizer(self.steps) if self.optimizer is None else self.optimizer

    def init(self, problem: Problem, n_states: int, seed: int) -> SpinState:
        """State before the first step."""
        dtype = jnp.dtype(self.dtype)
        params = self.wavefunction(problem, n_states).init(
            jax.random.fold_in(jax.random.key(seed), 2**31), dtype
        )
        shape = (n_states, n_states)
        return SpinState(  # two separate averages: the buffers of a state are donated, each once
            params,
            self._optimizer().init(params),
            Average.zeros(shape, dtype),
            Average.zeros(shape, dtype),
            self.estimator.init(params, n_states),
            jax.tree.map(jnp.copy, params),
            jnp.zeros((), jnp.int32),
            jnp.asarray(np.uint32(seed % 2**32)),
        )

    def batch(self, problem: Problem, wavefunction: Wavefunction, state: SpinState) -> Batch:
        """Fresh points, u and Hu there. The pull-back goes through u only, since H is symmetric."""
        key = jax.random.fold_in(jax.random.key(state.seed), state.step)
        points = self.sampler.draw(key, self.batch_size, problem.domain, wavefunction.landmarks)
        points = Points(points.x.astype(self.dtype), points.weights.astype(self.dtype))
        u, pullback = jax.vjp(lambda p: jax.vmap(lambda x: wavefunction(p, x))(points.x), state.params)
        hu = jax.vmap(problem.hamiltonian(lambda x: wavefunction(state.params, x)))(points.x)
        return Batch(points, u, hu, lambda cotangent: pullback(cotangent)[0])

    def step(
        self, problem: Problem, wavefunction: Wavefunction, state: SpinState
    ) -> tuple[SpinState, SpinInfo]:
        """One update: points, averages, masked gradient, optimizer."""
        batch = self.batch(problem, wavefunction, state)
        weights = batch.points.weights
        sigma = state.sigma.update(moment(batch.u, batch.u, weights), self.averaging)
        pi = state.pi.update(moment(batch.u, batch.hu, weights), self.averaging)
        gradient, jacobian, ordering = self.estimator.gradient(
            batch, sigma, pi, state.jacobian, self.averaging
        )
        updates, optimizer = self._optimizer().update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
        unit = jnp.sqrt(jnp.diagonal(sigma.value))
        info = SpinInfo(
            energies=jnp.diagonal(order(sigma.value, pi.value).eigenvalues),
            gradient_norm=norm,
            # Tr(C)·Tr(C⁻¹)/N² for the correlation matrix C = LLᵀ: 1 for orthogonal states, and never more
            # than its condition number.
            condition=jnp.mean((ordering.chol / unit[:, None]) ** 2)
            * jnp.sum((ordering.inverse * unit) ** 2),
            ok=all_finite(norm, ordering.eigenvalues),
        )
        snapshot = jax.tree.map(
            lambda old, new: jnp.where(state.step == int(_SNAPSHOT_AT * self.steps), new, old),
            state.snapshot,
            params,
        )
        return SpinState(params, optimizer, sigma, pi, jacobian, snapshot, state.step + 1, state.seed), info

    def bind(self, problem: Problem, n_states: int) -> Run:
        wavefunction = self.wavefunction(problem, n_states)
        chunk = max(1, min(1000, -(-self.steps // 50)))

        def scan_body(state: SpinState, _: None) -> tuple[SpinState, SpinInfo]:
            # The last chunk may run past the end: its surplus steps change nothing, one compilation serves.
            return jax.lax.cond(
                state.step < self.steps,
                lambda s: self.step(problem, wavefunction, s),
                lambda s: (s, _blank_info(n_states, self.dtype)),
                state,
            )

        compiled = jax.jit(lambda state: jax.lax.scan(scan_body, state, length=chunk), donate_argnums=0)

        def init(seed: int) -> SpinState:
            with precision(self.dtype):
                return self.init(problem, n_states, seed)

        def advance(state: SpinState) -> tuple[SpinState, dict[str, np.ndarray]]:
            with precision(self.dtype):
                taken = min(chunk, self.steps - int(state.step))
                state, info = compiled(state)
                return state, {name: np.asarray(a)[:taken] for name, a in vars(info).items()}

        def finish(state: SpinState, history: Mapping[str, np.ndarray]) -> Spectrum:
            return self._spectrum(problem, wavefunction, state, history)

        return Run(init, advance, finish, self.steps)

    def _spectrum(
        self,
        problem: Problem,
        wavefunction: Wavefunction,
        state: SpinState,
        history: Mapping[str, np.ndarray],
    ) -> Spectrum:
        params = jax.tree.map(np.asarray, state.params)
        found = evaluate(
            problem,
            wavefunction,
            params,
            self.sampler,
            self.evaluation_points,
            seed=int(state.seed),
            earlier=jax.tree.map(np.asarray, state.snapshot),
        )
        scale = energy_scale(found.energies)
        converged = np.isfinite(found.errors) & (found.errors <= self.tolerance * scale)
        if converged.all():
            status = f"all states converged: errors below {self.tolerance:.0%} of the energies' range."
        else:
            status = (
                f"{int((~converged).sum())} states have errors above {self.tolerance:.0%} of the energies' "
                f"range. Try more steps (steps={2 * self.steps}), a larger batch, or declare singular "
                "points of V."
            )
        return Spectrum(
            energies=found.energies,
            errors=found.errors,
            residuals=found.residuals,
            converged=converged,
            status=status,
            eigenfunctions=found.functions,
            domain=problem.domain,
            name=problem.name,
            units=problem.units,
            method=self.name,
            history=history,
            provenance={
                "method": repr(self),
                "precision": f"{self.dtype} training, float64 evaluation",
                "statistical_errors": found.statistical.tolist(),
                "variational_errors": found.variational.tolist(),
            },
            potential=problem.potential_values,
        )


def _blank_info(n_states: int, dtype: str) -> SpinInfo:
    zero = jnp.zeros((), dtype)
    return SpinInfo(jnp.zeros((n_states,), dtype), zero, zero, jnp.ones((), bool))


def self_test_case() -> tuple[str, Callable[..., Any], tuple[Any, ...]]:
    """(name, function, arguments) for `runtime.self_test`: u and Hu of a small network."""
    wavefunction = Wavefunction(SeparateMLPs((8, 8)), Box.cube(3.0, dim=2), 3)
    hamiltonian = Kinetic() + Potential(lambda x: 0.5 * jnp.sum(x**2))
    params = wavefunction.init(jax.random.key(0), jnp.result_type(float))

    def u_and_hu(params: Any, x: Float[Array, "batch dim"]) -> tuple[Array, Array]:
        def u(y: Float[Array, " dim"]) -> Float[Array, " states"]:
            return wavefunction(params, y)

        return jax.vmap(u)(x), jax.vmap(hamiltonian(u))(x)

    x = jax.random.uniform(jax.random.key(1), (500, 2), minval=-2.9, maxval=2.9)
    return "u and Hu of a network", u_and_hu, (params, x)
