"""SpIN where closed forms exist: energies, errors, eigenfunctions; steps, chunks, seeds, settings."""

import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import qspin
from qspin.numerics import precision

HARMONIC = qspin.Problem(
    qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(omega=1.0)),
    qspin.Box.cube(6.0, dim=1),
    exact=qspin.exact.harmonic(1.0, dim=1),
    name="harmonic",
)
BOX = qspin.Problem(
    qspin.Kinetic(), qspin.Box([0.0], [1.0]), exact=qspin.exact.box([1.0]), name="box"
)  # walls far from zero, unlike the oscillator's
TINY = qspin.SpIN(steps=20, batch_size=32, network=qspin.SeparateMLPs((8,)), evaluation_points=1024)


def plain(a):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(a)]


# --- training


@pytest.fixture(scope="module")
def trained():
    """The box, three states, 1500 steps."""
    method = qspin.SpIN(
        steps=1500, batch_size=64, network=qspin.SeparateMLPs((16, 16)), evaluation_points=16_384
    )
    return qspin.solve(BOX, 3, method)


@pytest.fixture(scope="module")
def tiny():
    return qspin.solve(HARMONIC, 2, TINY, seed=0)


def test_energies_agree_with_the_closed_form(trained):
    spectrum = trained
    exact = spectrum.exact[:3]
    assert (np.abs(spectrum.energies - exact) <= 3 * spectrum.errors).all()
    assert (np.abs(spectrum.energies - exact) <= 0.01 * exact).all()
    assert (np.diff(spectrum.energies) > 0).all()


def test_an_eigenvalue_lies_within_the_residual_of_each_energy(trained):
    spectrum = trained
    statistical = np.asarray(spectrum.provenance["statistical_errors"])
    distance = np.abs(spectrum.energies[:, None] - spectrum.exact).min(1)
    assert (spectrum.residuals > 0).all()
    assert (distance <= spectrum.residuals + 3 * statistical).all()


def test_the_eigenfunctions_are_orthonormal_on_independent_points(trained):
    """To five standard errors of a plain Monte Carlo mean."""
    spectrum = trained
    n = 100_000
    low, volume = spectrum.domain.lower[0], spectrum.domain.volume
    psi = spectrum(low + volume * np.random.default_rng(5).uniform(size=(n, 1)))
    products = volume * psi[:, :, None] * psi[:, None, :]
    assert (np.abs(products.mean(0) - np.eye(3)) <= 5 * products.std(0) / np.sqrt(n)).all()


def test_the_eigenfunctions_are_those_of_the_box(trained):
    """sin(angle) ≤ residual / distance from E to the other levels (Davis and Kahan 1970)."""
    spectrum = trained
    t, w = np.polynomial.legendre.leggauss(200)
    x = (1 + t) / 2
    exact = np.sqrt(2) * np.sin(np.pi * np.arange(1, 4) * x[:, None])
    overlap = np.diagonal((spectrum(x[:, None]) * w[:, None] / 2).T @ exact)
    for k in range(3):
        gap = np.abs(np.delete(spectrum.exact, k) - spectrum.energies[k]).min()
        bound = spectrum.residuals[k] / gap
        assert bound < 1
        assert (
            np.sqrt(max(1 - overlap[k] ** 2, 0)) <= bound + 1e-3
        )  # and what normalisation by sampling is off


def test_zero_on_the_walls_and_beyond(trained):
    spectrum = trained
    low, high = spectrum.domain.lower[0], spectrum.domain.upper[0]
    np.testing.assert_array_equal(spectrum([[low - 0.5], [low], [high], [high + 0.5]]), np.zeros((4, 3)))
    assert (np.abs(spectrum([[0.3 * low + 0.7 * high]])) > 1e-3).all()


def test_the_expected_hamiltonian_is_the_energy(trained):
    """On other points than the energies came from: to three statistical errors of either."""
    spectrum = trained
    statistical = np.asarray(spectrum.provenance["statistical_errors"])
    # The quadrature of `expect` has twice the evaluation's points.
    expected = spectrum.expect(BOX.hamiltonian)
    assert (np.abs(expected - spectrum.energies) <= 6 * statistical + 1e-9).all()


def test_what_a_spectrum_says_of_itself(trained, tiny):
    spectrum = trained
    assert spectrum.method == "spin"
    assert spectrum.name == "box"
    assert spectrum.converged.all()
    assert "converged" in spectrum.status
    assert {"seed", "seconds", "jax", "device", "method", "precision"} <= set(spectrum.provenance)
    assert not tiny.converged.any()
    assert "Try more steps (steps=40)" in tiny.status


def test_one_seed_gives_the_same_numbers_to_the_last_bit_and_another_does_not(tiny):
    run = TINY.bind(HARMONIC, 2)
    state = run.init(0)
    while int(state.step) < run.steps:
        state, _ = run.advance(state)
    again = run.finish(state, {})
    for name in ("energies", "errors", "residuals"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tiny, name))
    assert (run.advance(run.init(1))[1]["energies"][0] != tiny.history["energies"][0]).all()


def test_history(tiny):
    assert {"step", "seconds", "energies", "gradient_norm", "condition"} == set(tiny.history)
    np.testing.assert_array_equal(tiny.history["step"], np.arange(1, 21))
    assert {len(values) for values in tiny.history.values()} == {20}
    assert tiny.history["energies"].shape == (20, 2)
    assert (np.diff(tiny.history["seconds"]) >= 0).all()
    assert (tiny.history["condition"] >= 1 - 1e-5).all()  # float32
    assert (tiny.history["gradient_norm"] > 0).all()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"network": qspin.BlockSparseMLP((16, 16), jnp.tanh)}, marks=pytest.mark.slow),
        {
            "network": qspin.MLP((16, 16)),
            "estimator": qspin.AveragedJacobian(),
            "optimizer": optax.adam(1e-3),
            "averaging": 1.0,
        },
    ],
    ids=["block-sparse", "mlp and jacobian"],
)
def test_other_networks_and_the_papers_estimator_lower_the_energies(settings):
    """The excess over the exact sum falls to less than a half of what the first batch showed; the mean of the last running
    energies stands for the evaluation."""
    run = qspin.SpIN(steps=300, batch_size=64, **settings).bind(BOX, 2)
    state, sums = run.init(0), []
    while int(state.step) < run.steps:
        state, info = run.advance(state)
        sums.extend(info["energies"].sum(1) - BOX.exact(2).sum())
    assert np.mean(sums[-50:]) < sums[0] / 2


def final(method, problem=HARMONIC, n_states=2, seed=0):
    """The state after training, and how many steps each chunk reported."""
    run = method.bind(problem, n_states)
    state, counts = run.init(seed), []
    while int(state.step) < run.steps:
        state, info = run.advance(state)
        counts.append(len(info["ok"]))
        assert {len(values) for values in info.values()} == {counts[-1]}
    return state, counts


def test_steps_that_no_chunk_divides():
    """1234 = 49 × 25 + 9; the surplus of the last chunk leaves the optimizer's own counter alone too.

    Any optax optimizer will do, here a chain.
    """
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.constant_schedule(1e-3)))
    method = dataclasses.replace(TINY, steps=1234, batch_size=4, optimizer=optimizer)
    state, counts = final(method)
    assert sum(counts) == 1234
    assert counts[-1] < counts[0]
    assert int(state.step) == int(state.optimizer[1][0].count) == 1234
    assert all(np.isfinite(leaf).all() for leaf in plain(state.params))


def test_chunks_do_the_same_as_single_steps():
    method = dataclasses.replace(TINY, steps=51, dtype="float64", optimizer=optax.adam(1e-3))
    chunked, counts = final(method)
    assert counts[-1] == 1 < counts[0]
    with precision.double_precision():
        wavefunction = method.wavefunction(HARMONIC, 2)
        step = jax.jit(lambda state: method.step(HARMONIC, wavefunction, state)[0])
        state = method.init(HARMONIC, 2, seed=0)
        for _ in range(51):
            state = step(state)
    for a, b in zip(plain(chunked.params), plain(state.params), strict=True):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)  # rounding, through 51 steps of Adam


# --- bad input


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"averaging": 0.0}, ValueError, r"averaging .* must be in \(0, 1\]"),
        ({"averaging": 1.5}, ValueError, "1 means no averaging"),
        ({"averaging": float("nan")}, ValueError, r"averaging .* must be in \(0, 1\]"),
        ({"averaging": "a"}, TypeError, "averaging .* must be a real number"),
        ({"tolerance": "a"}, TypeError, "tolerance must be a real number"),
        ({"tolerance": 0.0}, ValueError, "tolerance must be positive"),
        ({"steps": -1}, ValueError, "steps must be an integer of at least 0, got -1"),
        ({"steps": 1.5}, ValueError, "steps must be an integer"),
        ({"steps": True}, ValueError, "steps must be an integer"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"evaluation_points": 0}, ValueError, "evaluation_points"),
        ({"dtype": "int32"}, ValueError, "float32 or float64"),
        ({"network": "mlp"}, TypeError, "network must be a Network"),
        ({"estimator": qspin.AveragedJacobian}, TypeError, "estimator must be"),
        ({"sampler": "uniform"}, TypeError, "sampler must be"),
        ({"optimizer": 1e-3}, TypeError, "optimizer must be an optax optimizer"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        qspin.SpIN(**settings)


def test_a_batch_too_small_to_tell_the_states_apart():
    with pytest.raises(ValueError, match="batch_size=9, n_states=5"):
        qspin.SpIN(batch_size=9).check(HARMONIC, 5)
    qspin.SpIN(batch_size=10).check(HARMONIC, 5)


def test_settings_are_frozen_and_can_be_pickled():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TINY.steps = 5
    assert pickle.loads(pickle.dumps(TINY)) == TINY


class FourOutputs(qspin.methods.spin.networks.Network):
    """A network of the user's own, which takes no notice of how many outputs are asked for."""

    def init(self, key, n_inputs, n_outputs, dtype=jnp.float32):
        return jax.random.normal(key, (n_inputs, 4), dtype)

    def hidden_activations(self, params, z):
        return jnp.tanh(z)[None]

    def __call__(self, params, z):
        return jnp.tanh(z @ params)


def test_more_states_than_network_outputs():
    method = dataclasses.replace(TINY, network=FourOutputs())
    with pytest.raises(ValueError, match=r"outputs of shape \(4,\), but n_states=5 needs \(5,\)"):
        qspin.solve(HARMONIC, 5, method)
    method.check(HARMONIC, 4)


def test_a_network_without_layers_takes_algorithm_1_by_pull_backs():
    method = dataclasses.replace(TINY, network=FourOutputs(), estimator=qspin.AveragedJacobian())
    state, _ = method.bind(HARMONIC, 4).advance(method.bind(HARMONIC, 4).init(0))
    assert [leaf.shape[0] for leaf in jax.tree.leaves(state.kept.total)] == [
        10,
        10,
    ]  # pairs i ≤ k of 4 states


def test_more_states_than_nodes():
    problem = qspin.Problem(qspin.MatrixOperator(np.eye(3)), qspin.Nodes(3))
    with pytest.raises(ValueError, match="n_states=4 is more than the 3 nodes"):
        qspin.solve(problem, 4, TINY)
