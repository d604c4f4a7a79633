"""Settings files: what they say is what is solved, what they do not know they refuse, and what is written is read back."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.problem.domain import Space
from qspin.run.run_folder import checkpoint
from qspin.run.settings import Settings, SettingsError, job, read_settings

FORMULA = {"potential": "0.5*x**2", "box": [-8, 8]}
FILE = """'''A title.'''
import pathlib
import qspin
shift = float((pathlib.Path(__file__).parent / "shift.txt").read_text())
problem = qspin.Problem(
    qspin.Kinetic() + qspin.Potential(lambda x: 0.5 * x[0] ** 2 + shift), qspin.Box([-8.0], [8.0]), name="mine")
n_states = 4
presets = {"short": (problem, qspin.SpIN(steps=5, batch_size=64, averaging=0.5)), "grid": (problem, qspin.Grid(points=40))}
"""


def settings(problem: dict[str, Any] | None = None, method: Any = (), **run: Any) -> Settings:
    return Settings(FORMULA if problem is None else problem, dict(method), run)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "shift.txt").write_text("1.5")
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path / "mine.py"


def test_a_file_says_everything(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        """
        [problem]
        potential = '''0.5*x**2
                       + where(y > 0, y**4, y**2)'''
        box = [-8, 8, -6.5, 6]
        mass = [1, 2.0]
        periodic = [false, true]
        singularities = [[0.0, 1.0]]
        name = "wedge"
        [method]
        name = "grid"
        points = [40, 50]
        scheme = { name = "Differences", order = 4 }
        [run]
        states = 5
        seed = 3
        out = "there"
        grid = false
        """
    )
    done = job(read_settings(tmp_path / "run.toml"))
    assert done.problem.domain == qspin.Box([-8.0, -6.5], [8.0, 6.0], periodic=[False, True])
    assert done.problem.hamiltonian == qspin.Kinetic(mass=(1.0, 2.0)) + qspin.Potential(
        qspin.expression("0.5*x**2 + where(y > 0, y**4, y**2)"), singularities=[(0.0, 1.0)]
    )
    assert done.problem.name == "wedge"
    assert done.method == qspin.Grid(points=(40, 50), scheme=qspin.differences(4))
    assert (done.n_states, done.seed, done.out, done.reference) == (5, 3, Path("there"), None)


@pytest.mark.parametrize(
    ("problem", "dim", "domain"),
    [
        ({"potential": "x**2"}, 1, qspin.Box([-2.0], [3.0])),
        ({"potential": "x**2 + z"}, 3, qspin.Box([-2.0] * 3, [3.0] * 3)),
        ({"potential": "r**2", "dim": 2}, 2, qspin.Box([-2.0] * 2, [3.0] * 2)),
        ({"potential": "r**2", "box": [-1, 1, -2, 2]}, 2, qspin.Box([-1.0, -2.0], [1.0, 2.0])),
        ({"potential": "x**2", "box": [-1, 1, -2, 2]}, 2, qspin.Box([-1.0, -2.0], [1.0, 2.0])),
        ({"potential": "x1**2", "box": None, "space": True}, 2, Space(2)),
        ({"potential": "cos(x)", "periodic": True}, 1, qspin.Box([-2.0], [3.0], periodic=True)),
    ],
)
def test_the_dimension_and_the_box(problem: dict[str, Any], dim: int, domain: object) -> None:
    table = {key: value for key, value in {"box": [-2, 3], **problem}.items() if value is not None}
    asked = job(Settings(table, {"name": "grid"}))
    assert asked.problem.dim == dim and asked.problem.domain == domain
    assert asked.n_states == 6 and asked.out == Path("runs/potential")


@pytest.mark.parametrize(
    "asked",
    [
        settings(),
        settings({"potential": "r**2", "dim": 2, "space": True, "mass": 0.5}, {"name": "grid"}),
        settings(method={"name": "spin", "network": "MLP", "optimizer": {"name": "sgd", "learning_rate": 0.1}}),
        settings(method={"name": "ritz", "tolerance": 1e-9}, points=[60], seed=4),
        settings(method={"name": "grid"}, points=[60]),
    ],
)  # fmt: skip
def test_what_is_written_is_read_back(asked: Settings, tmp_path: Path) -> None:
    """Complete settings are a fixed point: they lead to the same job, and to themselves."""
    first = job(asked)
    (tmp_path / "settings.toml").write_text(str(first.settings))
    second = job(read_settings(tmp_path / "settings.toml"))
    assert str(second.settings) == str(first.settings)
    assert (second.problem, second.n_states, second.seed) == (first.problem, first.n_states, first.seed)
    assert second.reference == first.reference
    if "optimizer" not in asked.method:  # two of optax's optimizers are never equal
        assert second.method == first.method


def test_every_value_survives_toml(tmp_path: Path) -> None:
    name = 'a "quoted" \\ name\twith ∇²\n and \x7f'
    table = {**FORMULA, "name": name, "mass": 0.1 + 0.2, "box": [-1e-7, 1e22]}
    (tmp_path / "settings.toml").write_text(str(Settings(table)), encoding="utf-8")
    assert read_settings(tmp_path / "settings.toml").problem == table


def test_a_problem_file_runs_as_it_was(file: Path, tmp_path: Path) -> None:
    """The copy of its text is what counts; its data are still found beside the original."""
    done = job(Settings({"file": str(file)}, {"name": "grid"}))
    assert (done.n_states, done.problem.name, done.out) == (4, "mine", Path("runs/mine"))
    run = tmp_path / "run"
    run.mkdir()
    (run / "problem.py").write_bytes(done.source or b"")
    (run / "settings.toml").write_text(str(done.settings))
    file.write_text("raise RuntimeError('changed since')")
    again = job(read_settings(run / "settings.toml"))
    x = np.linspace(-1, 1, 5)[:, None]
    np.testing.assert_array_equal(again.problem.potential_values(x), 0.5 * x[:, 0] ** 2 + 1.5)
    assert again.source == done.source and str(again.settings) == str(done.settings)


def test_a_problem_file_is_looked_for_beside_the_settings(file: Path) -> None:
    (file.parent / "run.toml").write_text(
        '[problem]\nfile = "mine.py"\npreset = "short"\n[method]\nsteps = 6'
    )
    done = job(read_settings(file.parent / "run.toml"))
    assert done.method == qspin.SpIN(steps=6, batch_size=64, averaging=0.5)
    assert job(Settings({"file": "harmonic_1d"}, {"name": "grid"})).problem.name == "harmonic_1d"


def test_presets(file: Path) -> None:
    grid = {"file": str(file), "preset": "grid"}
    assert job(Settings(grid)).method == qspin.Grid(points=40)
    assert job(Settings(grid, {"name": "ritz"})).method == qspin.Ritz()
    with pytest.raises(SettingsError, match="no preset 'long'; it has: short, grid"):
        job(Settings({"file": str(file), "preset": "long"}))


@pytest.mark.parametrize(
    ("dim", "table", "method"),
    [
        (1, {}, None),
        (1, {"tolerance": 1e-3}, qspin.Ritz(tolerance=1e-3)),
        (1, {"steps": 10}, qspin.SpIN(steps=10)),
        (4, {}, None),
        (4, {"steps": 10}, qspin.SampledRitz(steps=10)),
        (4, {"estimator": "AveragedJacobian"}, qspin.SpIN(estimator=qspin.AveragedJacobian())),
        (4, {"name": "product-basis", "degree": 4}, qspin.ProductBasis(degree=4)),
    ],
)
def test_the_default_method_is_the_librarys_unless_it_lacks_a_setting(
    dim: int, table: dict[str, Any], method: object
) -> None:
    asked = Settings({"potential": "r**2", "dim": dim, "box": [-5, 5]}, table)
    assert job(asked).method == method


@pytest.mark.parametrize(
    ("dim", "name", "trains"),
    [
        (1, "spin", True), (1, "ritz", False), (1, "grid", False), (4, "sampled-ritz", True),
        (4, "ritz", True), (4, "product-basis", False), (1, None, False), (4, None, True),
    ],
)  # fmt: skip
def test_every_method_that_trains_has_a_checkpoint(dim: int, name: str, trains: bool) -> None:
    asked = job(
        Settings({"potential": "r**2", "dim": dim, "box": [-5, 5]}, {} if name is None else {"name": name})
    )
    assert (checkpoint(Path("run"), asked) == Path("run/checkpoint.npz")) is trains
    assert trains or checkpoint(Path("run"), asked) is None


def test_flags_win() -> None:
    base = settings(
        {**FORMULA, "dim": 1, "name": "mine"},
        {"name": "spin", "steps": 5, "batch_size": 64},
        seed=3,
        states=2,
    )
    flags = Settings({"mass": 2.0}, {"steps": 9}, {"seed": 4})
    both = base.overridden(flags)
    assert both.problem == {**FORMULA, "dim": 1, "name": "mine", "mass": 2.0}
    assert both.method == {"name": "spin", "steps": 9, "batch_size": 64}
    assert both.run == {"seed": 4, "states": 2}
    # Another method or problem leaves nothing of the first behind that belonged to it.
    assert base.overridden(Settings(method={"name": "ritz"})).method == {"name": "ritz"}
    assert base.overridden(Settings({"file": "harmonic_1d"})).problem == {"file": "harmonic_1d"}
    assert base.overridden(Settings({"space": True})).problem == {
        "potential": "0.5*x**2", "dim": 1, "name": "mine", "space": True
    }  # fmt: skip
    other = base.overridden(Settings({"potential": "x*y", "box": [-1, 1]}))
    assert other.problem == {"potential": "x*y", "box": [-1, 1], "name": "mine"}
    grid = settings(method={"name": "grid", "points": 60})
    assert job(grid.overridden(Settings(run={"points": [70]}))).method == qspin.Grid(points=70)
    copied = Settings({"file": "a.py", "source": "problem.py"}, source=b"problem = 1")
    assert copied.overridden(Settings()).source == b"problem = 1"
    assert copied.overridden(Settings(FORMULA)).source is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[problem\n", "no TOML"),
        ("[probelm]\n", r"'probelm' is none of the tables \[problem\], \[method\], \[run\]"),
        ("states = 3\n", "'states' is none of the tables"),
        ('[problem]\nformula = "x"\n', r"\[problem\] has no setting 'formula'; it has: file, source, preset"),
        ("[run]\nsteps = 3\n", r"\[run\] has no setting 'steps'; it has: states, seed, out, grid, points"),
        ('[run]\nstates = "3"\n', "states must be a whole number, got '3'"),
        ("[run]\ngrid = 1\n", "grid must be true or false, got 1"),
        ('[problem]\nbox = "wide"\n', "box must be a list, each a number, got 'wide'"),
        ('[problem]\nmass = "heavy"\n', "mass must be a number or a list, each a number, got 'heavy'"),
        ("[problem]\nsingularities = [0.0, 0.0]\n", "must be a list, each a list, each a number"),
        ("[method]\nname = 3\n", "name must be a text, got 3"),
    ],
)
def test_what_a_file_may_not_hold_is_said(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(SettingsError, match=said) as caught:
        read_settings(tmp_path / "run.toml")
    assert "run.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ({}, "neither a `file` nor a `potential`"),
        ({"potential": "x**2"}, "needs either a box"),
        ({"potential": "x**2", "box": [-1, 1], "space": True}, "not both"),
        ({"potential": "x**2 + q", "box": [-1, 1]}, "'q' is not known"),
        ({"potential": "r**2", "box": [-1, 1]}, "give dim"),
        ({"potential": "x*y*z", "box": [-1, 1, -2, 2]}, "coordinate number 3 in 2 dimensions"),
        ({"potential": "x**2", "box": [-1, 1, 2]}, "got 3 numbers"),
        ({"potential": "x**2", "box": [-1, 1, -1, 1], "dim": 3}, "for each of 3, got 4 numbers"),
        ({"potential": "x**2", "box": [1, -1]}, "Box"),
        ({"potential": "x**2", "box": [-1, 1], "mass": [1, 2]}, "mass has 2 entries, the domain has 1"),
        ({"potential": "x**2", "space": True, "periodic": True}, "no periodic axes"),
        ({"potential": "x**2", "box": [-1, 1], "singularities": [[0, 0]]}, "has 2 coordinates, the domain has 1"),
        ({"potential": "x**2", "box": [-1, 1], "preset": "paper"}, "preset belongs to a problem file"),
        ({"file": "harmonic_1d", "box": [-1, 1], "mass": 2}, "box, mass: not beside a problem file"),
        ({"file": "nowhere.py"}, "does not exist"),
    ],
)  # fmt: skip
def test_problems_that_cannot_be_are_refused(problem: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        job(Settings(problem))


def test_states_must_be_some() -> None:
    with pytest.raises(ValueError, match="n_states must be an integer from 1 to 100000, got 0"):
        job(settings(states=0))


def test_the_potential_of_a_job_is_the_formula() -> None:
    V = job(settings()).problem.local.potential
    assert float(V(jnp.array([2.0]))) == 2.0
