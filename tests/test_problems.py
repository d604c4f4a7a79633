"""Every shipped problem is loaded, and checked by a number: the grid against a closed form or a published level."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

import qspin
from qspin.run.problem_file import ProblemFileError, load_problem, shipped_problems

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
    assert file.problem.local is not None


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


# Past three dimensions no grid can follow: there H ψ = E ψ is checked for a known ψ, and V by its normal modes.


def module_of(name: str) -> ModuleType:
    load_problem(name)
    return sys.modules[f"qspin_problem_{name}"]


def image_over_function(problem: qspin.Problem, psi: Callable[[Any], Any]) -> np.ndarray:
    """(Hψ)(x)/ψ(x) at a hundred points x, in the middle half of the box."""
    box = problem.domain
    unit = np.random.default_rng(0).uniform(0.25, 0.75, (100, problem.dim))
    points = jnp.asarray(box.lower + unit * np.asarray(box.lengths))
    return np.asarray(jax.jit(jax.vmap(lambda x: problem.hamiltonian(psi)(x) / psi(x)))(points))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("coupled_oscillators", lambda module: module.problem),
        ("coupled_oscillators", lambda module: module.make(dim=64)),
        ("moshinsky", lambda module: module.problem),
        ("moshinsky", lambda module: module.make(particles=4, space=3, omega=1.7, k=-0.2)),
    ],
)
def test_many_oscillators_are_those_of_the_closed_form(
    name: str, make: Callable[[Any], qspin.Problem], x64: None
) -> None:
    problem = make(module_of(name))
    stiffness = np.asarray(jax.jit(jax.hessian(problem.local.potential))(jnp.zeros(problem.dim)))
    assert np.allclose(problem.exact(65), qspin.exact.coupled_oscillators(stiffness)(65), rtol=1e-12)
    squares, modes = np.linalg.eigh(stiffness)
    root = modes @ np.diag(np.sqrt(squares)) @ modes.T
    energies = image_over_function(problem, lambda x: jnp.exp(-x @ root @ x / 2))
    assert np.allclose(energies, problem.exact(1)[0], rtol=1e-10)


def test_box_in_five_dimensions(x64: None) -> None:
    problem = load_problem("box_5d").problem
    waves = np.array([(1, 1, 1, 1, 1), (1, 2, 1, 1, 1), (1, 1, 1, 1, 2)])
    for energy, k in zip(problem.exact(3), np.pi * waves, strict=True):
        image = image_over_function(problem, lambda x, k=k: jnp.prod(jnp.sin(k * x)))
        assert np.allclose(image, energy, rtol=1e-12)


def test_hooke_atom_in_relative_coordinates_and_in_full(x64: None) -> None:
    """ψ = (1 + r/2) exp(-r²/8), and (1 + r₁₂/2) exp(-(r₁² + r₂²)/4): Taut 1993."""

    def relative(r: Any) -> Any:
        return (1 + jnp.linalg.norm(r) / 2) * jnp.exp(-(r @ r) / 8)

    def both(x: Any) -> Any:
        return (1 + jnp.linalg.norm(x[:3] - x[3:]) / 2) * jnp.exp(-(x @ x) / 4)

    module = module_of("hooke_atom")
    full = module.full()
    (centre,) = module.problem.centres
    assert (centre.strength, centre.cusp) == pytest.approx((-1, 0.5))  # it repels: ψ ∝ 1 + r/2
    for problem, psi, energy in ((module.problem, relative, 1.25), (full, both, 2.0)):
        assert np.allclose(image_over_function(problem, psi), energy, rtol=1e-10)
        assert problem.exact_energies(1) == pytest.approx(energy)
        assert problem.exact_energies(2) is None


def test_chain_of_two_is_an_anharmonic_oscillator() -> None:
    """In (q_2 ± q_1)/√2: an oscillator, and p²/2 + x²/2 + 4g x⁴, for 4g = 0.1 by Hioe and Montroll (1975)."""
    problem = module_of("anharmonic_chain").make(dim=2, coupling=0.025)
    grid = qspin.solve(problem, 6, qspin.Grid())
    levels = np.add.outer([0.559146327, 1.769502644, 3.138624308], np.arange(4) + 0.5)
    assert np.allclose(grid.energies, np.sort(levels.ravel())[:6], atol=2e-9)


def chain_levels(dim: int, coupling: float, quanta: int, n: int) -> np.ndarray:
    """The chain in products of oscillator functions of its normal modes, up to so many quanta: from above."""
    bonds = np.diff(np.eye(dim), axis=0)
    stiffness, modes = np.linalg.eigh(bonds.T @ bonds)
    bonds = bonds @ modes[:, 1:]  # the first mode is the centre of mass, which the springs do not see
    nu = np.sqrt(1 + 0.7 * stiffness[1:])  # linear springs for the quartic ones: levels fall fastest so
    every = itertools.product(range(quanta + 3), repeat=dim - 1)
    states = np.array([state for state in every if sum(state) <= quanta + 2])  # two more, where V takes them
    place = {tuple(state): i for i, state in enumerate(states)}
    positions = []
    for mode, unit in enumerate(np.eye(dim - 1, dtype=int)):
        pairs = [(place[t], i) for i, s in enumerate(states) if (t := tuple(s + unit)) in place]
        upper, lower = np.transpose(pairs)
        raising = np.sqrt((states[lower, mode] + 1) / (2 * nu[mode]))
        raising = sparse.csr_array((raising, (upper, lower)), shape=(len(states),) * 2)
        positions.append(raising + raising.T)
    kept = np.flatnonzero(states.sum(1) <= quanta)
    embedding = sparse.eye_array(len(states), format="csc")[:, kept].tocsr()
    matrix = np.diag((states[kept] + 0.5) @ nu)
    for x, frequency in zip(positions, nu, strict=True):
        image = x @ embedding
        matrix += (1 - frequency**2) / 2 * (image.T @ image).toarray()
    for bond in bonds:
        stretch = sum(c * x for c, x in zip(bond, positions, strict=True))
        image = stretch @ (stretch @ embedding)
        matrix += coupling * (image.T @ image).toarray()
    inner = np.linalg.eigvalsh(matrix)[:n]
    return np.sort(np.add.outer(inner, np.arange(n) + 0.5).ravel())[:n]


def test_chain_of_three_against_the_grid() -> None:
    """V in the plane of relative motion, on the grid; the centre of mass is an oscillator."""
    potential = module_of("anharmonic_chain").make(dim=3).local.potential
    plane = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    relative = qspin.Kinetic() + qspin.Potential(lambda y: potential(y @ jnp.asarray(plane, y.dtype)))
    inner = qspin.solve(qspin.Problem(relative, qspin.Box.cube(6.0, dim=2)), 5, qspin.Grid()).energies
    levels = np.sort(np.add.outer(inner, np.arange(5) + 0.5).ravel())[:5]
    assert np.allclose(levels, chain_levels(3, 0.1, quanta=30, n=5), atol=1e-6)


def test_chain_of_six_has_the_levels_its_file_names() -> None:
    """Eight quanta; up to sixteen the levels fall by another 2e-4 at most, to those in the file."""
    named = [3.77387, 4.77387, 4.85947, 5.06653, 5.30432, 5.50390, 5.62857]
    above = chain_levels(6, 0.1, quanta=8, n=7) - named
    assert (above > -1e-5).all() and (above < 3e-4).all()
    assert all(f"{level:.5f}" in (FOLDER / "anharmonic_chain.py").read_text() for level in named)


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


@pytest.mark.slow
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
    assert "differs" not in comparison.outcomes
    assert comparison.angles.max() < 0.05


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) for name in ("harmonic_2d", "box_2d", "hydrogen_3d")],
)
def test_spin_is_honest_after_short_training(name: str) -> None:
    """Errors large enough to see: nine in ten within two claimed errors, all within four."""
    file = load_problem(name)
    spectrum = qspin.solve(file.problem, file.n_states, qspin.SpIN(steps=2_500))
    ratio = np.abs(spectrum.energies - spectrum.exact[: file.n_states]) / spectrum.errors
    assert (ratio < 2).mean() >= 0.9
    assert (ratio < 4).all()


@pytest.mark.parametrize(
    "name",
    [
        "double_well_1d",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("harmonic_1d", "henon_heiles_2d")),
    ],
)
def test_ritz_and_the_grid_agree_to_eight_digits(name: str) -> None:
    """Two routes that share nothing but V."""
    file = load_problem(name)
    spectrum, grid = (qspin.solve(file.problem, file.n_states, m) for m in (qspin.Ritz(), qspin.Grid()))
    off = np.abs(spectrum.energies - grid.energies)
    assert (off <= 1e-8 * np.abs(grid.energies)).all()
    assert (off <= spectrum.errors + grid.errors).all()
    assert (spectrum.errors < 1e-6 * np.abs(grid.energies)).all()
