"""The metric of a step is an energy: exact for oscillator functions, whose levels are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qspin.methods.sampled.energy_metric import energy_step
from qspin.numerics.precision import double_precision


def levels(p: jax.Array, x: jax.Array) -> jax.Array:
    """ψ_0, moved by p towards the first and second excited states of ½(p² + x²)."""
    y = x[0]
    ground = jnp.exp(-(y**2) / 2) / np.pi**0.25
    return ground * jnp.stack([1 + p[0] * np.sqrt(2) * y + p[1] * (2 * y**2 - 1) / np.sqrt(2)])


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_metric_is_the_excitation_energy(gamma: float) -> None:
    """∫ c|∇a - a∇ln ψ_0|² = E_k - E_0 for a = ψ_k: a gradient g gives the step g / (γ + E_k - E_0)."""
    with double_precision():
        x = jnp.linspace(-8, 8, 4001)[:, None]
        weights = jnp.sqrt(jnp.full(4001, 16 / 4000))
        gradient = jnp.array([1e-3, 2e-3])
        step = energy_step(
            levels,
            jnp.zeros(2),
            x,
            weights,
            jnp.array([0.5]),
            gradient,
            jnp.zeros(2),
            jax.random.key(0),
            gamma,
        )
        assert step == pytest.approx(np.asarray(gradient) / (gamma + np.array([1.0, 2.0])), rel=1e-3)


def test_no_step_moves_states_by_more_than_a_third() -> None:
    with double_precision():
        x = jnp.linspace(-8, 8, 4001)[:, None]
        weights = jnp.sqrt(jnp.full(4001, 16 / 4000))
        step = energy_step(
            levels,
            jnp.zeros(2),
            x,
            weights,
            jnp.array([0.5]),
            jnp.array([1e3, 0.0]),
            jnp.zeros(2),
            jax.random.key(0),
            1.0,
        )
        assert np.linalg.norm(step) == pytest.approx(0.3, rel=1e-6)
