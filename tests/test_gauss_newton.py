"""Gauss–Newton: its gradient against differences of Ritz energies, its curvature near a minimum, and what training does."""

from dataclasses import replace

import numpy as np
import pytest

import qspin
from qspin.methods.ritz.features import Neurons
from qspin.methods.ritz.rayleigh_ritz import bases, lowest
from qspin.methods.ritz.scales import Task, coarse, draw, random_numbers, rule
from qspin.methods.ritz.training import curvature, moments, train
from qspin.numerics.precision import double_precision


@pytest.fixture
def setting():  # type: ignore[no-untyped-def]
    import jax.numpy as jnp

    problem = qspin.Problem(
        qspin.Kinetic()
        + qspin.Potential(lambda x: 0.5 * jnp.sum(x**2) + 0.1 * x[0] ** 4 + 0.2 * x[0] * x[1]),
        qspin.Box.cube(7.0, dim=2),
    )
    with double_precision():
        rng = np.random.default_rng(0)
        task = Task(problem, 3, 1e-6, 400, 150_000, True, rng.uniform(size=2))
        scales = coarse(task, rng)._replace(slope=0.8)
        trial = draw(task, scales, scales.places[:14], random_numbers(task, 14, rng))
        yield task, trial, rule(task, scales, 40)


def solved(task, trial, points):  # type: ignore[no-untyped-def]
    return lowest(trial, task.coefficients, points, bases(trial, points, (14,))[0])


def test_the_gradient_is_that_of_the_sum_of_ritz_energies(setting) -> None:  # type: ignore[no-untyped-def]
    task, trial, points = setting
    energies, combination = solved(task, trial, points)
    total = moments(trial, task.coefficients, points, combination)
    gradient, curved, _ = curvature(total, energies, combination, 3)
    assert curved == pytest.approx(curved.T)
    rng = np.random.default_rng(2)
    for _ in range(3):
        direction = rng.normal(size=(14, 3))
        ends = []
        for h in (1e-5, -1e-5):
            weights, biases = trial.neurons
            moved = Neurons(weights + h * direction[:, :2], biases + h * direction[:, 2])
            ends.append(solved(task, replace(trial, neurons=moved), points)[0][:3].sum())
        assert 2 * gradient @ direction.ravel() == pytest.approx(
            (ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-7
        )


def test_steps_lower_the_sum_and_keep_slopes_bounded(setting) -> None:  # type: ignore[no-untyped-def]
    task, trial, points = setting
    scale = np.abs(trial.neurons.weights).max()
    better = train(trial, task.coefficients, points, 3, scale, 10, 0.0)
    before, after = (solved(task, some, points)[0][:3].sum() for some in (trial, better))
    truth = qspin.solve(task.problem, 3, qspin.Grid()).energies.sum()
    assert truth - 1e-7 < after < truth + 0.2 * (before - truth)
    assert np.abs(better.neurons.weights).max() <= 5 * scale
