"""The masked gradient: against a naive one, without bias on minibatches, and what a lower state may feel."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import qspin
from qspin.methods.spin.estimators import Batch, jacobian_moments
from qspin.numerics import precision
from qspin.numerics.pencil import Average, moment
from qspin.numerics.points import Points

HARMONIC = qspin.Problem(
    qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(omega=1.0)),
    qspin.Box.cube(6.0, dim=1),
    name="harmonic",
)
BARE = qspin.AveragedCovariance(project=False, gauge=0.0)
TINY = qspin.SpIN(steps=20, batch_size=32, network=qspin.SeparateMLPs((8,)), evaluation_points=1024)


def plain(a):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(a)]


def known(value):
    """An average of exactly this value."""
    return Average(value, jnp.ones(()))


# --- gradients, against a Hamiltonian that is symmetric on the batch itself


@pytest.fixture
def algebra(x64):
    """(params, u of params, weights, H): 12 points, 3 states that share parameters, H = A/w with A = Aᵀ."""
    rng = np.random.default_rng(0)
    features, w = jnp.asarray(rng.normal(size=(12, 4))), jnp.asarray(rng.uniform(0.5, 2.0, 12))
    a = jnp.asarray(rng.normal(size=(12, 12)))
    params = {"inner": jnp.asarray(rng.normal(size=(4, 6))), "outer": jnp.asarray(rng.normal(size=(6, 3)))}

    def u(p):
        return jnp.tanh(features @ p["inner"]) @ p["outer"]

    return params, u, w, lambda f: (a + a.T) @ f / w[:, None]


def batch_of(algebra, rows=slice(None), weights=None):
    params, u, w, apply = algebra
    values, pullback = jax.vjp(lambda p: u(p)[rows], params)
    weights = w[rows] if weights is None else weights
    return Batch(
        Points(jnp.zeros((len(weights), 1)), weights),
        values,
        apply(u(params))[rows],
        lambda cotangent: pullback(cotangent)[0],
    )


def cotangent_of(estimator, batch, sigma, pi):
    """What the estimator sends back to u, (batch, states)."""

    def cotangent(points, u, hu, sigma, pi):
        return estimator.gradient(Batch(points, u, hu, lambda c: c), sigma, pi, None, 1.0)[0]

    return np.asarray(jax.jit(cotangent)(batch.points, batch.u, batch.hu, sigma, pi))


@pytest.mark.parametrize("estimator", [BARE, qspin.AveragedJacobian()], ids=["covariance", "jacobian"])
def test_without_averaging_the_gradient_is_that_of_the_masked_trace(algebra, estimator):
    """Σ_k ∂Λ_kk/∂u_k · ∂u_k/∂θ, with Λ = L⁻¹ΠL⁻ᵀ differentiated through the Cholesky factor."""
    params, u, w, apply = algebra

    def level(k, p):
        column = u(p)[:, k]
        values = jax.lax.stop_gradient(u(p)).at[:, k].set(column)
        chol = jnp.linalg.cholesky(moment(values, values, w))
        inverse = jnp.linalg.inv(chol)
        return (inverse @ moment(values, apply(values), w) @ inverse.T)[k, k]

    expected = jax.jit(jax.grad(lambda p: sum(level(k, p) for k in range(3))))(params)
    batch = batch_of(algebra)
    sigma, pi = (known(moment(batch.u, f, w)) for f in (batch.u, batch.hu))
    found, _, ordering = estimator.gradient(batch, sigma, pi, estimator.init(lambda: batch), 1.0)
    for k in range(3):
        assert ordering.eigenvalues[k, k] == pytest.approx(float(level(k, params)), rel=1e-10)
    for a, b in zip(plain(found), plain(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * np.abs(b).max())  # eps × condition of Σ


def test_given_the_averages_the_gradient_is_linear_in_the_batch(algebra):
    """Hence unbiased: half batches of twice the weight average to the whole."""
    w = algebra[2]
    whole = batch_of(algebra)
    sigma, pi = (known(moment(whole.u, f, w)) for f in (whole.u, whole.hu))
    parts = [batch_of(algebra, rows, 2 * w[rows]) for rows in (slice(0, 6), slice(6, 12))]
    gradients = [BARE.gradient(b, sigma, pi, None, 0.01)[0] for b in (whole, *parts)]
    for a, b, c in zip(*map(plain, gradients), strict=True):
        np.testing.assert_allclose((b + c) / 2, a, rtol=1e-9, atol=1e-10 * np.abs(a).max())


def test_the_projected_residual_has_no_share_of_this_or_a_lower_state(algebra):
    """Also where the averages come from other parameters, here those of a made-up Σ and Π."""
    rng = np.random.default_rng(1)
    m = jnp.asarray(rng.normal(size=(3, 3)))
    batch = batch_of(algebra)
    weights = batch.points.weights
    sigma, pi = known(moment(batch.u, batch.u, weights) + m @ m.T), known(m + m.T)
    lower = np.tril(np.ones((3, 3), bool))  # rows: states k, columns: u_j with j ≤ k
    overlaps = {
        project: np.asarray(
            cotangent_of(qspin.AveragedCovariance(project, 0.0), batch, sigma, pi).T @ batch.u
        )
        for project in (True, False)
    }
    size = np.abs(overlaps[False]).max()
    assert np.abs(overlaps[True][lower]).max() < 1e-11 * size
    assert np.abs(overlaps[False][lower]).max() > 1e-2 * size


@pytest.mark.parametrize("project", [True, False])
def test_at_eigenfunctions_the_gradient_vanishes_at_every_sample(x64, project):
    """u = T φ with φ_n = √2 sin nπx, T lower triangular: Σ = TTᵀ, Π = T diag(E) Tᵀ, and r = 0 pointwise."""
    n = jnp.arange(1.0, 5.0)
    energies = (jnp.pi * n) ** 2 / 2
    mixing = jnp.tril(jnp.asarray(np.random.default_rng(2).normal(size=(4, 4)))) + 2 * jnp.eye(4)
    x = jax.random.uniform(jax.random.key(0), (32, 1))
    phi = jnp.sqrt(2.0) * jnp.sin(jnp.pi * n * x)
    batch = Batch(Points(x, jnp.full(32, 1 / 32)), phi @ mixing.T, phi * energies @ mixing.T, lambda c: c)
    sigma, pi = known(mixing @ mixing.T), known(mixing * energies @ mixing.T)
    estimator = qspin.AveragedCovariance(project=project, gauge=0.0)
    cotangent = np.asarray(cotangent_of(estimator, batch, sigma, pi))
    assert np.abs(cotangent).max() < 1e-11 * float(energies[-1])  # eps × condition of T
    elsewhere = batch._replace(hu=batch.hu + x * batch.u)  # no longer eigenfunctions
    assert np.abs(cotangent_of(estimator, elsewhere, sigma, pi)).max() > 1e-3


@pytest.mark.parametrize(
    "estimator",
    [qspin.AveragedCovariance(), qspin.NeuralEF(6.0)],
    ids=["covariance", "neuralef"],
)
def test_a_lower_state_never_feels_a_higher_one(estimator):
    """Bit for bit, through five steps: other parameters of the third network leave the first two alone."""
    spin = dataclasses.replace(TINY, estimator=estimator, optimizer=optax.adam(1e-2))
    wavefunction = spin.wavefunction(HARMONIC, 3)
    step = jax.jit(lambda state: spin.step(HARMONIC, wavefunction, state)[0])

    def trained(disturbance):
        with precision.precision("float32"):
            state = spin.init(HARMONIC, 3, seed=0)
            params = jax.tree.map(lambda p: p.at[2].add(disturbance), state.params)
            state = dataclasses.replace(state, params=params)
            for _ in range(5):
                state = step(state)
            return plain(state.params)

    for a, b in zip(trained(0.0), trained(0.3), strict=True):
        np.testing.assert_array_equal(a[:2], b[:2])
        if a.ndim > 1:  # without centres, nothing depends on the decay rates
            assert not np.array_equal(a[2], b[2])


# --- minibatches: the expectation of both estimators is the gradient of Eq. 12-14, and nothing else


def kept_exactly(estimator, batch):
    """What Algorithm 1 averages, at its exact value."""
    if not isinstance(estimator, qspin.AveragedJacobian):
        return None
    return known(jacobian_moments(batch))


def assert_unbiased(samples, exact):
    """Mean of independent gradients against the exact one, component by component, in standard errors.

    Five of them, and the typical one near 1: the error bars themselves are tested too.
    """
    samples = np.concatenate([a.reshape(len(a), -1) for a in samples], axis=1)
    exact = np.concatenate([a.ravel() for a in exact])
    error = samples.std(0, ddof=1) / np.sqrt(len(samples))
    assert (error > 0).any()
    moving = error > 1e-12 * np.abs(exact).max()
    z = (samples.mean(0) - exact)[moving] / error[moving]
    assert np.abs(z).max() < 5
    assert 0.3 < np.sqrt(np.mean(z**2)) < 1.7
    np.testing.assert_allclose(samples.mean(0)[~moving], exact[~moving], atol=1e-9 * np.abs(exact).max())


@pytest.mark.parametrize("estimator", [BARE, qspin.AveragedJacobian()], ids=["covariance", "jacobian"])
def test_on_a_matrix_the_minibatch_gradient_has_no_bias(x64, estimator):
    """30 nodes, minibatches of 6: shorter than what Σ needs to be told from singular by itself."""
    rng = np.random.default_rng(3)
    a = rng.normal(size=(30, 30))
    a = jnp.asarray(a + a.T)
    features = jnp.asarray(rng.normal(size=(30, 5)))
    params = {"inner": jnp.asarray(rng.normal(size=(5, 4))), "outer": jnp.asarray(rng.normal(size=(4, 3)))}

    def u(p):
        return jnp.tanh(features @ p["inner"]) @ p["outer"]

    def batch(nodes, weights):
        values, vjp = jax.vjp(lambda p: u(p)[nodes], params)
        return Batch(
            Points(nodes[:, None].astype(float), weights), values, (a @ u(params))[nodes], lambda c: vjp(c)[0]
        )

    whole = batch(jnp.arange(30), jnp.ones(30))
    sigma, pi = (known(moment(whole.u, f, whole.points.weights)) for f in (whole.u, whole.hu))
    kept = kept_exactly(estimator, whole)

    def gradient(nodes, weights):
        return estimator.gradient(batch(nodes, weights), sigma, pi, kept, 0.0)[0]

    exact = gradient(jnp.arange(30), jnp.ones(30))
    nodes = jnp.asarray(rng.integers(0, 30, (4000, 6)))
    samples = jax.jit(jax.vmap(lambda n: gradient(n, jnp.full(6, 5.0))))(nodes)
    assert_unbiased(plain(samples), plain(exact))


def test_on_a_network_the_minibatch_gradient_has_no_bias(x64):
    """An oscillator: exact expectations by 400 Gauss-Legendre points, minibatches of 16 uniform ones."""
    spin = qspin.SpIN(
        batch_size=16, network=qspin.MLP((6,)), sampler=qspin.Uniform(), dtype="float64", adapt=False
    )
    wavefunction = spin.wavefunction(HARMONIC, 3)
    params = wavefunction.init(jax.random.key(0), float)
    t, w = np.polynomial.legendre.leggauss(400)
    everywhere = Points(jnp.asarray(6 * t[:, None]), jnp.asarray(6 * w))

    def batch(points):
        u, vjp = jax.vjp(lambda p: jax.vmap(lambda x: wavefunction(p, x))(points.x), params)
        hu = HARMONIC.hamiltonian.image(lambda x: wavefunction(params, x), points.x, None)
        return Batch(points, u, hu, lambda c: vjp(c)[0])

    whole = batch(everywhere)
    sigma, pi = (known(moment(whole.u, f, everywhere.weights)) for f in (whole.u, whole.hu))

    def gradient(points):
        return BARE.gradient(batch(points), sigma, pi, None, 0.0)[0]

    draw = jax.vmap(lambda key: spin.sampler.draw(key, 16, HARMONIC.domain))
    samples = jax.jit(jax.vmap(gradient))(draw(jax.random.split(jax.random.key(1), 4000)))
    assert_unbiased(plain(samples), plain(gradient(everywhere)))


def test_only_the_jacobian_free_estimator_is_silent_at_eigenfunctions(x64):
    """Same averages, same minibatch, exact eigenfunctions of the box: Algorithm 1's gradient is noise."""
    n, rng = jnp.arange(1.0, 4.0), np.random.default_rng(0)
    params = jnp.eye(3)
    x = jnp.asarray(rng.uniform(size=(16, 1)))
    phi = jnp.sqrt(2.0) * jnp.sin(jnp.pi * n * x)
    energies = (jnp.pi * n) ** 2 / 2
    u, vjp = jax.vjp(lambda p: phi @ p, params)
    batch = Batch(Points(x, jnp.full(16, 1 / 16)), u, u * energies, lambda c: vjp(c)[0])
    sigma, pi = known(jnp.eye(3)), known(jnp.diag(energies))
    # J_ik = E[u_i ∂u_k/∂p]: ∂u_k/∂p_mk = φ_m, so J_ik[m, k] = δ_im; of the pairs i ≤ k.
    exact = jnp.einsum("im,kl->ikml", jnp.eye(3), jnp.eye(3))[np.triu_indices(3)]
    noisy = qspin.AveragedJacobian().gradient(batch, sigma, pi, known(exact), 0.0)[0]
    silent = BARE.gradient(batch, sigma, pi, None, 0.0)[0]
    assert np.abs(silent).max() < 1e-12 * float(energies[-1])
    assert np.abs(noisy).max() > 1e-2 * float(energies[-1])


def test_nothing_grows_with_the_number_of_parameters_in_the_jacobian_free_state():
    """What is kept beside parameters and optimizer: two N × N averages, whatever the network."""

    def extra(estimator, width):
        spin = dataclasses.replace(TINY, estimator=estimator, network=qspin.SeparateMLPs((width,)))
        with precision.precision("float32"):
            state = spin.init(HARMONIC, 3, 0)
        return sum(leaf.size for leaf in plain((state.sigma, state.pi, state.kept)))

    assert extra(qspin.AveragedCovariance(), 8) == extra(qspin.AveragedCovariance(), 64) == 2 * (9 + 1)
    assert extra(qspin.AveragedJacobian(), 64) > 4 * extra(qspin.AveragedJacobian(), 8)
