"""`SampledRitz` in four and more dimensions, against closed forms: what references solve outright, and what is trained."""

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.sampled.driver import SampledRitz
from qspin.methods.sampled.evaluation import Moments, solve_pencil


def oscillators(dim: int, seed: int = 0) -> tuple[qspin.Problem, np.ndarray]:
    """Coupled oscillators, turned at random; their normal frequencies."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    omega = np.sqrt(np.arange(1, dim + 1) / 2)
    matrix = 0.1 * np.sqrt(np.outer(omega, omega))
    matrix[np.diag_indices(dim)] = omega**2
    matrix = turn.T @ matrix @ turn
    v = qspin.Potential(lambda x: 0.5 * x @ jnp.asarray(matrix) @ x)
    return qspin.Problem(qspin.Kinetic() + v, qspin.Space(dim)), np.sqrt(np.linalg.eigvalsh(matrix))


def test_ritz_takes_it_past_three_dimensions() -> None:
    """Normal coordinates solve coupled oscillators: no training, energies to rounding, and provenance says who."""
    problem, frequencies = oscillators(5)
    spectrum = qspin.solve(problem, 6)
    exact = qspin.exact.coupled_oscillators(np.diag(frequencies**2))(6)
    assert spectrum.energies == pytest.approx(exact, rel=1e-9)
    assert spectrum.converged.all() and (np.abs(spectrum.energies - exact) <= spectrum.errors + 1e-11).all()
    assert spectrum.provenance["method"].startswith("SampledRitz(")
    assert isinstance(spectrum.domain, qspin.Box)


@pytest.mark.slow
def test_training_does_what_normal_coordinates_would(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """In the user's own axes the reference is 1e-2 off; a short training leaves 1e-4, inside what is claimed. Functions are
    orthonormal, saved and loaded."""
    problem, frequencies = oscillators(4)
    exact = qspin.exact.coupled_oscillators(np.diag(frequencies**2))(5)
    plain = qspin.solve(problem, 5, SampledRitz(normal_coordinates=False, steps=0, evaluation_points=8192))
    small = SampledRitz(
        normal_coordinates=False, steps=80, batch_size=512, widths=(16,), evaluation_points=65536
    )
    trained = qspin.solve(problem, 5, small)
    before, after = (np.abs(s.energies / exact - 1).max() for s in (plain, trained))
    assert before > 1e-3 and after < 1e-4 and after < before / 30
    assert np.mean(np.abs(trained.energies - exact) <= 2 * trained.errors) >= 0.8
    assert trained.history["residuals"].shape == (80, 5)
    points, weights = trained.eigenfunctions.quadrature()
    psi = trained(points)
    assert np.abs((psi * weights[:, None]).T @ psi - np.eye(5)).max() < 0.1
    path = trained.save(tmp_path / "s.npz")
    again = qspin.load(path)
    assert np.allclose(again(points[:50]), psi[:50], rtol=1e-10, atol=1e-12)


def test_a_reference_that_misses_the_states_says_so() -> None:
    """States on a shell, which no Gaussian covers: nothing converges, and the status says that few points count."""
    shell = qspin.Potential(lambda x: 4 * (jnp.sum(x**2) - 100) ** 2)
    problem = qspin.Problem(qspin.Kinetic() + shell, qspin.Space(4))
    spectrum = qspin.solve(problem, 2, SampledRitz(steps=0, evaluation_points=8192))
    assert not spectrum.converged.any() and np.isinf(spectrum.errors).all()
    assert spectrum.provenance["effective_share"] < 0.01
    assert "of the sample counts: states live where the reference does not" in spectrum.status
    assert "inf" in str(spectrum)


@pytest.mark.slow
def test_both_wells_are_found() -> None:
    """A double well along a diagonal: the doublet of lowest states, one even and one odd."""
    turn = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0])

    def v(x):  # type: ignore[no-untyped-def]
        q = turn @ x
        return 0.5 * (q[0] ** 2 - 4) ** 2 + 0.5 * jnp.sum(q[1:] ** 2)

    one = qspin.Potential(lambda x: 0.5 * (x[0] ** 2 - 4) ** 2)
    levels = qspin.solve(qspin.Problem(qspin.Kinetic() + one, qspin.Box.cube(6.0, dim=1)), 2).energies + 1.5
    problem = qspin.Problem(qspin.Kinetic() + qspin.Potential(v), qspin.Box.cube(9.0, dim=4))
    spectrum = qspin.solve(
        problem, 2, SampledRitz(steps=50, batch_size=512, widths=(16,), evaluation_points=32768)
    )
    assert len(spectrum.provenance["wells"]) == 2
    assert spectrum.energies == pytest.approx(levels, abs=3e-3)
    psi = spectrum(np.stack([np.asarray(turn).T @ [s * 1.9, 0, 0, 0] for s in (1, -1)]))
    assert np.sign(psi[0] * psi[1]).tolist() == [1, -1]


def test_walls_and_circles() -> None:
    """Sines between walls and plane waves on a circle are the reference: exact, and nothing to train."""
    box = qspin.Box([0.0] * 3 + [-1.0], [1.0] * 3 + [1.0], periodic=[False] * 3 + [True])
    problem = qspin.Problem(qspin.Kinetic(mass=0.5), box)
    spectrum = qspin.solve(problem, 6)
    sums = np.pi**2 * np.array([3, 4, 4, 6, 6, 6])
    assert spectrum.energies == pytest.approx(sums, rel=1e-9)
    assert spectrum.converged.all() and (spectrum.errors < 1e-9).all()
    assert len(spectrum.history) == 0


def test_exact_degenerate_levels_claim_no_error() -> None:
    """Residuals of rounding, some of them zero, in a fivefold level: no gap of rounding makes an error of them."""
    cube = qspin.Problem(qspin.Kinetic(mass=0.5), qspin.Box([0.0] * 5, [1.0] * 5))
    spectrum = qspin.solve(cube, 6, SampledRitz(evaluation_points=131072))
    assert (spectrum.errors < 1e-9).all() and spectrum.converged.all()


def test_training_that_collapses_is_given_up() -> None:
    """Parameters that put the functions where no points are: the states are those of the reference, with a note."""
    problem = qspin.Problem(
        qspin.Kinetic() + qspin.Potential(lambda x: 0.5 * jnp.sum(x**2)), qspin.Box.cube(8.0, dim=4)
    )
    method = SampledRitz(steps=10, evaluation_points=4096, widths=(4,))
    run = method.bind(problem, 2)
    state = run.init(0)
    wild = [[*layers, (0.48 * np.eye(4), forms[1])] for *layers, forms in state.mean]
    spectrum = run.finish(state._replace(mean=wild, step=state.step + 1), {})
    assert spectrum.energies == pytest.approx([2.0, 3.0], abs=1e-6) and not spectrum.converged.any()
    assert spectrum.notes[0].kind == "training"


def test_bad_input() -> None:
    problem, _ = oscillators(4)
    with pytest.raises(ValueError, match="needs as many features"):
        qspin.solve(problem, 8, SampledRitz(n_features=4))
    with pytest.raises(ValueError, match="needs batch_size = 400"):
        qspin.solve(problem, 100, SampledRitz(batch_size=128))
    for settings in (
        {"tolerance": 2.0},
        {"steps": -1},
        {"averaging": 0.0},
        {"widths": ()},
        {"batch_size": 3},
    ):
        with pytest.raises(ValueError, match="SampledRitz"):
            SampledRitz(**settings)
    nan = qspin.Potential(lambda x: jnp.where(x[0] > 4, jnp.nan, jnp.sum(x**2)))
    with pytest.raises(ValueError, match="V is nan at x"):
        qspin.solve(qspin.Problem(qspin.Kinetic() + nan, qspin.Box.cube(9.0, dim=4)), 2)
    falling = qspin.Problem(
        qspin.Kinetic() + qspin.Potential(lambda x: -jnp.sum(x**4)), qspin.Box.cube(9.0, dim=4)
    )
    with pytest.raises(ValueError, match="V falls without bound, or to the walls"):
        qspin.solve(falling, 2)
    ball = qspin.Region(lambda x: 1 - jnp.sum(x**2), qspin.Box.cube(1.0, dim=4))
    with pytest.raises(ValueError, match="not of a Region"):
        qspin.solve(qspin.Problem(qspin.Kinetic(), ball), 2, SampledRitz())
    centred = qspin.Potential(lambda x: -1 / jnp.linalg.norm(x), singularities=[(0.0,) * 4])
    with pytest.raises(ValueError, match="no cusps"):
        SampledRitz().check(qspin.Problem(qspin.Kinetic() + centred, qspin.Box.cube(9.0, dim=4)), 2)


def test_a_pencil_with_noise_gives_its_own_error_bars() -> None:
    """Energies of a known matrix, seen through block noise: within three statistical errors; close levels may pair up."""
    rng = np.random.default_rng(0)
    energies = np.array([1.0, 2.0, 2.0 + 1e-9, 5.0])
    mix = rng.normal(size=(4, 4))
    s, p = mix @ mix.T, mix @ np.diag(energies) @ mix.T
    noise = 1e-4 * rng.normal(size=(2, 32, 4, 4))
    overlap = s + (noise[0] + noise[0].swapaxes(1, 2)) / 2
    blocks = Moments(overlap, p + noise[1], np.tile(mix @ np.diag(energies**2) @ mix.T, (32, 1, 1)))
    found, residuals, _, vectors, statistical = solve_pencil(blocks, 4)
    assert (np.abs(found - energies) < 4 * statistical + 1e-6).all()
    assert (statistical < 0.05).all() and residuals.shape == (4,)
    assert vectors.T @ overlap.mean(0) @ vectors == pytest.approx(np.eye(4), abs=1e-8)
