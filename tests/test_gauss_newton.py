"""Gauss–Newton: its gradient against differences of Ritz energies, its curvature near a minimum, and what training does."""

import numpy as np
import pytest

import qspin
from qspin.methods.ritz import gauss_newton
from qspin.methods.ritz.features import Neurons
from qspin.methods.ritz.rayleigh_ritz import blocks
from qspin.methods.ritz.solver import Limits, Solver
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
        solver = Solver(problem, 3, 0, Limits(1e-6, 400, 150_000, True))
        solver._coarse()
        neurons = solver._draw(solver.sampled[:14], 0.8)
        yield solver, neurons, solver._rule(40)


def solved(solver, neurons, rule):  # type: ignore[no-untyped-def]
    basis = solver.integrals.bases(rule, solver.frame, neurons, (14,))[0]
    energies, combination = solver.integrals.ritz(rule, solver.frame, neurons, basis)
    return energies, combination[:14]


def test_the_gradient_is_that_of_the_sum_of_ritz_energies(setting) -> None:  # type: ignore[no-untyped-def]
    solver, neurons, rule = setting
    energies, combination = solved(solver, neurons, rule)
    moments = gauss_newton._compiled(solver.coordinates, tuple(solver.stiffness.tolist()))
    parts = [moments(solver.frame, neurons, combination, x, w, v) for x, w, v in blocks(rule)]
    total = gauss_newton.Moments(*(sum(np.asarray(p) for p in some) for some in zip(*parts, strict=True)))
    gradient, curved, _ = gauss_newton.curvature(total, energies, combination, 3)
    assert curved == pytest.approx(curved.T)
    rng = np.random.default_rng(2)
    for _ in range(3):
        direction = rng.normal(size=(14, 3))
        ends = []
        for h in (1e-5, -1e-5):
            moved = Neurons(neurons.weights + h * direction[:, :2], neurons.biases + h * direction[:, 2])
            ends.append(solved(solver, moved, rule)[0][:3].sum())
        assert 2 * gradient @ direction.ravel() == pytest.approx(
            (ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-7
        )


def test_steps_lower_the_sum_and_keep_slopes_bounded(setting) -> None:  # type: ignore[no-untyped-def]
    solver, neurons, rule = setting
    scale = np.abs(neurons.weights).max()
    better = gauss_newton.train(
        solver.integrals, solver.coordinates, solver.stiffness, rule, solver.frame, neurons, 3, scale, 10, 0.0
    )
    before, after = (solved(solver, some, rule)[0][:3].sum() for some in (neurons, better))
    truth = qspin.solve(solver.problem, 3, qspin.Grid()).energies.sum()
    assert truth - 1e-7 < after < truth + 0.2 * (before - truth)
    assert np.abs(better.weights).max() <= 5 * scale
