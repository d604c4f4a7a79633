"""Compiled training steps in many dimensions: points, moving averages, the residual that the span does not hold, an update."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from qspin.energy_metric import energy_step
from qspin.estimators import AveragedCovariance, Batch
from qspin.metropolis import Walkers, start, walk
from qspin.runtime import awaited, double_precision
from qspin.sampled_evaluation import Sampled
from qspin.sampling import Points
from qspin.spectral import Average, all_finite

__all__ = ["State", "Training", "reference_residuals"]

_JITTER = 1e-9
_CHUNK = 50
_FEW = 12  # dimensions up to which the learning rate is as given
_MOVES = 4  # of every walker, a step


class State(NamedTuple):
    """Of training: everything that a run resumes from."""

    params: Any
    optimizer: Any
    overlap: Average
    energy: Average
    mean: Any  # of the parameters, over the second half
    walkers: Any  # None for independent points
    step: Any
    seed: Any


class Direction(NamedTuple):
    """What a batch says: energies (N,), ψ and residuals (B, N), combinations (M, N), and half the gradient of Σ_k E_k."""

    energies: Any
    psi: Any
    residual: Any
    combination: Any
    gradient: Any


@dataclass(frozen=True, eq=False)
class Training:
    """A run of `SampledRitz`: its steps, and how many of them there are. Settings are explained there."""

    sampled: Sampled
    lattice: np.ndarray  # (B, dim + 1) of the unit cube, shifted at random every step
    steps: int
    learning_rate: float
    averaging: float
    sampler: str = "reference"
    optimizer: str = "adam"
    ordering: str = "rotation"

    def init(self, seed: int) -> State:
        """The reference, and nothing averaged yet."""
        m = self.sampled.ansatz.n_features
        with double_precision():
            params = jax.tree.map(jnp.asarray, self.sampled.ansatz.init(seed))
            walkers = None
            if self.sampler == "metropolis":
                x, _ = self.sampled.points(jnp.clip(jnp.asarray(self.lattice), 1e-9, 1 - 1e-9))
                walkers = Walkers(x, jnp.zeros(len(x)), jnp.zeros_like(x), jnp.asarray(0.3), jnp.asarray(0.0))
            zeros = Average.zeros((m, m), float)
            return State(
                params, self._adam.init(params), zeros, zeros, params, walkers, jnp.zeros((), jnp.int32),
                jnp.asarray(np.uint32(seed % 2**32)),
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
        def either(until: Any, state: State, _: Any) -> tuple[State, dict[str, Any]]:
            return jax.lax.cond(state.step < until, self._step, self._blank, state)

        return jax.jit(lambda state, until: jax.lax.scan(partial(either, until), state, length=_CHUNK))

    @property
    def _slower(self) -> float:
        """Adam moves every entry alike: a form of dim² entries, and the log factor with it, would move dim times as far."""
        return min(1.0, float(np.sqrt(_FEW / self.sampled.domain.dim)))

    @property
    def _schedule(self) -> Any:
        return optax.cosine_decay_schedule(1.0, max(self.steps, 1))

    @property
    def _adam(self) -> optax.GradientTransformation:
        if self.optimizer == "energy":
            return optax.identity()
        rate = self.learning_rate * self._slower
        return optax.adam(lambda step: rate * self._schedule(step))

    def _step(self, state: State) -> tuple[State, dict[str, Any]]:
        key = jax.random.fold_in(jax.random.key(state.seed), state.step)
        x, shift, walkers = self._drawn(state, key)
        f, hf = self.sampled.images(state.params, x, shift)
        overlap = state.overlap.update(f.T @ f, self.averaging)
        energy = state.energy.update(f.T @ hf, self.averaging)
        _, pull = jax.vjp(lambda p: self.sampled.values(p, x, shift), state.params)
        direct = self._masked if self.ordering == "masked" else self._rotated
        found = direct(f, hf, overlap, energy, lambda cotangent: pull(cotangent)[0])
        if self.optimizer == "energy":
            updates, kept = self._energy_update(state, x, shift, found, key)
        else:
            updates, kept = self._adam.update(found.gradient, state.optimizer, state.params)
            updates = [
                [*layers, jax.tree.map(lambda u: self._slower * u, forms)] for *layers, forms in updates
            ]
        params = optax.apply_updates(state.params, updates)
        since = jnp.maximum(state.step - self.steps // 2, 0).astype(float)
        mean = jax.tree.map(lambda a, b: a + (b - a) / (since + 1), state.mean, params)
        density = jnp.sum(found.psi**2, axis=1)
        info = {
            "acceptance": jnp.ones(()) if walkers is None else walkers.accepted,
            "energies": found.energies,
            "residuals": jnp.sqrt(jnp.sum(found.residual**2, axis=0)),
            "effective_share": jnp.sum(density) ** 2 / jnp.sum(density**2) / len(density),
            "ok": all_finite(found.energies, found.residual, *jax.tree.leaves(params)),
        }
        return State(params, kept, overlap, energy, mean, walkers, state.step + 1, state.seed), info

    def _blank(self, state: State) -> tuple[State, dict[str, Any]]:
        zero, n = jnp.zeros(()), jnp.zeros((self.sampled.n_states,))
        blanks = {"energies": n, "residuals": n, "effective_share": zero, "acceptance": zero}
        return state, blanks | {"ok": jnp.ones((), bool)}

    def _drawn(self, state: State, key: Any) -> tuple[Any, Any, Any]:
        """Points, ½ ln of their weights, and walkers."""
        if state.walkers is None:
            if self.sampler == "random":
                unit = jax.random.uniform(key, self.lattice.shape, float)
            else:
                unit = (jnp.asarray(self.lattice) + jax.random.uniform(key, self.lattice.shape[1:])) % 1
            return *self.sampled.points(unit), None
        # The states of the averages so far; at first the products.
        m = len(state.overlap.total)
        known = state.overlap.mass > 0
        overlap = jnp.where(known, state.overlap.value, jnp.eye(m))
        energy = jnp.where(known, state.energy.value, jnp.diag(jnp.arange(m, dtype=float)))
        c = _lowest(overlap, energy, self.sampled.n_states)[1]

        def log_density(x: Any) -> Any:
            return jnp.log(jnp.sum((self.sampled.ansatz.values(state.params, x) @ c) ** 2))

        scale = np.linalg.norm(self.sampled.ansatz.references[0].axes, axis=1) / np.sqrt(2)
        walkers = start(log_density, state.walkers.x, state.walkers.step)
        walkers = walk(log_density, walkers, key, _MOVES, scale)
        return walkers.x, -walkers.log / 2 - np.log(len(walkers.x)) / 2, walkers

    def _rotated(self, f: Any, hf: Any, overlap: Average, energy: Average, pull: Any) -> Direction:
        """The N lowest combinations of all features, and what of their residuals no combination holds."""
        energies, c = _lowest(overlap.value, energy.value, self.sampled.n_states)
        psi = f @ c
        residual = _outside(f, hf @ c - psi * energies)
        return Direction(energies, psi, residual, c, pull(residual @ c.T))

    def _masked(self, f: Any, hf: Any, overlap: Average, energy: Average, pull: Any) -> Direction:
        """SpIN's order: state k from the first k features alone."""
        batch = Batch(Points(f, jnp.ones(len(f))), f, hf, pull)
        gradient, _, ordering = AveragedCovariance().gradient(batch, overlap, energy, None, self.averaging)
        c = ordering.inverse.T
        psi, energies = f @ c, jnp.diagonal(ordering.eigenvalues)
        return Direction(energies, psi, hf @ c - psi * energies, c, jax.tree.map(lambda g: g / 2, gradient))

    def _energy_update(self, state: State, x: Any, shift: Any, found: Direction, key: Any) -> Any:
        ansatz = self.sampled.ansatz
        axes = ansatz.references[0].axes * ansatz.references[0].rates
        kinetic = jnp.asarray(np.sum(axes**2, axis=1))  # c of -c ∂², from the reference's coordinates
        spread = found.energies[-1] - found.energies[0]
        weight = jnp.maximum(spread / max(self.sampled.n_states - 1, 1), 1e-3 * jnp.abs(found.energies[0]))
        delta = energy_step(
            lambda p, point: ansatz.values(p, point) @ found.combination, state.params, x, jnp.exp(shift), kinetic,
            found.gradient, jax.tree.map(jnp.zeros_like, state.params), jax.random.fold_in(key, 1), weight,
        )  # fmt: skip
        return jax.tree.map(lambda d: -self._schedule(state.step) * d, delta), state.optimizer


def reference_residuals(sampled: Sampled, lattice: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Of the reference before training: the largest residual in mean spacings of its axes; energies and residuals (N,)."""

    @jax.jit
    def found(params: Any, unit: Any) -> Any:
        x, shift = sampled.points(unit)
        f, hf = sampled.images(params, x, shift)
        energies, c = _lowest(f.T @ f, f.T @ hf, sampled.n_states)
        return energies, jnp.sqrt(jnp.sum(_outside(f, hf @ c - f @ c * energies) ** 2, axis=0))

    unit = jnp.asarray(np.clip(lattice, 1e-9, 1 - 1e-9))
    energies, residuals = (np.asarray(a) for a in found(sampled.ansatz.init(0), unit))
    spacing = np.mean([(r.rates**2).mean() for r in sampled.ansatz.references])
    return float(residuals.max() / spacing), energies, residuals


def _lowest(overlap: Any, energy: Any, n: int) -> tuple[Any, Any]:
    """The n lowest of the pencil, its noise symmetrised: energies, and combinations (M, n)."""
    scale = 1 / jnp.sqrt(jnp.diagonal(overlap))
    s = overlap * scale[:, None] * scale + _JITTER * jnp.eye(len(scale))
    p = (energy + energy.T) / 2 * scale[:, None] * scale
    chol = jnp.linalg.cholesky(s)
    solve = partial(jax.scipy.linalg.solve_triangular, chol, lower=True)
    a = solve(solve(p).T)
    values, vectors = jnp.linalg.eigh((a + a.T) / 2)
    c = jax.scipy.linalg.solve_triangular(chol.T, vectors[:, :n], lower=False)
    return values[:n], c * scale[:, None]


def _outside(f: Any, residual: Any) -> Any:
    """Less its projection, on these points, on the span of the features: what that holds a rotation finds."""
    overlap = f.T @ f
    scale = 1 / jnp.sqrt(jnp.diagonal(overlap))
    s = overlap * scale[:, None] * scale + _JITTER * jnp.eye(len(scale))
    inside = jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(s), True), scale[:, None] * (f.T @ residual))
    return residual - f @ (scale[:, None] * inside)
