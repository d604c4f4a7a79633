"""NeuralEF and NestedLoRA: their gradients, what nesting means, and both on a matrix and an oscillator."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import qspin
from qspin.methods.spin.estimators import Batch
from qspin.numerics.pencil import Average
from qspin.numerics.points import Points

OSCILLATOR = qspin.Problem(
    qspin.Kinetic(mass=0.5) + qspin.Potential(lambda x: jnp.sum(x**2)),
    qspin.Box.cube(5.0, dim=2),
    exact=lambda n: np.sort([2.0 * (i + j + 1) for i in range(9) for j in range(9)])[:n],
    name="oscillator",
)
RIVALS = [qspin.NeuralEF(9.0), qspin.NestedLoRA("sequential", 9.0), qspin.NestedLoRA("joint", 9.0)]
IDS = ["neuralef", "nestedlora-sequential", "nestedlora-joint"]


@pytest.fixture
def nodes(x64):
    """(A, u): a symmetric matrix with eigenvalues below 5 and functions of its 8 nodes."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(8, 8))
    a = (a + a.T) / 2
    return jnp.asarray(a - (np.linalg.eigvalsh(a).max() - 4) * np.eye(8)), jnp.asarray(
        rng.normal(size=(8, 3))
    )


def cotangent(estimator, a, u, kept=None):
    points = Points(jnp.arange(len(u), dtype=u.dtype)[:, None], jnp.ones(len(u)))
    average = Average.zeros((u.shape[1],) * 2, u.dtype).update(u.T @ u, 1.0)
    return estimator.gradient(Batch(points, u, a @ u, lambda c: c), average, average, kept, 1.0)[0]


def test_neuralef_is_the_gradient_of_its_objective(nodes):
    """Σ_j [R_jj - Σ_{i<j} R_ij²/R_ii] of normalised functions, with the lower ones held."""
    a, u = nodes
    k = 5.0 * jnp.eye(8) - a

    def objective(u):
        phi = u / jnp.linalg.norm(u, axis=0)
        total = 0.0
        for j in range(3):
            held = jax.lax.stop_gradient(phi[:, :j])
            against = (held.T @ k @ phi[:, j]) ** 2 / jnp.einsum("bi,bc,ci->i", held, k, held)
            total += phi[:, j] @ k @ phi[:, j] - against.sum()
        return total

    np.testing.assert_allclose(
        cotangent(qspin.NeuralEF(5.0), a, u), -jax.grad(objective)(u), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("nesting", ["sequential", "joint"])
def test_nestedlora_is_the_gradient_of_its_objective(nodes, nesting):
    """‖K - Σ_{k≤l} f_k f_kᵀ‖² for l = 1 … N: their mean, or each state by its own with the lower ones held.

    The two halves that stand for independent ones are here made alike: node after node, each twice.
    """
    a, u = nodes
    k = 5.0 * jnp.eye(8) - a

    def distance(f):
        return -2 * jnp.trace(f.T @ k @ f) + jnp.sum((f.T @ f) ** 2)

    def objective(f):
        if nesting == "joint":
            return sum(distance(f[:, : n + 1]) for n in range(3)) / 3
        held = jax.lax.stop_gradient(f)
        return sum(distance(jnp.concatenate([held[:, :n], f[:, n : n + 1]], axis=1)) for n in range(3))

    expected = jax.grad(objective)(u)
    twice = jnp.repeat(u, 2, axis=0)
    points = Points(jnp.zeros((16, 1)), jnp.full(16, 0.5))
    average = Average.zeros((3, 3), u.dtype).update(u.T @ u, 1.0)
    batch = Batch(points, twice, jnp.repeat(a @ u, 2, axis=0), lambda c: c)
    found = qspin.NestedLoRA(nesting, 5.0).gradient(batch, average, average, jnp.ones(3), 1.0)[0]
    np.testing.assert_allclose(found.reshape(8, 2, 3).sum(1), expected, rtol=1e-10, atol=1e-10)


def test_the_overlap_of_one_half_comes_from_the_other(nodes):
    """Else the product of two means over the same points would be biased."""
    a, u = nodes
    estimator = qspin.NestedLoRA(shift=5.0)
    before = cotangent(estimator, a, u, jnp.ones(3))
    changed = u.at[2].add(0.1)  # in the even half
    after = cotangent(estimator, a, changed, jnp.ones(3)) - 4 * (a @ changed - a @ u)
    odd, even = np.arange(1, 8, 2), np.array([0, 4, 6])
    assert (np.abs(after - before)[odd].max(1) > 1e-6).all()
    np.testing.assert_allclose(after[even], before[even], rtol=1e-12)


@pytest.mark.parametrize("estimator", RIVALS, ids=IDS)
def test_eigenfunctions_are_fixed_points(nodes, estimator):
    """Normalised for NeuralEF, scaled by √(shift - E) for NestedLoRA, whose halves see every node alike."""
    a, _ = nodes
    energies, vectors = jnp.linalg.eigh(a)
    u = vectors[:, :3] * (1 if isinstance(estimator, qspin.NeuralEF) else jnp.sqrt(9.0 - energies[:3]))
    twice, points = jnp.repeat(u, 2, axis=0), Points(jnp.zeros((16, 1)), jnp.full(16, 0.5))
    average = Average.zeros((3, 3), u.dtype).update(u.T @ u, 1.0)
    batch = Batch(points, twice, jnp.repeat(a @ u, 2, axis=0), lambda c: c)
    assert np.abs(estimator.gradient(batch, average, average, jnp.ones(3), 1.0)[0]).max() < 1e-10


def matrix_problem(largest=False):
    a = np.random.default_rng(0).normal(size=(5, 5))
    return qspin.Problem(qspin.MatrixOperator((a + a.T) / 2), qspin.Nodes(5), largest=largest), (a + a.T) / 2


@pytest.mark.parametrize(
    ("estimator", "largest"),
    [
        (RIVALS[0], True),
        pytest.param(RIVALS[1], True, marks=pytest.mark.slow),
        pytest.param(RIVALS[2], False, marks=pytest.mark.slow),
    ],
    ids=IDS,
)
def test_a_matrix(estimator, largest):
    """Three eigenvalues of 5 × 5, to 1 % of their range; a shift close by makes the others small beside them."""
    estimator = dataclasses.replace(estimator, shift=1.0)
    problem, a = matrix_problem(largest)
    method = qspin.SpIN(steps=2000, batch_size=64, network=qspin.SeparateMLPs((16,)), estimator=estimator)
    spectrum = qspin.solve(problem, 3, method)
    exact = np.linalg.eigvalsh(a)
    exact = exact[::-1] if largest else exact
    assert spectrum.method == estimator.name
    np.testing.assert_allclose(spectrum.energies, exact[:3], atol=0.01 * np.ptp(exact))


@pytest.mark.slow
@pytest.mark.parametrize("estimator", RIVALS, ids=IDS)
def test_the_oscillator(estimator):
    """2, 4, 4 of -∇² + r²: within three claimed errors, and 1 %."""
    method = qspin.SpIN(steps=2500, batch_size=128, network=qspin.SeparateMLPs((16, 16)), estimator=estimator)
    spectrum = qspin.solve(OSCILLATOR, 3, method)
    assert (np.abs(spectrum.energies - spectrum.exact[:3]) <= 3 * spectrum.errors + 1e-3).all()
    np.testing.assert_allclose(spectrum.energies, spectrum.exact[:3], rtol=0.01)


def test_a_state_above_the_shift_is_reported():
    """The shift lies between the first and the second level: the second is not believed. Any optimizer will do."""
    problem, a = matrix_problem()
    levels = np.linalg.eigvalsh(a)
    shift = float(levels[:2].mean())
    method = qspin.SpIN(
        steps=300,
        batch_size=64,
        network=qspin.SeparateMLPs((8,)),
        estimator=qspin.NestedLoRA(shift=shift),
        optimizer=optax.adam(3e-3),
    )
    spectrum = qspin.solve(problem, 2, method)
    assert not spectrum.converged[1]
    assert f"shift {shift}" in spectrum.status


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: qspin.NeuralEF(shift=float("inf")), "NeuralEF: shift must be finite.*inf"),
        (lambda: qspin.NestedLoRA(shift="high"), "NestedLoRA: shift must be a real number.*'high'"),
        (lambda: qspin.NestedLoRA("jnt"), 'nesting must be "sequential" or "joint", got \'jnt\''),
    ],
)
def test_bad_settings(make, match):
    with pytest.raises((TypeError, ValueError), match=match):
        make()
