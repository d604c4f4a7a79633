"""Energies, errors and residuals of functions whose true values are known."""

import json
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.spin.evaluate import VariationalFunctions, check_above_potential, evaluate
from qspin.methods.spin.networks import NETWORKS, BlockSparseMLP, Network, softplus
from qspin.methods.spin.wavefunction import Wavefunction, WavefunctionParams
from qspin.numerics import precision
from qspin.problem.sampling import QuasiRandom, Stratified, Uniform
from qspin.spectrum.eigenfunctions import recorded, restored

RING = qspin.Box([0.0], [1.0], periodic=True)
LEVELS = (2 * np.pi) ** 2 / 2 * np.array([0.0, 1.0, 1.0, 4.0, 4.0])  # of 1, cos, sin, cos 2·, sin 2·
FREE = qspin.Problem(qspin.Kinetic(), RING, exact=qspin.exact.ring(1.0))


@dataclass(frozen=True)
class Waves(Network):
    """Exact eigenfunctions on a ring, mixed: outputs = params (N, 5) @ (1, cos, sin, cos 2·, sin 2·)."""

    shown: tuple[int, ...] = (0, 1, 2, 3, 4)  # hidden functions, for the larger space

    def init(self, key, n_inputs, n_outputs, dtype=jnp.float32):
        return jnp.eye(n_outputs, 5, dtype=dtype)

    def _waves(self, z):
        c, s = z
        return jnp.stack([jnp.ones_like(c), c, s, c**2 - s**2, 2 * c * s])

    def hidden_activations(self, params, z):
        return self._waves(z)[None, np.array(self.shown)]

    def __call__(self, params, z):
        return params @ self._waves(z)


def evaluated(mixing, network=None, problem=FREE, sampler=None, seed=0, **options):
    mixing = np.asarray(mixing, float)
    wavefunction = Wavefunction(Waves() if network is None else network, problem.domain, len(mixing))
    params = WavefunctionParams(mixing, np.zeros(len(mixing)))
    sampler = QuasiRandom() if sampler is None else sampler
    return evaluate(problem, wavefunction, params, sampler, 1024, seed=seed, **options)


# --- exact eigenfunctions


def test_an_eigenfunction_has_its_energy_to_rounding_on_any_points():
    """Zero variance: Hu = E u at every point, so Π = E Σ on any of them."""
    found = evaluated([[0, 0, 0, 3.0, 4.0]], sampler=Uniform())
    rounding = 1e3 * np.finfo(float).eps * LEVELS[3]
    assert found.energies[0] == pytest.approx(LEVELS[3], abs=rounding)
    assert found.statistical[0] < rounding
    assert found.residuals[0] < np.sqrt(rounding * LEVELS[3])  # ‖Hψ‖² - E² loses half the digits
    assert found.variational[0] > 0  # of one function with one node in a space with the constant


def test_mixed_eigenfunctions_are_sorted_out():
    """To second order in what the Gram matrix is off, here 1/(2 · 1024 · ‖kα‖) < 5e-3 for waves k ≤ 4."""
    found = evaluated(np.random.default_rng(0).normal(size=(5, 5)))
    np.testing.assert_allclose(found.energies, LEVELS, rtol=0, atol=LEVELS[-1] * 5e-3**2)
    np.testing.assert_array_less(found.residuals, LEVELS[-1] * 5e-3)
    assert found.energies.shape == found.errors.shape == found.residuals.shape == (5,)


def test_the_functions_are_orthonormal():
    mixing = np.random.default_rng(1).normal(size=(3, 3)) @ np.eye(3, 5)
    functions = evaluated(mixing).functions
    x = (np.arange(64) + 0.5) / 64  # exact for waves of fewer than 32 nodes
    psi = functions(x[:, None])
    np.testing.assert_allclose(psi.T @ psi / 64, np.eye(3), atol=5e-3)  # as above, to first order
    np.testing.assert_allclose(np.abs(psi[:, 0]), 1, atol=5e-3)
    assert abs(np.sign(psi[:, 0]).sum()) == 64  # no node; which sign, `solve` decides


def functions_of(mixing):
    params = WavefunctionParams(mixing, np.zeros(len(mixing)))
    wavefunction = Wavefunction(Waves(), RING, len(mixing))
    return VariationalFunctions(wavefunction, params, np.eye(len(mixing)), QuasiRandom())


def test_the_image_of_an_operator_at_the_quadratures_points():
    functions = functions_of(np.eye(5))
    points, weights = functions.quadrature()
    psi = functions(points)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(functions.image(qspin.Kinetic()), psi * LEVELS, atol=1e-11)
    np.testing.assert_allclose(
        functions.image(qspin.Potential(lambda x: x[0] ** 2)), psi * points**2, atol=1e-14
    )
    coarse = qspin.Kinetic(laplacian=qspin.finite_difference(0.3))
    np.testing.assert_array_equal(functions.image(coarse), functions.image(qspin.Kinetic()))


# --- functions that are not eigenfunctions


def test_the_variational_error_is_the_fall_in_a_larger_space():
    """u = cos + a cos 2·: E = (E₁ + a² E₂)/(1 + a²), which falls to E₁ when both may mix."""
    a = 0.2
    energy = (LEVELS[1] + a**2 * LEVELS[3]) / (1 + a**2)
    found = evaluated([[0, 1, 0, a, 0]], Waves(shown=(1, 3)))
    assert found.energies[0] == pytest.approx(energy, abs=5 * found.statistical[0] + 1e-9)
    assert found.variational[0] == pytest.approx(energy - LEVELS[1], abs=5 * found.statistical[0] + 1e-6)
    spread = a / (1 + a**2) * (LEVELS[3] - LEVELS[1])  # ‖Hψ - Eψ‖ of two levels
    assert found.residuals[0] == pytest.approx(spread, rel=1e-2)
    np.testing.assert_allclose(found.errors, np.hypot(found.statistical, found.variational))


def test_the_statistical_error_is_the_scatter_of_energies():
    """Four energies by independent points: mean square of deviation/claim near one."""
    a = 0.5
    energy = (LEVELS[1] + a**2 * LEVELS[3]) / (1 + a**2)
    mixing = [[0, 1, 0, a, 0], [0, 0, 1, 0, a]]
    z = []
    for seed in range(2):
        found = evaluated(mixing, sampler=Uniform(), seed=seed)
        z += list((found.energies - energy) / found.statistical)
    assert 1 / 10 < np.mean(np.square(z)) < 4  # χ² of 4 is outside with a probability of 1 %
    assert np.abs(z).max() < 5


@pytest.fixture(scope="module")
def short_trainings():
    """Stopped early, so that the errors show."""
    problem = qspin.Problem(
        qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(omega=1.0)),
        qspin.Box.cube(6.0, dim=1),
        exact=qspin.exact.harmonic(1.0, dim=1),
    )
    runs = []
    run = qspin.SpIN(
        steps=500, batch_size=64, network=qspin.SeparateMLPs((12, 12)), evaluation_points=16_384
    ).bind(problem, 4)
    for seed in (0, 1):
        state = run.init(seed)
        while int(state.step) < run.steps:
            state, _ = run.advance(state)
        runs.append(run.finish(state, {}))
    return runs, np.arange(4) + 0.5


@pytest.mark.slow
def test_errors_are_honest(short_trainings):
    """At least nine in ten of the energies within three claimed errors, and no claim of nothing."""
    runs, exact = short_trainings
    off = np.stack([np.abs(s.energies - exact) for s in runs])
    errors = np.stack([s.errors for s in runs])
    assert (off <= 3 * errors).mean() >= 0.9
    assert off.max() > 1e-4  # there was something to claim
    assert np.median(errors / off) < 10  # and not by claiming everything


@pytest.mark.slow
def test_energies_are_variational_and_residuals_bound_them(short_trainings):
    runs, exact = short_trainings
    for spectrum in runs:
        statistical = np.asarray(spectrum.provenance["statistical_errors"])
        assert (spectrum.energies >= exact - 3 * statistical).all()
        distance = np.abs(spectrum.energies[:, None] - (np.arange(30) + 0.5)).min(1)
        assert (distance <= spectrum.residuals + 3 * statistical).all()


def test_energies_are_those_of_exact_derivatives_whatever_training_used():
    coarse = qspin.Problem(qspin.Kinetic(laplacian=qspin.finite_difference(0.3)), RING)
    mixing = [[1, 0.3, 0, 0.1, 0], [0, 1, 0.2, 0, 0.3]]
    found, expected = evaluated(mixing, problem=coarse), evaluated(mixing)
    np.testing.assert_array_equal(found.energies, expected.energies)
    np.testing.assert_array_equal(found.residuals, expected.residuals)
    exact = evaluated(np.eye(2, 5), problem=coarse).energies
    # Differences would give (1 - cos 2πh)/h² = 14.5 for the second.
    np.testing.assert_allclose(exact, LEVELS[:2], atol=LEVELS[1] * 5e-3**2)


# --- precision, points, failures


def test_computed_in_float64_whatever_the_parameters_are_on_points_of_the_seed():
    mixing = np.asarray([[1, 0.3, 0, 0.1, 0]], np.float32)
    before = jax.config.jax_enable_x64
    with precision.precision("float32"):
        found = evaluated(mixing)
    assert found.energies.dtype == np.float64
    assert found.functions(np.zeros((1, 1))).dtype == np.float64
    same, other = (evaluated(mixing.astype(float), seed=seed).energies for seed in (0, 1))
    assert found.energies == same != other
    assert jax.config.jax_enable_x64 == before


@pytest.mark.parametrize("n", [0, 5, 1025])
def test_any_number_of_points(n):
    mixing = np.random.default_rng(2).normal(size=(2, 5))
    functions = functions_of(mixing)
    x = np.random.default_rng(3).uniform(size=(n, 1))
    angle = np.pi * (2 * x[:, 0] - 1)
    waves = [np.ones(n), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)]
    np.testing.assert_allclose(functions(x), np.stack(waves, 1) @ mixing.T, atol=1e-13)
    assert functions.n_states == 2
    assert functions.dim == 1


def test_dependent_functions_are_refused():
    with pytest.raises(ValueError, match="independent"):
        evaluated([[1, 2, 0, 0, 0], [2, 4, 0, 0, 0]])


def test_an_energy_below_the_potential_is_refused():
    """No state has one: it is what noise in the integrals looks like, such as that of a training that collapsed."""
    functions = functions_of(np.eye(2, 5))
    check_above_potential(FREE, LEVELS[:2], functions)
    with pytest.raises(ValueError, match=r"-1, lies below the least value of V, 0: .*Try a larger batch"):
        check_above_potential(FREE, np.array([-1.0, 0.5]), functions)


def test_functions_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"not finite.*Try"):
        evaluated([[np.nan, 0, 0, 0, 0]])


# --- files


def test_a_network_of_ones_own_is_restored_where_it_is_registered_and_refused_where_not(monkeypatch):
    functions = VariationalFunctions(
        Wavefunction(Waves((0, 2)), FREE.domain, 2),
        WavefunctionParams(np.ones((2, 5)), np.zeros(2)),
        np.eye(2),
        Stratified(),
    )
    with pytest.raises(
        ValueError, match=r'the network Waves is not a registered dataclass.*@NETWORKS\("Waves"\)'
    ):
        recorded(functions)
    monkeypatch.setattr(NETWORKS, "_entries", {**NETWORKS._entries, "waves": Waves})
    settings, arrays = recorded(functions)
    again = restored(json.loads(json.dumps(settings)), arrays, FREE.domain)
    assert again.wavefunction == functions.wavefunction and again.sampler == functions.sampler
    points = np.linspace(0, 1, 7)[:, None]
    np.testing.assert_array_equal(again(points), functions(points))


@pytest.mark.parametrize(("activation", "fits"), [(jnp.tanh, True), (softplus, True), (lambda z: z, False)])
def test_activations_are_restored_by_name_or_refused(activation, fits):
    wavefunction = Wavefunction(BlockSparseMLP((4,), activation), FREE.domain, 2)
    params = jax.tree.map(
        lambda leaf: np.ones(leaf.shape), jax.eval_shape(wavefunction.init, jax.random.key(0))
    )
    functions = VariationalFunctions(wavefunction, params, np.eye(2), QuasiRandom())
    if fits:
        assert restored(*recorded(functions), FREE.domain).wavefunction == wavefunction
    else:
        with pytest.raises(ValueError, match=r"must be a function of jax\.numpy"):
            recorded(functions)
