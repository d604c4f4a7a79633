"""SpIN, Spectral Inference Networks (Pfau et al., ICLR 2019): many eigenfunctions by stochastic gradients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt

from qspin.methods.base import IterativeMethod, Run
from qspin.methods.locate.survey import survey
from qspin.methods.spin.estimators import AveragedCovariance, Batch, Estimator
from qspin.methods.spin.evaluate import evaluate
from qspin.methods.spin.networks import Network, SeparateMLPs
from qspin.methods.spin.wavefunction import Wavefunction, WavefunctionParams
from qspin.numerics.checks import check_kind, real_number, whole
from qspin.numerics.errors import energy_scale
from qspin.numerics.pencil import Average, all_finite, moment, order
from qspin.numerics.points import Points
from qspin.numerics.precision import chunked, precision
from qspin.problem.domain import Box
from qspin.problem.hamiltonian import Kinetic, Potential
from qspin.problem.problem import Problem
from qspin.problem.sampling import Clustered, Sampler
from qspin.spectrum.notes import note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["SpIN", "SpinState", "self_test_case"]

_SNAPSHOT_AT = 0.4  # of the steps: late enough to resemble the end, early enough to differ from it


class SpinState(eqx.Module):
    """All that training keeps from step to step; a pytree of arrays."""

    params: WavefunctionParams
    optimizer: Any
    sigma: Average
    pi: Average
    kept: Any  # what the estimator averages beside Σ and Π
    snapshot: WavefunctionParams  # the parameters part-way, for the extrapolation in `evaluate`
    step: Int[Array, ""]
    seed: UInt[Array, ""]


@dataclass(frozen=True)
class SpIN(IterativeMethod):
    """Spectral Inference Networks: stochastic training of N ordered eigenfunctions; works in any dimension.

    Args:
        steps: training steps.
        batch_size: points a step.
        averaging: rate β in (0, 1] of the moving averages, bias-corrected; 1 means no averaging.
        optimizer: any optax optimizer; by default the estimator's (Adam 3e-3 with cosine decay; RMSProp 1e-5
            for `AveragedJacobian`). Settings with one cannot be pickled, as it holds local functions.
        estimator: how the gradient is made: `AveragedCovariance()`, the paper's `AveragedJacobian()`, or another
            objective, `NeuralEF()` or `NestedLoRA()`.
        network: settings of the network; `SeparateMLPs`, `BlockSparseMLP`, `MLP`.
        sampler: how points are drawn; `Clustered()` (quasi-random, denser about declared centres),
            `Uniform()`, …
        adapt: whether the network's inputs, cusps, decay and the sampler's hints are fitted to V (centres, or the
            semiclassical extent of the states). False leaves scaled box coordinates, as in the paper.
        dtype: precision of training, float32 or float64. The final evaluation is in float64.
        evaluation_points: fresh points for the final energies.
        tolerance: a state is called converged where its error is below this share of the energies' range.

    Time a step O(batch_size · (3 dim + 3) · network + N²·batch_size + N³), and with `AveragedJacobian`
    O(N²·batch_size · network) more; memory O(batch_size · dim · network), and O(N² · parameters) more.
    Raises ValueError for settings out of range.
    """

    steps: Any = 20_000
    batch_size: Any = 256
    averaging: Any = 0.01
    optimizer: Any = None
    estimator: Any = field(default_factory=AveragedCovariance)
    network: Any = field(default_factory=SeparateMLPs)
    sampler: Any = field(default_factory=Clustered)
    adapt: bool = True
    dtype: str = "float32"
    evaluation_points: Any = 131_072
    tolerance: Any = 0.01
    name = "spin"
    probes = ("where the states live from one survey of V",)

    def __post_init__(self) -> None:
        for setting, least in (("steps", 0), ("batch_size", 1), ("evaluation_points", 1)):
            whole(f"SpIN: {setting}", getattr(self, setting), least)
        real_number("SpIN: averaging (1 means no averaging)", self.averaging, above=0, most=1)
        real_number("SpIN: tolerance", self.tolerance, above=0)
        for setting, kind, expected in (
            ("estimator", Estimator, "an Estimator"),
            ("network", Network, "a Network"),
            ("sampler", Sampler, "a Sampler"),
            ("optimizer", optax.GradientTransformation | None, "an optax optimizer"),
        ):
            check_kind(f"SpIN: {setting}", getattr(self, setting), kind, expected)
        with precision(self.dtype):
            pass

    def check(self, problem: Problem, n_states: int) -> None:
        if isinstance(problem.domain, Box) and any(problem.domain.wave_vector):
            raise ValueError(
                f"SpIN: its networks are real, and a Bloch wave vector {problem.domain.wave_vector} makes ψ complex: use "
                "qspin.Grid()."
            )
        if self.batch_size < 2 * n_states:
            raise ValueError(
                f"SpIN: batch_size must be at least twice n_states, got batch_size={self.batch_size}, "
                f"n_states={n_states}: a smaller batch cannot tell the states apart."
            )
        every = problem.domain.all_points()
        if every is not None and len(every) < n_states:
            raise ValueError(
                f"SpIN: n_states={n_states} is more than the {len(every)} nodes of the domain: a matrix has no "
                "more eigenvectors than rows."
            )
        wavefunction = self.wavefunction(problem, n_states)
        params = jax.eval_shape(wavefunction.init, jax.random.key(0))
        z = jax.eval_shape(wavefunction.inputs, jnp.zeros((problem.dim,), jnp.float32))
        outputs = jax.eval_shape(wavefunction.network, params.network, z).shape
        if outputs != (n_states,):
            raise ValueError(
                f"SpIN: the network gives outputs of shape {outputs}, but n_states={n_states} needs "
                f"({n_states},): ask for fewer states, or make a network with one output a state."
            )

    def wavefunction(self, problem: Problem, n_states: int) -> Wavefunction:
        """The trial functions for a problem: this network, masked; adapted to V unless `adapt` is False."""
        if not self.adapt:
            return Wavefunction(self.network, problem.domain, n_states)
        cloud = survey(problem).cloud(n_states) if problem.is_boxed_hamiltonian else None
        return Wavefunction(self.network, problem.domain, n_states, problem.centres, cloud)

    def _optimizer(self) -> optax.GradientTransformation:
        return self.estimator.default_optimizer(self.steps) if self.optimizer is None else self.optimizer

    def init(self, problem: Problem, n_states: int, seed: int) -> SpinState:
        """The state before the first step."""
        dtype = jnp.dtype(self.dtype)
        wavefunction = self.wavefunction(problem, n_states)
        key = jax.random.fold_in(jax.random.key(seed), 2**31)
        params = wavefunction.init(key, dtype)
        shape = (n_states, n_states)
        return SpinState(
            params,
            self._optimizer().init(params),
            Average.zeros(shape, dtype),
            Average.zeros(shape, dtype),
            self.estimator.init(lambda: self.batch(problem, wavefunction, params, key)),
            params,
            jnp.zeros((), jnp.int32),
            jnp.asarray(np.uint32(seed % 2**32)),
        )

    def batch(
        self, problem: Problem, wavefunction: Wavefunction, params: WavefunctionParams, key: PRNGKeyArray
    ) -> Batch:
        """Fresh points, u and Hu there. The pull-back goes through u only, since H is symmetric."""
        operator = problem.minimised
        points = self._draw(problem, wavefunction, key)
        # An integral over the domain needs points of its own, independent of these.
        others = (
            points if operator.is_local else self._draw(problem, wavefunction, jax.random.fold_in(key, 1))
        )
        u, vjp = jax.vjp(lambda p: jax.vmap(lambda x: wavefunction(p, x))(points.x), params)
        hu = operator.image(lambda x: wavefunction(params, x), points.x, others)
        return Batch(points, u, hu, lambda cotangent: vjp(cotangent)[0])

    def _draw(self, problem: Problem, wavefunction: Wavefunction, key: PRNGKeyArray) -> Points:
        points = self.sampler.draw(key, self.batch_size, problem.domain, wavefunction.landmarks)
        return Points(points.x.astype(self.dtype), points.weights.astype(self.dtype))

    def step(
        self, problem: Problem, wavefunction: Wavefunction, state: SpinState
    ) -> tuple[SpinState, dict[str, Array]]:
        """One update: points, averages, masked gradient, optimizer. Returns the state and a report; its `energies`, the running
        diagonal of Λ, lag behind the parameters and are not variational."""
        key = jax.random.fold_in(jax.random.key(state.seed), state.step)
        batch = self.batch(problem, wavefunction, state.params, key)
        weights = batch.points.weights
        sigma = state.sigma.update(moment(batch.u, batch.u, weights), self.averaging)
        pi = state.pi.update(moment(batch.u, batch.hu, weights), self.averaging)
        gradient, kept, ordering = self.estimator.gradient(batch, sigma, pi, state.kept, self.averaging)
        updates, optimizer = self._optimizer().update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
        unit = jnp.sqrt(jnp.diagonal(sigma.value))
        info = {
            "energies": problem.sign * jnp.diagonal(order(sigma.value, pi.value).eigenvalues),
            "gradient_norm": norm,
            # Tr(C)·Tr(C⁻¹)/N² for the correlation matrix C = LLᵀ: 1 for orthogonal states, and never more
            # than its condition number.
            "condition": jnp.mean((ordering.chol / unit[:, None]) ** 2)
            * jnp.sum((ordering.inverse * unit) ** 2),
            "ok": all_finite(norm, ordering.eigenvalues),
        }
        snapshot = jax.tree.map(
            lambda old, new: jnp.where(state.step == int(_SNAPSHOT_AT * self.steps), new, old),
            state.snapshot,
            params,
        )
        return SpinState(params, optimizer, sigma, pi, kept, snapshot, state.step + 1, state.seed), info

    def bind(self, problem: Problem, n_states: int) -> Run:
        wavefunction = self.wavefunction(problem, n_states)
        length = max(1, min(1000, -(-self.steps // 50)))
        advance = chunked(partial(self.step, problem, wavefunction), self.steps, length, self.dtype)

        def init(seed: int) -> SpinState:
            with precision(self.dtype):
                return self.init(problem, n_states, seed)

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
        result = evaluate(
            problem,
            wavefunction,
            jax.tree.map(np.asarray, state.params),
            self.sampler,
            self.evaluation_points,
            seed=int(state.seed),
            earlier=jax.tree.map(np.asarray, state.snapshot),
        )
        accurate = result.errors <= self.tolerance * energy_scale(result.energies)  # False for nan
        shift = getattr(self.estimator, "shift", None)
        above = np.zeros_like(accurate) if shift is None else problem.sign * result.energies >= shift
        notes = note(
            "shift",
            above,
            f"the energy lies above the shift {shift} of {self.estimator!r}, which does not learn such states",
            "raise it above the wanted levels",
        )
        notes += note(
            "tolerance",
            ~accurate & ~above,
            f"the claimed error is above {self.tolerance:.0%} of the energies' range",
            f"try more steps (steps={2 * self.steps}), a larger batch, or declare singular points of V",
        )
        return Spectrum(
            energies=result.energies,
            errors=result.errors,
            residuals=result.residuals,
            converged=accurate & ~above,
            notes=notes,
            eigenfunctions=result.functions,
            domain=problem.domain,
            name=problem.name,
            units=problem.units,
            method=self.estimator.name,
            history=history,
            provenance={
                "method": repr(self),
                "precision": f"{self.dtype} training, float64 evaluation",
                "statistical_errors": result.statistical.tolist(),
                "variational_errors": result.variational.tolist(),
            },
            potential=problem.potential_values if problem.is_boxed_hamiltonian else None,
        )


def self_test_case() -> tuple[str, Callable[..., Any], tuple[Any, ...]]:
    """(name, function, arguments) for `precision.self_test`: u and Hu of a small network."""
    wavefunction = Wavefunction(SeparateMLPs((8, 8)), Box.cube(3.0, dim=2), 3)
    hamiltonian = Kinetic() + Potential(lambda x: 0.5 * jnp.sum(x**2))

    def u_and_hu(params: Any, x: Float[Array, "batch dim"]) -> tuple[Array, Array]:
        u = partial(wavefunction, params)
        return jax.vmap(u)(x), jax.vmap(hamiltonian(u))(x)

    params = wavefunction.init(jax.random.key(0), jnp.result_type(float))
    x = jax.random.uniform(jax.random.key(1), (500, 2), minval=-2.9, maxval=2.9)
    return "u and Hu of a network", u_and_hu, (params, x)
