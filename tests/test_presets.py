"""Published settings, held to what the paper prints."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import qspin
from qspin.problem.sampling import Uniform


def test_the_papers_settings():
    """SpIN, appendix C.1."""
    paper = qspin.presets.spin_paper_hydrogen()
    assert paper.steps == 1_000_000
    assert paper.batch_size == 128
    assert paper.averaging == 0.01
    assert paper.estimator == qspin.AveragedJacobian()
    assert paper.network == qspin.BlockSparseMLP((128,) * 4, qspin.softplus)
    assert paper.sampler == Uniform()
    shorter = qspin.presets.spin_paper_hydrogen(steps=10, averaging=1.0)
    assert (shorter.steps, shorter.averaging) == (10, 1.0)


def test_the_papers_optimizer():
    """RMSProp: after one unit gradient the mean square is 1 - 0.999, and the step 1e-5/√0.001."""
    optimizer = qspin.presets.spin_paper_hydrogen()._optimizer()
    params = jnp.zeros(1)
    update, _ = optimizer.update(jnp.ones(1), optimizer.init(params), params)
    np.testing.assert_allclose(update, -1e-5 / np.sqrt(1e-3), rtol=1e-3)


def test_a_small_one_runs():
    problem = qspin.Problem(
        qspin.Kinetic(mass=0.5, laplacian=qspin.finite_difference(0.1)), qspin.Box.cube(1.0, dim=2)
    )
    method = dataclasses.replace(
        qspin.presets.spin_paper_hydrogen(steps=3), network=qspin.BlockSparseMLP((8, 8))
    )
    run = method.bind(problem, 2)
    state = run.init(0)
    before = [np.asarray(leaf) for leaf in jax.tree.leaves(state.params.network)]
    for step in range(1, 4):
        state, info = run.advance(state)
        assert int(state.step) == step
        assert info["ok"].all()
    for old, new in zip(before, jax.tree.leaves(state.params.network), strict=True):
        assert 0 < np.abs(new - old).max() < 3.1 * 1e-5 / np.sqrt(1e-3)  # three steps of RMSProp at most
