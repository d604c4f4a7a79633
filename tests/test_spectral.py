"""The linear algebra of SpIN against its defining identities, autodiff and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from qspin.numerics.pencil import (
    Average,
    all_finite,
    masked_residual,
    moment,
    order,
    orthogonalise_upwards,
    principal_angles,
    rayleigh_ritz,
)

pytestmark = pytest.mark.usefixtures("x64")

ROWS, STATES = 12, 5
EPS = np.finfo(float).eps


@pytest.fixture
def matrix():
    """A symmetric matrix: H for functions on ROWS points, each of weight 1."""
    a = np.random.default_rng(0).normal(size=(ROWS, ROWS))
    return jnp.asarray(a + a.T)


@pytest.fixture
def u():
    return jnp.asarray(np.random.default_rng(1).normal(size=(ROWS, STATES)))


@jax.jit
def ordered(u, matrix):
    ones = jnp.ones(len(u))
    return order(moment(u, u, ones), moment(u, matrix @ u, ones))


# --- moments and averages


def test_a_moment_is_the_weighted_sum_of_outer_products():
    rng = np.random.default_rng(2)
    f, g, w = (jnp.asarray(rng.normal(size=shape)) for shape in [(7, 2), (7, 3), (7,)])
    expected = sum(w[b] * np.outer(f[b], g[b]) for b in range(7))
    np.testing.assert_allclose(moment(f, g, w), expected, atol=20 * EPS)


def test_an_average_of_constant_rate_is_the_closed_form():
    """value_t = Σ_s β (1 - β)^(t - s) x_s / (1 - (1 - β)^t)."""
    beta, x = 0.1, np.random.default_rng(3).normal(size=(40, 2, 2))
    average = Average.zeros((2, 2), jnp.float64)
    update = jax.jit(Average.update)
    for t in range(1, 41):
        average = update(average, jnp.asarray(x[t - 1]), beta)
        share = beta * (1 - beta) ** np.arange(t)[::-1] / (1 - (1 - beta) ** t)
        np.testing.assert_allclose(average.value, np.tensordot(share, x[:t], 1), rtol=0, atol=100 * EPS)
        assert average.mass == pytest.approx(1 - (1 - beta) ** t, rel=100 * EPS)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_constant_signal_is_its_average_from_the_first_step(dtype):
    signal = jnp.asarray([[3.0, -1.0]], dtype)
    average = Average.zeros((1, 2), dtype)
    rates = [0.01] * 50 + [0.3, 1.0, 0.001]  # and with a rate that changes
    for t, rate in enumerate(rates, start=1):
        average = average.update(signal, rate)
        assert average.value.dtype == dtype
        np.testing.assert_allclose(average.value, signal, rtol=2 * t * float(jnp.finfo(dtype).eps))


def test_rate_one_keeps_the_last_value_alone():
    average = Average.zeros((), jnp.float64).update(jnp.asarray(5.0), 0.5).update(jnp.asarray(7.0), 1.0)
    assert average.value == 7.0


# --- the ordering


def test_order_factorises_sigma_and_whitens(u, matrix):
    sigma, pi = u.T @ u, u.T @ matrix @ u
    ordering = jax.jit(order)(sigma, pi)
    assert np.array_equal(ordering.chol, np.tril(ordering.chol))
    np.testing.assert_allclose(ordering.chol @ ordering.chol.T, sigma, atol=1e-13)
    np.testing.assert_allclose(ordering.inverse @ ordering.chol, np.eye(STATES), atol=1e-13)
    np.testing.assert_allclose(ordering.chol @ ordering.eigenvalues @ ordering.chol.T, pi, atol=1e-12)
    np.testing.assert_allclose(ordering.eigenvalues, ordering.eigenvalues.T, atol=1e-13)


def test_the_upper_left_block_depends_on_the_first_functions_alone(u, matrix):
    """Λ's n × n block is the Λ of u_1 … u_n: a higher state never touches a lower one."""
    full = ordered(u, matrix).eigenvalues
    other = u.at[:, 3:].set(jax.random.normal(jax.random.key(0), (ROWS, STATES - 3)))
    for n in (1, 3):
        np.testing.assert_allclose(full[:n, :n], ordered(u[:, :n], matrix).eigenvalues, atol=1e-12)
    np.testing.assert_allclose(full[:3, :3], ordered(other, matrix).eigenvalues[:3, :3], atol=1e-12)
    assert abs(full - ordered(other, matrix).eigenvalues).max() > 0.1


def test_order_does_not_care_about_the_functions_norms(u, matrix):
    scale = jnp.array([1e-12, 1.0, 1e9, 3.0, 1e-3])
    plain, scaled = ordered(u, matrix), ordered(u * scale, matrix)
    np.testing.assert_allclose(scaled.eigenvalues, plain.eigenvalues, atol=1e-12)
    np.testing.assert_allclose(scaled.chol, scale[:, None] * plain.chol, rtol=1e-12)


def test_order_of_dependent_functions_is_not_finite(matrix):
    u = jnp.ones((ROWS, 2)).at[:, 1].set(-1.0)
    assert not all_finite(ordered(u, matrix).eigenvalues)
    assert not all_finite(jax.jit(order)(-jnp.eye(2), jnp.eye(2)).eigenvalues)


def test_all_finite():
    assert all_finite(jnp.ones(3), jnp.zeros((2, 2)))
    assert not all_finite(jnp.ones(3), jnp.array([1.0, jnp.nan]))
    assert not all_finite(jnp.array([jnp.inf]))


# --- the masked gradient


def test_the_residual_vanishes_at_eigenvectors_in_order_and_only_there(matrix):
    vectors = jnp.asarray(np.linalg.eigh(matrix)[1][:, :STATES])
    mixing = jnp.asarray(np.triu(np.random.default_rng(4).normal(size=(STATES, STATES))) + 3 * np.eye(STATES))
    for u in (vectors, vectors @ mixing):  # functions in which Gram–Schmidt finds the eigenvectors
        ordering = ordered(u, matrix)
        v = u @ ordering.inverse.T
        assert abs(masked_residual(v, matrix @ v, ordering.eigenvalues)).max() < 1e-11
    ordering = ordered(vectors[:, ::-1] + 0.1, matrix)
    v = (vectors[:, ::-1] + 0.1) @ ordering.inverse.T
    assert abs(masked_residual(v, matrix @ v, ordering.eigenvalues)).max() > 0.01


def test_the_residual_is_orthogonal_to_its_state_and_all_lower_ones(u, matrix):
    ordering = ordered(u, matrix)
    v = u @ ordering.inverse.T
    overlap = v.T @ masked_residual(v, matrix @ v, ordering.eigenvalues)
    assert np.abs(np.triu(overlap)).max() < 1e-12
    assert np.abs(overlap).max() > 0.1  # not to higher ones


def test_the_residual_is_the_masked_gradient_by_autodiff(u, matrix):
    """∂Λ_kk/∂u_k = 2 r_k/L_kk (the paper's Eq. 12), through the Cholesky factor."""
    ordering = ordered(u, matrix)
    v = u @ ordering.inverse.T
    gradients = jax.jit(jax.jacobian(lambda w: jnp.diagonal(ordered(w, matrix).eigenvalues)))(u)
    closed = 2 * masked_residual(v, matrix @ v, ordering.eigenvalues) / jnp.diagonal(ordering.chol)
    for k in range(STATES):
        gradient = gradients[k]
        np.testing.assert_allclose(closed[:, k], gradient[:, k], rtol=0, atol=1e-11)
        assert np.abs(gradient[:, k + 1 :]).max(initial=0.0) < 1e-12  # no higher state matters


def test_following_the_masked_gradient_finds_the_lowest_eigenvectors_in_order():
    a = np.random.default_rng(5).normal(size=(5, 5))
    matrix = jnp.asarray(a + a.T)

    @jax.jit
    def step(u):
        ordering = ordered(u, matrix)
        v = u @ ordering.inverse.T
        return v - 0.1 * masked_residual(v, matrix @ v, ordering.eigenvalues)

    u = jnp.asarray(np.random.default_rng(6).normal(size=(5, 3)))
    for _ in range(600):  # the slowest gap shrinks its error by at least 1 - 0.1 gap a step
        u = step(u)
    energies = np.linalg.eigvalsh(matrix)
    assert np.diff(energies).min() > 0.4
    np.testing.assert_allclose(jnp.diagonal(ordered(u, matrix).eigenvalues), energies[:3], atol=1e-9)


def test_orthogonalise_upwards_removes_lower_states_and_spares_them(u):
    rng = np.random.default_rng(7)
    weights = jnp.asarray(rng.uniform(0.1, 2.0, ROWS))
    f = jnp.asarray(rng.normal(size=(ROWS, STATES)))
    orthogonalise = jax.jit(orthogonalise_upwards)
    result = orthogonalise(f, u, weights)
    overlap = moment(u, result, weights)
    assert np.abs(np.triu(overlap)).max() < 1e-12
    assert np.abs(overlap).max() > 0.1
    # Higher v's change nothing below, and what was removed lies in the span of v_1 … v_k.
    other = orthogonalise(f, u.at[:, 3:].add(1.0), weights)
    np.testing.assert_allclose(other[:, :3], result[:, :3], atol=1e-12)
    for k in range(STATES):
        left = np.linalg.lstsq(u[:, : k + 1], (f - result)[:, k], rcond=None)[1]
        assert left < 1e-20
    np.testing.assert_allclose(orthogonalise(result, u, weights), result, atol=1e-12)


# --- Rayleigh–Ritz


def pencil(n=6, seed=8):
    a, b = np.random.default_rng(seed).normal(size=(2, n, n))
    return b @ b.T + 0.1 * np.eye(n), a + a.T


def test_rayleigh_ritz_is_scipys_generalised_eigenproblem():
    sigma, pi = pencil()
    expected = scipy.linalg.eigh(pi, sigma, eigvals_only=True)
    energies, coefficients = rayleigh_ritz(sigma, pi)
    np.testing.assert_allclose(energies, expected, atol=1e-11 * np.abs(expected).max())
    np.testing.assert_allclose(coefficients.T @ sigma @ coefficients, np.eye(6), atol=1e-11)
    np.testing.assert_allclose(coefficients.T @ pi @ coefficients, np.diag(energies), atol=1e-10)
    few, vectors = rayleigh_ritz(sigma, pi, n_states=2)
    np.testing.assert_allclose(few, expected[:2], atol=1e-11 * np.abs(expected).max())
    assert vectors.shape == (6, 2)


def test_rayleigh_ritz_uses_the_symmetric_parts_alone():
    sigma, pi = pencil()
    twist = np.triu(np.ones((6, 6)), 1) - np.tril(np.ones((6, 6)), -1)
    np.testing.assert_allclose(rayleigh_ritz(sigma, pi + twist)[0], rayleigh_ritz(sigma, pi)[0], atol=1e-11)


def test_rayleigh_ritz_does_not_care_about_the_functions_norms():
    sigma, pi = pencil()
    scale = 10.0 ** np.array([-9, 0, 4, -3, 7, 1])
    energies, coefficients = rayleigh_ritz(sigma, pi)
    scaled, scaled_coefficients = rayleigh_ritz(scale[:, None] * sigma * scale, scale[:, None] * pi * scale)
    np.testing.assert_allclose(scaled, energies, atol=1e-10)
    back = scaled_coefficients * scale[:, None]
    np.testing.assert_allclose(back * np.sign(back[0] * coefficients[0]), coefficients, atol=1e-9)


def test_a_function_too_many_is_left_out():
    """A copy, a sum and a zero function add nothing to the space."""
    sigma, pi = pencil(4)
    extend = np.vstack([np.eye(4), [1, 0, 0, 0], [1, 2, -1, 0], [0, 0, 0, 0]])
    energies, coefficients = rayleigh_ritz(extend @ sigma @ extend.T, extend @ pi @ extend.T, n_states=4)
    np.testing.assert_allclose(energies, rayleigh_ritz(sigma, pi)[0], atol=1e-9)
    assert coefficients.shape == (7, 4)


def test_dependent_functions_are_refused_with_how_many_are_not():
    sigma, pi = pencil(3)
    extend = np.vstack([np.eye(3), [1, 1, 1]])
    with pytest.raises(ValueError, match="only 3 of the functions are independent, 4 are needed"):
        rayleigh_ritz(extend @ sigma @ extend.T, extend @ pi @ extend.T)


def test_ritz_values_lie_above_the_eigenvalues(u, matrix):
    energies, _ = rayleigh_ritz(np.asarray(u.T @ u), np.asarray(u.T @ matrix @ u))
    assert (energies >= np.linalg.eigvalsh(matrix)[:STATES] - 1e-12).all()


# --- angles between subspaces


def test_principal_angles_of_planes_in_space():
    x, y, z = np.eye(3)
    first = np.stack([x, y], axis=1)
    second = np.stack([np.cos(0.3) * y + np.sin(0.3) * z, x], axis=1)
    # arccos near 1 is good to √(2 eps) only.
    np.testing.assert_allclose(principal_angles(first.T @ second), [0.0, 0.3], atol=2 * np.sqrt(2 * EPS))
    np.testing.assert_allclose(principal_angles(first.T @ z[:, None]), [np.pi / 2], atol=1e-15)
    assert principal_angles(first.T @ x[:, None]).shape == (1,)


def test_principal_angles_do_not_depend_on_the_basis():
    rng = np.random.default_rng(9)
    a, b = (np.linalg.qr(rng.normal(size=(8, 3)))[0] for _ in range(2))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    angles = principal_angles(a.T @ b)
    np.testing.assert_allclose(principal_angles((a @ turn).T @ b), angles, atol=1e-12)
    np.testing.assert_allclose(angles, np.sort(scipy.linalg.subspace_angles(a, b)), atol=1e-12)
