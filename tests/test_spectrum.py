"""`Spectrum` and `Comparison` on closed-form eigenfunctions, where every number is known."""

import json
import warnings
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.numerics import precision
from qspin.spectrum.eigenfunctions import EIGENFUNCTIONS, Eigenfunctions
from qspin.spectrum.notes import Note
from qspin.spectrum.spectrum import Spectrum
from qspin.spectrum.store import FORMAT_VERSION, npz_path, write_npz

OMEGA = 2.0
N = 4


def oscillator(x):
    """φ_0 … φ_3 of -½ d²/dx² + ½ ω² x² at one point, by recurrence."""
    y = jnp.sqrt(OMEGA) * x[0]
    waves = [(OMEGA / jnp.pi) ** 0.25 * jnp.exp(-(y**2) / 2)]
    waves.append(jnp.sqrt(2.0) * y * waves[0])
    for n in range(2, N):
        waves.append(jnp.sqrt(2 / n) * y * waves[-1] - jnp.sqrt((n - 1) / n) * waves[-2])
    return jnp.stack(waves)


def square_box(x):
    """Levels 1, 2 = 3, 4 of the unit square: (1,1), (2,1), (1,2), (2,2)."""
    s = 2 * jnp.sin(jnp.pi * x[:, None] * jnp.arange(1, 3))
    return jnp.stack([s[0, 0] * s[1, 0], s[0, 1] * s[1, 0], s[0, 0] * s[1, 1], s[0, 1] * s[1, 1]]) / 2


@EIGENFUNCTIONS("closed")
class Closed(Eigenfunctions):
    """rotation applied to closed-form functions, with Gauss–Legendre points."""

    dim = n_states = None

    def __init__(self, function, domain, rotation, nodes=120):
        self.function, self.domain, self.rotation, self.nodes = function, domain, rotation, nodes
        self.n_states, self.dim = rotation.shape[1], domain.dim

    def _psi(self, x):
        return self.function(x) @ self.rotation

    @precision.double_precision()
    def __call__(self, points):
        return np.asarray(jax.vmap(self._psi)(jnp.asarray(points, float)))

    def quadrature(self):
        t, w = np.polynomial.legendre.leggauss(self.nodes)
        axes = [
            (low + high) / 2 + (high - low) / 2 * t
            for low, high in zip(self.domain.lower, self.domain.upper, strict=True)
        ]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, self.dim)
        weights = np.ones(1)
        for length in self.domain.lengths:
            weights = np.outer(weights, w * length / 2).ravel()
        return points, weights

    @precision.double_precision()
    def image(self, operator):
        return np.asarray(jax.vmap(operator(self._psi))(jnp.asarray(self.quadrature()[0])))

    def record(self):
        return {}, {"rotation": self.rotation}


def spectrum_of(function, domain, energies, rotation=None, error=1e-6, **fields: Any):
    energies = np.asarray(energies, float)
    rotation = np.eye(len(energies)) if rotation is None else rotation
    return Spectrum(
        energies=energies,
        errors=np.full(len(energies), error),
        residuals=np.full(len(energies), 2e-6),
        converged=np.arange(len(energies)) < 3,
        notes=(Note("tolerance", (1,), "the state did not converge", "try more steps"),),
        eigenfunctions=Closed(function, domain, rotation),
        domain=domain,
        **{"method": "closed", **fields},
    )


LINE = qspin.Box.cube(8.0, dim=1)
SQUARE = qspin.Box([0.0, 0.0], [1.0, 1.0])
SQUARE_LEVELS = np.pi**2 / 2 * np.array([2.0, 5.0, 5.0, 8.0])


@pytest.fixture
def line():
    return spectrum_of(oscillator, LINE, OMEGA * (np.arange(N) + 0.5), name="oscillator", units="Hartree")


@pytest.fixture
def square():
    return spectrum_of(square_box, SQUARE, SQUARE_LEVELS)


def turned(angle, i, j):
    rotation = np.eye(4)
    rotation[np.ix_([i, j], [i, j])] = [
        [np.cos(angle), -np.sin(angle)],
        [np.sin(angle), np.cos(angle)],
    ]
    return rotation


# --- values


def test_any_shape_of_points(line, square):
    x = np.random.default_rng(0).uniform(size=(2, 3, 5, 2))
    assert square(x).shape == (2, 3, 5, 4)
    np.testing.assert_array_equal(square(x)[1, 2, 3], square(x[1, 2, 3]))
    assert square([0.5, 0.5]).shape == (4,)
    assert line(np.zeros((0, 1))).shape == (0, 4)
    assert line(jnp.zeros((2, 1), jnp.float32)).dtype == np.float64
    assert line.n_states == 4


@pytest.mark.parametrize("x", [0.3, np.zeros(3), np.zeros((4, 1)), np.zeros((2, 2, 3))], ids=np.shape)
def test_points_of_the_wrong_shape_are_refused(square, x):
    with pytest.raises(ValueError, match=r"points must have shape \(\.\.\., 2\), got"):
        square(x)


def test_densities(square):
    """|ψ|², its sum with occupations; both integrate to the number of particles."""
    x = np.random.default_rng(1).uniform(size=(3, 5, 2))
    np.testing.assert_array_equal(square.density(x), square(x) ** 2)
    occupied = square.density(x, weights=[2, 2, 1, 0])
    assert occupied.shape == (3, 5)
    np.testing.assert_allclose(occupied, square(x) ** 2 @ [2, 2, 1, 0])
    points, weights = square.eigenfunctions.quadrature()
    assert weights @ square.density(points, weights=[2, 2, 1, 0]) == pytest.approx(5, rel=1e-10)
    turned_ = replace(square, eigenfunctions=square.eigenfunctions.times(np.array([1, 1j, -1, 1])))
    assert turned_(x).dtype == complex and turned_.density(x).dtype == float
    np.testing.assert_allclose(turned_.density(x), square.density(x), atol=1e-14)


@pytest.mark.parametrize("weights", [[1, 1], np.ones((4, 1)), [1, 1, 1, np.nan], 2.0])
def test_occupations_that_are_none_are_refused(square, weights):
    with pytest.raises(ValueError, match="weights must be 4 finite numbers"):
        square.density([0.5, 0.5], weights)


# --- units


def test_energies_in_other_units(line):
    """Declared as "Hartree": 27.2114 eV each; and back."""
    np.testing.assert_allclose(line.energies_in("eV"), 27.211386246 * line.energies, rtol=1e-9)
    np.testing.assert_allclose(line.errors_in("meV"), 27211.386246 * line.errors, rtol=1e-9)
    back = replace(line, energies=line.energies_in("cm⁻¹"), units="cm^-1").energies_in("hartree")
    np.testing.assert_allclose(back, line.energies, rtol=1e-14)


def test_units_that_are_not_known(line):
    with pytest.raises(ValueError, match="'furlong' is no unit of energy"):
        line.energies_in("furlong")
    with pytest.raises(ValueError, match="'arbitrary' is no unit of energy"):
        replace(line, units="arbitrary").errors_in("eV")
    with pytest.raises(
        ValueError,
        match=r"errors_in: the energies of 'oscillator' have no declared unit; .*units=\"hartree\"",
    ):
        replace(line, units="").errors_in("eV")


# --- observables; Gauss–Legendre leaves rounding alone, and exp(-64·ω/2) at the walls


def test_moments_of_the_oscillator(line):
    """⟨x²⟩ = (n + ½)/ω, and ⟨x⟩ = 0."""
    n = np.arange(N)
    np.testing.assert_allclose(line.expect(lambda x: x[0] ** 2), (n + 0.5) / OMEGA, rtol=1e-10)
    np.testing.assert_allclose(line.expect(lambda x: x[0]), 0, atol=1e-12)


def test_dipole_elements_of_the_oscillator(line):
    """|⟨n|x|n+1⟩| = √((n + 1)/2ω), and nothing else."""
    step = np.sqrt(np.arange(1, N) / 2 / OMEGA)
    expected = np.diag(step, 1) + np.diag(step, -1)
    np.testing.assert_allclose(np.abs(line.matrix_element(lambda x: x[0])), expected, atol=1e-10)


def test_operators_and_the_virial_theorem(line):
    kinetic, potential = qspin.Kinetic(), qspin.Potential(lambda x: OMEGA**2 * x[0] ** 2 / 2)
    np.testing.assert_allclose(line.expect(kinetic + potential), line.energies, rtol=1e-10)
    np.testing.assert_allclose(line.expect(kinetic), line.expect(potential), rtol=1e-10)
    np.testing.assert_allclose(line.matrix_element(kinetic + potential), np.diag(line.energies), atol=1e-9)


def test_norms_are_divided_out(line):
    double = replace(line, eigenfunctions=Closed(oscillator, LINE, 2 * np.eye(N)))
    x2 = [s.matrix_element(lambda x: x[0] ** 2) for s in (line, double)]
    np.testing.assert_allclose(x2[0], x2[1], rtol=1e-12, atol=1e-14)


def test_an_observable_that_does_not_fit_is_refused(line):
    with pytest.raises(ValueError, match=r"expected|scalar"):
        line.expect(lambda x: x)
    with pytest.raises(ValueError, match="mass has 2 entries"):
        line.expect(qspin.Kinetic(mass=(1.0, 2.0)))


# --- groups


def test_groups_by_claimed_errors(square):
    assert square.groups() == [[0], [1, 2], [3]]
    split = replace(square, energies=SQUARE_LEVELS + np.array([0, 0, 1e-3, 0]))
    assert split.groups() == [[0], [1], [2], [3]]
    assert replace(split, errors=np.full(4, 1e-3)).groups() == [[0], [1, 2], [3]]  # cannot be told apart
    assert split.groups(tolerance=0.01) == [[0], [1, 2], [3]]
    assert split.groups(tolerance=100.0) == [[0, 1, 2, 3]]
    assert replace(square, errors=np.full(4, np.inf)).groups() == [[0, 1, 2, 3]]
    assert spectrum_of(oscillator, LINE, [1.0], rotation=np.eye(4)[:, :1]).groups() == [[0]]


def test_groups_without_errors_allow_for_rounding(square):
    levels = SQUARE_LEVELS * (1 + 1e-14 * np.array([0, 0, 1, 0]))
    assert replace(square, energies=levels, errors=np.zeros(4)).groups() == [[0], [1, 2], [3]]


def test_a_level_that_is_cut_is_warned_of():
    cut = spectrum_of(
        square_box, SQUARE, SQUARE_LEVELS[:2], rotation=np.eye(4)[:, :2], exact=SQUARE_LEVELS[:3]
    )
    with pytest.warns(UserWarning, match="cuts a degenerate level"):
        assert cut.groups() == [[0], [1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        str(cut)  # the table does not repeat it
        replace(cut, exact=SQUARE_LEVELS[[0, 1, 3]]).groups()
        replace(cut, exact=None).groups()


# --- the table


def test_the_table(line):
    lines = str(line).splitlines()
    assert lines[0] == "oscillator: 4 states by closed [Hartree]"
    assert lines[1].split() == ["level", "energy", "±", "error", "residual", "group", "converged"]
    assert lines[2].split() == ["0", "1.0000000", "1.0e-06", "2.0e-06", "0", "yes"]
    assert lines[5].split()[-1] == "NO"
    assert lines[-1] == "State 1: the state did not converge. Try more steps."
    assert len(lines) == 2 + 4 + 1


@pytest.mark.parametrize("error", [0.0, 1e-300, 10.0, np.inf, np.nan])
def test_the_table_holds_any_error(line, error):
    text = str(replace(line, errors=np.full(4, error)))
    assert "7.0" in text


# --- comparison


def test_a_spectrum_agrees_with_itself(square):
    comparison = square.compare(square)
    np.testing.assert_array_equal(comparison.differences, np.zeros(4))
    assert comparison.groups == [[0], [1, 2], [3]]
    np.testing.assert_allclose(comparison.angles, 0, atol=1e-7)  # arccos loses half the digits
    assert comparison.agrees.all()
    np.testing.assert_allclose(comparison.errors, np.sqrt(2) * 1e-6)
    assert comparison.exact_differences is None
    assert "4 of 4 levels agree" in str(comparison)


@pytest.mark.parametrize("angle", [0.3, np.pi / 4, 2.0])
def test_a_turn_inside_a_degenerate_level_is_no_difference(square, angle):
    other = replace(square, eigenfunctions=Closed(square_box, SQUARE, turned(angle, 1, 2)))
    np.testing.assert_allclose(square.compare(other).angles, 0, atol=1e-7)


def test_a_turn_between_levels_is_its_angle(square):
    """Levels 0 and 3 by 0.3; the pair 1, 2 stays."""
    other = replace(square, eigenfunctions=Closed(square_box, SQUARE, turned(0.3, 0, 3)))
    np.testing.assert_allclose(square.compare(other).angles, [0.3, 0, 0.3], atol=1e-7)


def test_different_states_are_at_right_angles(square):
    swapped = replace(square, eigenfunctions=Closed(square_box, SQUARE, np.eye(4)[:, [3, 1, 2, 0]]))
    np.testing.assert_allclose(square.compare(swapped).angles, [np.pi / 2, 0, np.pi / 2], atol=1e-7)


def test_levels_that_either_cannot_tell_apart_are_one_group(square):
    blunt = replace(square, errors=np.array([1e-6, 1e-6, 10.0, 10.0]))
    for comparison in (square.compare(blunt), blunt.compare(square)):
        assert comparison.groups == [[0], [1, 2, 3]]


def test_three_combined_errors_decide(line):
    shift = np.array([0.0, 2.9e-6, -4.0e-6, 1e-3])
    comparison = replace(line, energies=line.energies + shift, exact=line.energies).compare(line)
    np.testing.assert_allclose(comparison.differences, shift, atol=1e-14)
    np.testing.assert_array_equal(comparison.agrees, [True, True, True, False])
    np.testing.assert_allclose(comparison.exact_differences, shift, atol=1e-14)
    assert comparison.outcomes == ("agrees", "agrees", "agrees", "differs") and not comparison.all_agree
    assert "DIFFERS by 707.1 errors" in str(comparison)
    assert "3 of 4 levels agree within three combined errors, 1 differs." in str(comparison)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"errors": np.array([1e-6, 1e-6, 1e-6, 3e-3])}, "the error is 0.002 of the level spacing"),
        ({"errors": np.array([1e-6, 1e-6, 1e-6, np.nan])}, "no error is known"),
        ({"errors": np.array([1e-6, 1e-6, 1e-6, np.inf])}, "no error is known"),
        ({"eigenfunctions": Closed(oscillator, LINE, np.eye(N)[:, [0, 1, 2, 2]])}, "the eigenspaces are 1.57 apart"),
    ],
    ids=["loose", "nan", "inf", "another state"],
)  # fmt: skip
def test_a_level_of_which_nothing_can_be_told(line, changes, words):
    """Levels are 2 apart: an error of 2e-3 is a thousandth of that. States are held against each other, too."""
    comparison = replace(line, **changes).compare(replace(line, method="other"))
    doubtful = comparison.outcomes.index("cannot tell")
    assert comparison.outcomes[:2] == ("agrees", "agrees")
    assert not comparison.agrees[doubtful] and not comparison.all_agree
    assert "CANNOT TELL: " in comparison.verdicts[doubtful]
    assert comparison.to_dict()["outcomes"][doubtful] == "cannot tell"
    assert "of 1 nothing can be told." in comparison.summary or "of 4 nothing" in comparison.summary
    if "error" in words:
        assert words in comparison.verdicts[3] or not np.isfinite(changes["errors"][3])
    else:
        assert words in comparison.verdicts[3]


def test_an_error_that_is_large_beside_the_energy_itself(line):
    """One state alone has no spacing; an energy of zero is a matter of where zero is."""
    one = spectrum_of(oscillator, LINE, [1.0], rotation=np.eye(4)[:, :1], error=1e-3)
    assert one.compare(one).outcomes == ("cannot tell",)
    sharp = replace(one, errors=np.array([1e-4]))
    assert sharp.compare(sharp).outcomes == ("agrees",)
    moved = replace(line, energies=line.energies - line.energies[0])
    assert moved.compare(moved).all_agree


def test_what_two_spectra_share_is_said(line):
    assert "Both are by closed: what it misses, both miss." in str(line.compare(line))
    probes = {"probes": ["the same values of V"]}
    one, two = (replace(line, method=m, provenance=probes) for m in ("ritz", "grid"))
    assert "They are not independent: both take the same values of V" in one.compare(two).summary
    assert one.compare(replace(two, provenance={})).shared == ""


def test_wrong_arguments_are_named(line):
    for other in (None, "grid", line.energies):
        with pytest.raises(TypeError, match=r"Spectrum\.compare: reference must be a qspin\.Spectrum, got"):
            line.compare(other)
        with pytest.raises(TypeError, match=r"Spectrum\.overlap: reference must be a qspin\.Spectrum, got"):
            line.overlap(other)
    with pytest.raises(TypeError, match="tolerance must be a real number, got 'a'"):
        line.groups("a")
    with pytest.raises(ValueError, match="tolerance must be at least 0"):
        line.groups(-1.0)
    for points in (2**63, 10**400, [2**40]):
        with pytest.raises(ValueError, match="on_grid: points must make at most"):
            line.on_grid(points)
    for points in ("a", [["a"]], [np.array([1j, 2])], 1.5, True, -3, [object()]):
        with pytest.raises((TypeError, ValueError), match=r"Spectrum\.on_grid"):
            line.on_grid(points)
    for x in ("a", [object()], [[1j]]):
        with pytest.raises((TypeError, ValueError), match="Spectrum: "):
            line(x)


def test_energies_in_joules_have_digits(line):
    """Levels of 1e-19 J: significant digits, and groups that are not merged by a limit in hartree."""
    joule = 4.3597447e-18
    si = replace(
        line,
        energies=joule * line.energies,
        errors=joule * line.errors,
        exact=joule * line.energies,
        units="J",
    )
    rows = [row.split() for row in str(si).splitlines()[2:6]]
    assert [row[1] for row in rows] == ["4.3597447e-18", "1.30792341e-17", "2.17987235e-17", "3.05182129e-17"]
    assert si.groups() == si.compare(si).groups == [[0], [1], [2], [3]]
    large = replace(line, energies=1e15 * line.energies, errors=1e9 * line.errors / 1e-6)
    assert str(large).splitlines()[2].split()[1] == "1.0000000e+15"


def test_a_difference_beside_errors_of_zero_can_be_printed(line):
    sharp = replace(line, errors=np.zeros(4))
    comparison = replace(sharp, energies=line.energies + 0.1).compare(sharp)
    assert not comparison.agrees.any()
    assert "DIFFERS by inf errors" in str(comparison)


def test_the_shorter_spectrum_sets_the_length(square):
    """Two of four states: the second belongs to a pair that is not whole, so its angle says nothing."""
    short = spectrum_of(square_box, SQUARE, SQUARE_LEVELS[:2], rotation=turned(0.5, 1, 2)[:, :2])
    for comparison in (short.compare(square), square.compare(short)):
        assert comparison.groups == [[0], [1]]
        assert comparison.angles[0] == pytest.approx(0, abs=1e-7)
        assert np.isnan(comparison.angles[1])
        assert comparison.agrees.shape == (2,)
    by_closed_form = replace(short, exact=SQUARE_LEVELS[:3])
    assert np.isnan(by_closed_form.compare(short).angles[1])
    whole = spectrum_of(square_box, SQUARE, SQUARE_LEVELS[:3], rotation=np.eye(4)[:, :3])
    assert not np.isnan(whole.compare(square).angles).any()


@pytest.mark.parametrize(
    "domain",
    [
        qspin.Box.cube(7.0, dim=1),
        qspin.Box.cube(8.0, dim=2),
        qspin.Box.cube(8.0, dim=1, periodic=True),
    ],
    ids=["size", "dim", "walls"],
)
def test_other_domains_are_refused(line, domain):
    with pytest.raises(ValueError, match="different domains"):
        line.compare(replace(line, domain=domain))


def test_a_comparison_as_json(square):
    errors = np.array([1e-6, np.inf, np.nan, 1e-6])
    short = spectrum_of(square_box, SQUARE, SQUARE_LEVELS[:2], rotation=np.eye(4)[:, :2])
    for comparison in (replace(square, errors=errors).compare(square), short.compare(square)):
        text = json.dumps(comparison.to_dict(), allow_nan=False)
        read = json.loads(text)
        assert read["labels"] == ["closed", "closed"]
        assert len(read["differences"]) == len(comparison.differences)
        assert read["groups"] == comparison.groups
    assert read["angles"][1] is None
    assert json.loads(json.dumps(replace(square, errors=errors).compare(square).to_dict()))["errors"] == [
        1e-6,
        None,
        None,
        1e-6,
    ]


# --- files


def test_save_writes_numbers_and_json(tmp_path, line):
    full = replace(
        line,
        history={"step": np.arange(3), "energies": np.ones((3, 4))},
        provenance={"seed": 3},
        exact=line.energies,
        potential=lambda points: 2 * points[:, 0] ** 2,
    )
    path = full.save(tmp_path / "spectrum")
    assert path == tmp_path / "spectrum.npz"
    with np.load(path, allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        for name in ("energies", "errors", "residuals", "converged", "exact"):
            np.testing.assert_array_equal(file[name], getattr(full, name))
        np.testing.assert_array_equal(file["history/energies"], full.history["energies"])
        np.testing.assert_array_equal(file["eigenfunctions/rotation"], np.eye(4))
        np.testing.assert_allclose(file["potential/values"], 2 * file["potential/axis0"] ** 2, atol=1e-6)
    assert meta["domain"] == {
        "lower": [-8.0],
        "upper": [8.0],
        "periodic": [False],
        "mask": "SquareRootMask",
    }
    assert meta["provenance"] == {"seed": 3}
    assert meta["units"] == "Hartree"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch, line):
    path = line.save(tmp_path / "spectrum.npz")
    before = path.read_bytes()

    def fails(file, **arrays):
        file.write(b"half of")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fails)
    with pytest.raises(OSError, match="disk full"):
        replace(line, name="other").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_newer_spectrum_is_refused(tmp_path, line):
    path = line.save(tmp_path / "spectrum.npz")
    with np.load(path, allow_pickle=False) as file:
        contents = dict(file.items())
    meta = {**json.loads(str(contents["meta"])), "format": 99}
    write_npz(path, {**contents, "meta": np.array(json.dumps(meta))})
    with pytest.raises(
        ValueError, match=rf"has format 99, this qspin reads up to {FORMAT_VERSION}: update qspin"
    ):
        qspin.load(path)


@pytest.mark.parametrize("keep", [0, 100, 0.5, -1])
def test_a_truncated_spectrum_is_refused(tmp_path, line, keep):
    path = line.save(tmp_path / "spectrum.npz")
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep == 0.5 else keep])
    with pytest.raises(ValueError, match="is not a qspin spectrum"):
        qspin.load(path)


def test_the_ending_of_a_file(tmp_path):
    assert npz_path("runs/a") == npz_path("runs/a.npz")
    assert npz_path("a.ckpt").name == "a.ckpt.npz"
    assert write_npz(tmp_path / "a", {"x": np.ones(2)}) == tmp_path / "a.npz"


def test_a_saved_spectrum_is_loaded_as_it_was(tmp_path):
    problem = qspin.Problem(
        qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(omega=1.0)),
        qspin.Box.cube(6.0, dim=1),
        exact=qspin.exact.harmonic(1.0, dim=1),
        units="Hartree",
    )
    spectrum = qspin.solve(problem, 2, qspin.Grid(points=40))
    loaded = qspin.load(spectrum.save(tmp_path / "spectrum.npz"))
    x = np.linspace(-7, 7, 15)[:, None]
    np.testing.assert_array_equal(loaded(x), spectrum(x))
    for name in ("energies", "errors", "residuals", "converged", "exact"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(spectrum, name))
    assert str(loaded) == str(spectrum)
    assert set(loaded.history) == set(spectrum.history)
    comparison = loaded.compare(spectrum)
    assert comparison.agrees.all()
    np.testing.assert_allclose(comparison.angles, 0, atol=1e-7)
