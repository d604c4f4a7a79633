"""Compiled training steps in many dimensions: points, moving averages, the residual outside the span, an update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree, UInt

from qspin.methods.sampled.evaluation import COLLAPSED
from qspin.methods.sampled.functions import TrialSpace
from qspin.numerics.pencil import Average, all_finite, order, rayleigh_ritz, whitening
from qspin.numerics.precision import chunked, double_precision

__all__ = ["State", "Training", "lowest", "outside", "reference_residuals"]

_CHUNK = 50
_LEARNING_RATE = 1e-2
_FEW = 12  # dimensions up to which the learning rate is as given
_JITTER = 1e-9  # of the diagonal of an overlap, added to it


class State(NamedTuple):
    """The state of training, from which a run can resume."""

    params: PyTree
    adam: Any  # moments of the gradient
    overlap: Average
    energy: Average
    mean: PyTree  # of the parameters, over the second half
    step: Int[Array, ""]
    seed: UInt[Array, ""]


@dataclass(frozen=True, eq=False)
class Training:
    """The training of `SampledRitz`, which explains the settings: `steps` steps, with `share` times the full learning rate."""

    trial: TrialSpace
    lattice: Float[np.ndarray, "batch columns"]  # of the unit cube, shifted at random every step
    steps: int
    share: float
    averaging: float

    def init(self, seed: int) -> State:
        """The state before the first step: the reference, and empty averages."""
        m = self.trial.ansatz.n_features
        with double_precision():
            params = jax.tree.map(jnp.asarray, self.trial.ansatz.init(seed))
            zeros = Average.zeros((m, m), float)
            return State(
                params, optax.scale_by_adam().init(params), zeros, zeros, params, jnp.zeros((), jnp.int32),
                jnp.asarray(np.uint32(seed % 2**32)),
            )  # fmt: skip

    @cached_property
    def advance(self) -> Callable[..., tuple[State, dict[str, np.ndarray]]]:
        """Run up to 50 steps in one compiled program, and report each of them."""
        return chunked(self.step, self.steps, _CHUNK)

    def step(self, state: State) -> tuple[State, dict[str, Array]]:
        """One update: points, f and Hf, averages, residuals, their pull-back, Adam (Kingma and Ba, ICLR 2015).

        Only the part of the residuals outside the span of the features gives a gradient: the projected problem finds the best
        combination within the span anyway, and such a gradient could make the features dependent.
        """
        key = jax.random.fold_in(jax.random.key(state.seed), state.step)
        unit = (jnp.asarray(self.lattice) + jax.random.uniform(key, self.lattice.shape[1:])) % 1
        x, shift = self.trial.ansatz.points(unit)
        f, hf = self.trial.images(state.params, x, shift)
        overlap = state.overlap.update(f.T @ f, self.averaging)
        energy = state.energy.update(f.T @ hf, self.averaging)
        energies, c = lowest(overlap.value, energy.value, self.trial.n_states)
        psi = f @ c
        residual = outside(f, hf @ c - psi * energies)
        _, pull = jax.vjp(
            lambda p: jax.vmap(self.trial.ansatz.values, (None, 0, 0))(p, x, shift), state.params
        )
        params, adam = self._apply_gradient(state, pull(residual @ c.T)[0])
        since = jnp.maximum(state.step - self.steps // 2, 0).astype(float)
        density = jnp.sum(psi**2, axis=1)
        share = jnp.sum(density) ** 2 / jnp.sum(density**2) / len(density)
        # What collapses onto few points is not taken up: the mean stays what it was before.
        part = jnp.where(share < COLLAPSED, 0.0, 1 / (since + 1))
        mean = jax.tree.map(lambda a, b: a + (b - a) * part, state.mean, params)
        info = {
            "energies": energies,
            "residuals": jnp.sqrt(jnp.sum(residual**2, axis=0)),
            "effective_share": share,
            "ok": all_finite(energies, residual, *jax.tree.leaves(params)),
        }
        return State(params, adam, overlap, energy, mean, state.step + 1, state.seed), info

    def _apply_gradient(self, state: State, gradient: PyTree) -> tuple[PyTree, Any]:
        """Parameters and moments after a step of Adam, whose length falls as a cosine."""
        unit, adam = optax.scale_by_adam().update(gradient, state.adam, state.params)
        # Adam moves every entry by as much: a form of dim² entries, and with it the log factor, would change dim times as much.
        slower = min(1.0, float(np.sqrt(_FEW / self.trial.ansatz.box.dim)))
        share = self.share * optax.cosine_decay_schedule(1.0, max(self.steps, 1))(state.step)
        rate = _LEARNING_RATE * slower * share
        change = [
            [*jax.tree.map(lambda u: -rate * u, layers), jax.tree.map(lambda u: -rate * slower * u, forms)]
            for *layers, forms in unit
        ]
        return optax.apply_updates(state.params, change), adam


def lowest(
    overlap: Float[Array, "m m"], energy: Float[Array, "m m"], n: int
) -> tuple[Float[Array, " {n}"], Float[Array, "m {n}"]]:
    """The n lowest states, with the energy matrix made symmetric: energies and combinations of features."""
    ordering = order(_regularise(overlap), energy)
    values, vectors = jnp.linalg.eigh(ordering.eigenvalues)
    return values[:n], ordering.inverse.T @ vectors[:, :n]


def outside(f: Float[Array, "batch m"], residual: Float[Array, "batch n"]) -> Float[Array, "batch n"]:
    """Residuals minus their projections on the span of the features, on these points."""
    overlap = _regularise(f.T @ f)
    inverse = order(overlap, overlap).inverse
    return residual - f @ (inverse.T @ (inverse @ (f.T @ residual)))


def _regularise(overlap: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """An overlap with a small multiple of its diagonal added, so that it is not singular."""
    return overlap + _JITTER * jnp.diag(jnp.diagonal(overlap))


def reference_residuals(
    trial: TrialSpace, lattice: Float[np.ndarray, "batch columns"]
) -> tuple[float, Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """For the reference before training: its largest residual, in mean spacings of its axes; energies and residuals."""

    unit = np.clip(lattice, 1e-9, 1 - 1e-9)
    overlap, energy, square = (np.asarray(a) for a in trial.moments(trial.ansatz.init(0), unit))
    energies, c = rayleigh_ritz(overlap, energy, trial.n_states)
    inside = whitening(overlap, 1e-10).T @ energy @ c
    residuals = np.sqrt(np.maximum(np.sum(c * (square @ c), axis=0) - np.sum(inside**2, axis=0), 0))
    spacing = np.mean([(r.rates**2).mean() for r in trial.ansatz.references])
    return float(residuals.max() / spacing), energies, residuals
