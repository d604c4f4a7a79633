"""Every shipped problem is loaded, and checked by a number: the grid against a closed form or a published level."""

from pathlib import Path

import numpy as np
import pytest

import qspin
from qspin.problem_file import ProblemFileError, load_problem, shipped_problems

FOLDER = Path(__file__).parents[1] / "problems"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))

# Relative (for closed forms) or absolute accuracy expected of the grid's defaults.
EXACT = ["harmonic_1d", "harmonic_2d", "box_2d", "hydrogen_2d"]


def test_shipped_problems_are_the_folder() -> None:
    assert sorted(shipped_problems()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_problem_loads_by_path_and_by_name(name: str) -> None:
    file = load_problem(FOLDER / f"{name}.py")
    assert file.problem.name == name
    assert file.title
    assert load_problem(name).problem.domain == file.problem.domain
    file.problem.check_potential()


@pytest.mark.parametrize("name", EXACT)
def test_grid_agrees_with_the_closed_form(name: str) -> None:
    file = load_problem(name)
    spectrum = qspin.solve(file.problem, file.n_states, qspin.Grid())
    exact = spectrum.exact[: file.n_states]
    wall_shift = 1e-3 * np.abs(exact) if name == "hydrogen_2d" else 0  # walls at 50: DESIGN, numerics 6
    assert (np.abs(spectrum.energies - exact) <= 3 * spectrum.errors + wall_shift + 1e-9).all()
    assert np.max(np.abs(spectrum.energies / exact - 1)) < 2e-3


def test_double_well_levels_come_in_pairs() -> None:
    file = load_problem("double_well_1d")
    levels = qspin.solve(file.problem, 4, qspin.Grid()).energies
    assert levels[1] - levels[0] < 0.01 * (levels[2] - levels[1])  # split by tunnelling only


def test_henon_heiles_against_a_dense_oscillator_basis() -> None:
    """Two routes: the same Hamiltonian in products of oscillator functions, integrals of polynomials exact."""
    n = 30
    position = np.diag(np.sqrt(np.arange(1, n + 4) / 2), 1)
    position += position.T
    x, x2, x3 = (np.linalg.matrix_power(position, p)[:n, :n] for p in (1, 2, 3))
    one, number = np.eye(n), np.diag(np.arange(n) + 0.5)
    lam = np.sqrt(0.0125)
    matrix = np.kron(number, one) + np.kron(one, number) + lam * (np.kron(x2, x) - np.kron(one, x3) / 3)
    kept = np.add.outer(np.arange(n), np.arange(n)).ravel() < n - 4
    levels = np.linalg.eigvalsh(matrix[np.ix_(kept, kept)])[:6]
    file = load_problem("henon_heiles_2d")
    spectrum = qspin.solve(file.problem, 6, qspin.Grid())
    assert np.allclose(spectrum.energies, levels, atol=2e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import qspin\n", "does not define `problem"),
        ("problem = 3\n", "must be a qspin.Problem"),
        ("x = 1\nraise RuntimeError('no')\n", "RuntimeError at line 2"),
        ("x = = 1\n", "SyntaxError at line 1"),
        (
            "import qspin\nproblem = qspin.Problem(qspin.Kinetic(), qspin.Box([1.0], [0.0]))\n",
            "lower must be less",
        ),
    ],
)
def test_bad_problem_files_say_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(ProblemFileError, match=r"mine\.py") as caught:
        load_problem(path)
    assert said in str(caught.value)


def test_missing_problem_file_names_the_shipped_ones() -> None:
    with pytest.raises(ProblemFileError, match=r"nowhere.py does not exist.*hydrogen_2d"):
        load_problem("nowhere.py")


def test_the_main_job() -> None:
    """SpIN on 2D hydrogen, half the default steps: 2 %, three claimed errors, the groups, and the grid's eigenspaces."""
    file = load_problem("hydrogen_2d")
    spin = qspin.solve(file.problem, 9, qspin.SpIN(steps=10_000))
    exact = np.repeat([-1, -1 / 9, -1 / 25], [1, 3, 5])
    assert (np.abs(spin.energies - exact) <= 3 * spin.errors).all()
    assert np.max(np.abs(spin.energies / exact - 1)) < 0.005
    assert np.max(spin.errors / np.abs(exact)) < 0.02  # and not by claiming nothing
    assert [len(group) for group in spin.groups()] == [1, 3, 5]
    comparison = spin.compare(qspin.solve(file.problem, 9, qspin.Grid(points=160)))
    assert comparison.agrees.all()
    assert comparison.angles.max() < 0.05


@pytest.mark.parametrize("name", ["harmonic_2d", "box_2d", "hydrogen_3d"])
def test_spin_is_honest_after_short_training(name: str) -> None:
    """Errors large enough to see: nine in ten within two claimed errors, all within four."""
    file = load_problem(name)
    spectrum = qspin.solve(file.problem, file.n_states, qspin.SpIN(steps=2_500))
    ratio = np.abs(spectrum.energies - spectrum.exact[: file.n_states]) / spectrum.errors
    assert (ratio < 2).mean() >= 0.9
    assert (ratio < 4).all()


@pytest.mark.parametrize("name", ["harmonic_1d", "double_well_1d", "henon_heiles_2d"])
def test_ritz_and_the_grid_agree_to_eight_digits(name: str) -> None:
    """Two routes that share nothing but V."""
    file = load_problem(name)
    spectrum, grid = (qspin.solve(file.problem, file.n_states, m) for m in (qspin.Ritz(), qspin.Grid()))
    off = np.abs(spectrum.energies - grid.energies)
    assert (off <= 1e-8 * np.abs(grid.energies)).all()
    assert (off <= spectrum.errors + grid.errors).all()
    assert (spectrum.errors < 1e-6 * np.abs(grid.energies)).all()
