"""Compiled training steps in many dimensions: points, moving averages, the residual that the span does not hold, an update."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from qspin.methods.sampled.directions import Order, lowest, outside
from qspin.methods.sampled.point_sources import PointSource
from qspin.methods.sampled.sampled_evaluation import Sampled
from qspin.methods.sampled.updates import Place, Update
from qspin.numerics.chunked import awaited
from qspin.numerics.pencil import Average, all_finite
from qspin.numerics.precision import double_precision

__all__ = ["State", "Training", "reference_residuals"]

_CHUNK = 50


class State(NamedTuple):
    """Of training: everything that a run resumes from."""

    params: Any
    update: Any
    overlap: Average
    energy: Average
    mean: Any  # of the parameters, over the second half
    points: Any  # what the source of points keeps
    step: Any
    seed: Any


@dataclass(frozen=True, eq=False)
class Training:
    """A run of `SampledRitz`, which explains the settings: `steps` of them, the first with `share` of the full length."""

    sampled: Sampled
    lattice: np.ndarray  # (B, dim + 1) of the unit cube, shifted at random every step
    steps: int
    share: float
    averaging: float
    sampler: PointSource
    optimizer: Update
    ordering: Order

    def init(self, seed: int) -> State:
        """The reference, and nothing averaged yet."""
        m = self.sampled.ansatz.n_features
        with double_precision():
            params = jax.tree.map(jnp.asarray, self.sampled.ansatz.init(seed))
            zeros = Average.zeros((m, m), float)
            return State(
                params, self.optimizer.init(params), zeros, zeros, params, self.sampler.init(self.sampled, self.lattice),
                jnp.zeros((), jnp.int32), jnp.asarray(np.uint32(seed % 2**32)),
            )  # fmt: skip

    def advance(self, state: State, until: int | None = None) -> tuple[State, dict[str, np.ndarray]]:
        """Up to 50 steps in one program, and what each of them saw."""
        with double_precision():
            end = self.steps if until is None else min(until, self.steps)
            taken = min(_CHUNK, end - int(state.step))
            state, info = awaited(self._chunk(state, jnp.int32(end)))
            return state, {name: np.asarray(a)[:taken] for name, a in info.items()}

    @cached_property
    def _chunk(self) -> Any:
        def blank(state: State) -> tuple[State, dict[str, Any]]:
            _, info = jax.eval_shape(self.step, state)
            return state, jax.tree.map(lambda a: jnp.ones(a.shape, a.dtype), info)

        def either(until: Any, state: State, _: Any) -> tuple[State, dict[str, Any]]:
            return jax.lax.cond(state.step < until, self.step, blank, state)

        return jax.jit(lambda state, until: jax.lax.scan(partial(either, until), state, length=_CHUNK))

    def step(self, state: State) -> tuple[State, dict[str, Any]]:
        """One update: points, f and Hf, averages, residuals, their pull-back."""
        key = jax.random.fold_in(jax.random.key(state.seed), state.step)
        x, shift, kept_points, report = self.sampler.draw(
            self.sampled, self.lattice, self._log_density(state), state.points, key
        )
        f, hf = self.sampled.images(state.params, x, shift)
        overlap = state.overlap.update(f.T @ f, self.averaging)
        energy = state.energy.update(f.T @ hf, self.averaging)
        _, pull = jax.vjp(lambda p: self.sampled.values(p, x, shift), state.params)
        found = self.ordering.direction(
            f, hf, overlap, energy, self.sampled.n_states, lambda cotangent: pull(cotangent)[0]
        )
        share = self.share * optax.cosine_decay_schedule(1.0, max(self.steps, 1))(state.step)
        place = Place(self.sampled, state.params, found, x, shift, share, jax.random.fold_in(key, 1))
        change, kept = self.optimizer.change(state.update, place)
        params = optax.apply_updates(state.params, change)
        since = jnp.maximum(state.step - self.steps // 2, 0).astype(float)
        mean = jax.tree.map(lambda a, b: a + (b - a) / (since + 1), state.mean, params)
        density = jnp.sum(found.psi**2, axis=1)
        info = {
            "energies": found.energies,
            "residuals": jnp.sqrt(jnp.sum(found.residual**2, axis=0)),
            "effective_share": jnp.sum(density) ** 2 / jnp.sum(density**2) / len(density),
            "ok": all_finite(found.energies, found.residual, *jax.tree.leaves(params)),
            **report,
        }
        return State(params, kept, overlap, energy, mean, kept_points, state.step + 1, state.seed), info

    def _log_density(self, state: State) -> Any:
        """ln Σ_k |ψ_k|² at a point, for the states of the averages so far; at first the products."""
        m = len(state.overlap.total)
        known = state.overlap.mass > 0
        overlap = jnp.where(known, state.overlap.value, jnp.eye(m))
        energy = jnp.where(known, state.energy.value, jnp.diag(jnp.arange(m, dtype=float)))
        c = lowest(overlap, energy, self.sampled.n_states)[1]
        return lambda x: jnp.log(jnp.sum((self.sampled.ansatz.values(state.params, x) @ c) ** 2))


def reference_residuals(sampled: Sampled, lattice: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Of the reference before training: the largest residual in mean spacings of its axes; energies and residuals (N,)."""

    @jax.jit
    def found(params: Any, unit: Any) -> Any:
        x, shift = sampled.points(unit)
        f, hf = sampled.images(params, x, shift)
        energies, c = lowest(f.T @ f, f.T @ hf, sampled.n_states)
        return energies, jnp.sqrt(jnp.sum(outside(f, hf @ c - f @ c * energies) ** 2, axis=0))

    unit = jnp.asarray(np.clip(lattice, 1e-9, 1 - 1e-9))
    energies, residuals = (np.asarray(a) for a in found(sampled.ansatz.init(0), unit))
    spacing = np.mean([(r.rates**2).mean() for r in sampled.ansatz.references])
    return float(residuals.max() / spacing), energies, residuals
