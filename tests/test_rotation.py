"""Degenerate states of good quantum numbers: oscillators and others whose symmetries are known."""

import warnings
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.problem.symmetry import PointMap, angular_momentum, exchange, parity, reflection, rotation
from qspin.spectrum.eigenfunctions import Eigenfunctions, Rotated
from qspin.spectrum.spectrum import Spectrum

POINTS = np.random.default_rng(0).normal(size=(40, 2))


@pytest.fixture(scope="module")
def oscillator() -> Spectrum:
    """Isotropic in two dimensions, levels n = 0 … 3, each n + 1 times."""
    v = qspin.Potential(qspin.potentials.harmonic(omega=1.0))
    problem = qspin.Problem(
        qspin.Kinetic() + v, qspin.Box.cube(8.0, dim=2), exact=qspin.exact.harmonic(1.0, dim=2)
    )
    return qspin.solve(problem, 10, qspin.Grid(points=40))


@pytest.fixture(scope="module")
def circular(oscillator) -> Spectrum:
    return oscillator.rotate(by=angular_momentum())


class Exactly(Eigenfunctions):
    """Functions of numpy points, with few points whose weights integrate nothing well."""

    dim = n_states = None

    def __init__(self, function, domain, n_states, seed=0):
        self.function, self.domain, self.n_states, self.dim = function, domain, n_states, domain.dim
        rng = np.random.default_rng(seed)
        self.points = rng.uniform(-4, 4, (300, domain.dim))
        self.weights = rng.uniform(0.5, 1.5, 300) * 8.0**domain.dim / 300

    def __call__(self, points):
        return self.function(points)

    def quadrature(self):
        return self.points, self.weights

    def image(self, operator):
        raise AssertionError("symmetries need no derivatives")

    def record(self):
        return {"kind": "closed"}, {}


def spectrum_of(function, domain, energies):
    n = len(energies)
    return Spectrum(
        np.asarray(energies, float), np.full(n, 1e-9), np.full(n, 1e-8), np.ones(n, bool),
        Exactly(function, domain, n), domain,
    )  # fmt: skip


def atom(points):
    """1s, 2s, 2p of hydrogen, the n = 2 functions mixed by an orthogonal matrix; in three dimensions."""
    r = np.linalg.norm(points, axis=1, keepdims=True)
    second = np.hstack([2 - r, points]) * np.exp(-r / 2) / np.sqrt(32 * np.pi)
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    return np.hstack([np.exp(-r) / np.sqrt(np.pi), second @ turn])


# --- angular momentum


def test_momenta_of_the_oscillator(circular):
    """-n, -n + 2, …, n."""
    found = circular.provenance["quantum_numbers"]["L_z"]
    np.testing.assert_allclose(found, [m for n in range(4) for m in range(-n, n + 1, 2)], atol=1e-6)
    assert circular.labels[1:4] == ("L_z = -1", "L_z = +1", "L_z = -2")
    assert max(circular.provenance["leaving"]["L_z"]) < 1e-6
    assert "L_z = +3" in str(circular)


def test_eigenfunctions_of_a_turn(circular):
    """ψ at the point turned by α is exp(imα) ψ; and -i (x ∂/∂y - y ∂/∂x) ψ = m ψ by differences."""
    m = np.round(circular.provenance["quantum_numbers"]["L_z"])
    psi = circular(POINTS)
    assert psi.dtype == complex
    for angle in (0.1, 1.0, 2.5):
        np.testing.assert_allclose(
            circular(rotation(angle).moved(POINTS)), psi * np.exp(1j * m * angle), atol=1e-6
        )
    h = 1e-3
    gradient = [(circular(POINTS + h * e) - circular(POINTS - h * e)) / (2 * h) for e in np.eye(2)]
    momentum = -1j * (POINTS[:, :1] * gradient[1] - POINTS[:, 1:] * gradient[0])
    np.testing.assert_allclose(momentum, m * psi, atol=1e-5)
    np.testing.assert_allclose(circular.density([[1.0, 0.0]]), circular.density([[0.6, 0.8]]), atol=1e-7)


def test_nothing_else_changes(oscillator, circular):
    """Orthonormal, the same energies and spaces, diagonal H; opposite momenta are complex conjugates up to a phase."""
    assert oscillator(POINTS).dtype == float and oscillator.labels == ()
    np.testing.assert_allclose(circular.matrix_element(lambda x: 1.0 + 0 * x[0]), np.eye(10), atol=1e-8)
    hamiltonian = qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(omega=1.0))
    np.testing.assert_allclose(circular.matrix_element(hamiltonian), np.diag(circular.energies), atol=1e-6)
    comparison = circular.compare(oscillator)
    assert comparison.agrees.all() and comparison.angles.max() < 1e-6
    np.testing.assert_allclose(circular.errors.max(), oscillator.errors.max())
    assert circular.converged.all() and circular.residuals.max() < 1e-6
    left, right = circular(POINTS)[:, [3, 5]].T
    np.testing.assert_allclose(np.abs(np.vdot(left, right.conj())), np.vdot(left, left).real, rtol=1e-6)


def test_phases_follow_the_convention(circular):
    """Rotated once more by the same operator, nothing moves."""
    again = circular.rotate(by=angular_momentum())
    np.testing.assert_allclose(again(POINTS), circular(POINTS), atol=1e-6)
    assert isinstance(again.eigenfunctions, Rotated)
    assert not isinstance(again.eigenfunctions.functions, Rotated)


def test_rotated_spectra_are_saved(circular, tmp_path):
    loaded = qspin.load(circular.save(tmp_path / "s.npz"))
    np.testing.assert_array_equal(loaded(POINTS), circular(POINTS))
    assert str(loaded) == str(circular)
    kinetic = qspin.Kinetic()
    np.testing.assert_allclose(loaded.expect(kinetic), circular.expect(kinetic), rtol=1e-12)
    np.testing.assert_allclose(loaded.expect(kinetic).real, circular.energies / 2, atol=1e-6)


def test_an_atom_by_parity_and_momentum():
    """n = 2 falls into 2s and 2p of m = -1, 0, 1 by two operators, whatever the points are; and so about each axis."""
    spectrum = spectrum_of(atom, qspin.Box.cube(30.0, dim=3), [-0.5, *[-0.125] * 4])
    for plane, name, axis in [((0, 1), "L_z", 2), ((1, 2), "L_x", 0), ((2, 0), "L_y", 1)]:
        found = spectrum.rotate(by=[parity(), angular_momentum(plane)])
        assert list(found.labels) == [
            f"parity = {p}, {name} = {m}"
            for p, m in [("+1", 0), ("-1", "-1"), ("-1", 0), ("-1", "+1"), ("+1", 0)]
        ]
        points = np.random.default_rng(1).normal(size=(50, 3))
        p_state = found(points)[:, 2]
        expected = points[:, axis] * np.exp(-np.linalg.norm(points, axis=1) / 2) / np.sqrt(32 * np.pi)
        np.testing.assert_allclose(p_state * np.sign(np.real(p_state @ expected)), expected, atol=1e-9)


def test_about_another_centre():
    def shifted(points):
        x = points - [1.0, -0.5]
        return x * np.exp(-0.5 * (x**2).sum(1, keepdims=True)) * np.sqrt(2 / np.pi)

    spectrum = spectrum_of(shifted, qspin.Box.cube(9.0, dim=2), [2.0, 2.0])
    found = spectrum.rotate(by=angular_momentum(centre=(1.0, -0.5)))
    np.testing.assert_allclose(found.provenance["quantum_numbers"]["L_z"], [-1, 1], atol=1e-9)
    with pytest.warns(UserWarning, match=r"L_z leads states 0, 1 out of their degenerate level.*centre"):
        spectrum.rotate(by=angular_momentum())


# --- other symmetries


def test_parities_and_exchange(oscillator):
    """Each operator alone, two together: real functions that are eigenfunctions of both."""
    found = oscillator.rotate(by=[parity(axis=0), parity()])
    psi = found(POINTS)
    assert psi.dtype == float
    numbers = found.provenance["quantum_numbers"]
    np.testing.assert_allclose(
        numbers["parity"], [(-1) ** n for n in range(4) for _ in range(n + 1)], atol=1e-6
    )
    assert sorted(np.round(numbers["parity x0"][3:6])) == [-1, 1, 1]
    np.testing.assert_allclose(found(POINTS * [-1, 1]), psi * np.round(numbers["parity x0"]), atol=1e-6)
    swapped = oscillator.rotate(by=exchange(0, 1))
    np.testing.assert_allclose(
        swapped(POINTS[:, ::-1]),
        swapped(POINTS) * np.round(swapped.provenance["quantum_numbers"]["exchange"]),
        atol=1e-6,
    )
    mirrored = oscillator.rotate(by=reflection([1.0, -1.0]))
    np.testing.assert_allclose(
        mirrored.provenance["quantum_numbers"]["mirror"],
        swapped.provenance["quantum_numbers"]["exchange"],
        atol=1e-6,
    )


def test_a_threefold_potential():
    """Hénon–Heiles: doublets turn by exp(±2πi/3), singlets by 1."""
    v = qspin.Potential(qspin.potentials.henon_heiles(0.1118))
    problem = qspin.Problem(qspin.Kinetic() + v, qspin.Box.cube(7.0, dim=2))
    found = qspin.solve(problem, 6, qspin.Grid(points=36)).rotate(by=rotation(2 * np.pi / 3))
    assert [label.removeprefix("rotation = ") for label in found.labels] == [
        "+1", "exp(-2πi/3)", "exp(2πi/3)", "+1", "exp(-2πi/3)", "exp(2πi/3)",
    ]  # fmt: skip


def test_any_map_of_points_a_translation():
    """On a ring cos and sin become running waves, of even density; (5 of 6.28 is no symmetry of order two)."""
    ring = qspin.Problem(qspin.Kinetic(), qspin.Box([0.0], [2 * np.pi], periodic=True))
    spectrum = qspin.solve(ring, 5, qspin.Grid(points=32))
    found = spectrum.rotate(by=lambda x: x + 2 * np.pi / 8)
    phases = np.array(found.provenance["quantum_numbers"]["map"]) @ [1, 1j]
    np.testing.assert_allclose(np.angle(phases) / (2 * np.pi / 8), [0, -1, 1, -2, 2], atol=1e-9)
    assert found.labels[1:3] == ("map = exp(-2πi/8)", "map = exp(2πi/8)")
    np.testing.assert_allclose(found.density([[0.3], [1.7], [4.0]]), 1 / (2 * np.pi), rtol=1e-9)


def test_a_function_and_an_operator(oscillator):
    """x y, which does not commute with H, has ⟨xy⟩ = ±1/2 in the p states; the energy along y sorts quanta."""
    with pytest.warns(UserWarning, match="does not commute"):
        found = oscillator.rotate(by=lambda x: x[0] * x[1], groups=[[1, 2]])
    np.testing.assert_allclose(found.expect(lambda x: x[0] * x[1])[1:3], [-0.5, 0.5], atol=1e-8)
    assert found.labels[1] == "⟨A⟩ = -0.5"
    np.testing.assert_allclose(np.abs(found(POINTS)[:, 3:]), np.abs(oscillator(POINTS)[:, 3:]), atol=1e-12)
    along = qspin.Kinetic() - qspin.Kinetic(mass=(1.0, 1e9))
    harmonic = qspin.Potential(lambda x: 0.5 * x[1] ** 2)
    by_y = oscillator.rotate(by=along + harmonic)  # H_y commutes with H
    np.testing.assert_allclose(
        by_y.provenance["quantum_numbers"]["⟨A⟩"],
        [k + 0.5 for n in range(4) for k in range(n + 1)],
        atol=1e-5,
    )


def test_two_of_one_name(oscillator):
    found = oscillator.rotate(by=[reflection([1.0, 0.0]), reflection([0.0, 1.0])])
    assert found.labels[0] == "mirror = +1, mirror2 = +1"


# --- levels that are cut, errors, bad input


def test_a_level_that_is_cut_is_warned_of():
    spectrum = spectrum_of(lambda x: atom(x)[:, :3], qspin.Box.cube(30.0, dim=3), [-0.5, -0.125, -0.125])
    with pytest.warns(UserWarning, match=r"states 1, 2 out of .* or n_states cuts the level"):
        spectrum.rotate(by=parity())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectrum.rotate(by=parity(), tolerance=1.0)


def test_errors_of_mixtures_are_bounds(oscillator):
    """Levels that errors cannot tell apart: mean energies, the largest error, and a residual that covers the difference."""
    energies = oscillator.energies + np.array([0, 0, 0.01, *[0] * 7])
    blunt = replace(oscillator, energies=energies, errors=np.array([1e-9, 0.01, 0.02, *[1e-9] * 7]))
    blunt = replace(blunt, converged=np.array([True, True, False, *[True] * 7]))
    found = blunt.rotate(by=angular_momentum())
    np.testing.assert_allclose(found.energies[1:3], energies[1:3].mean(), atol=1e-9)
    np.testing.assert_array_equal(found.errors[1:3], 0.02)
    assert (found.residuals[1:3] > 0.005 - 1e-9).all()
    np.testing.assert_array_equal(found.converged[:4], [True, False, False, True])


@pytest.mark.parametrize(
    ("by", "error", "words"),
    [
        (3, TypeError, "by must be an operator"),
        ([], ValueError, "got none"),
        (parity(axis=2), ValueError, "parity x2"),
        (exchange(0, 2), ValueError, "exchange"),
        (qspin.Kinetic(mass=(1.0, 2.0, 3.0)), ValueError, "mass has 3 entries"),
        (lambda x: x[0] + x[7], ValueError, "not there"),
        (PointMap(lambda x: jnp.concatenate([x, x])), ValueError, "map"),
    ],
)
def test_what_is_no_symmetry_is_refused(oscillator, by, error, words):
    with pytest.raises(error, match=words):
        oscillator.rotate(by=by)


@pytest.mark.parametrize("groups", [[[0, 10]], [[1, 2], [2, 3]], [[-1]], [[]], "a", 3, [[0.5]]])
def test_groups_that_are_none_are_refused(oscillator, groups):
    with pytest.raises(ValueError, match="groups must be lists of different states"):
        oscillator.rotate(by=parity(), groups=groups)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, 2.0, "a"])
def test_tolerances_that_are_none_are_refused(oscillator, tolerance):
    with pytest.raises((TypeError, ValueError), match="tolerance must be"):
        oscillator.rotate(by=parity(), tolerance=tolerance)
