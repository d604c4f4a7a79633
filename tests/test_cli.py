"""The command: what it writes, what it says, and its exit status."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

import qspin
from qspin.run.checkpoint import Interrupted
from qspin.run.command import main, parsed
from qspin.run.settings import Settings, job, read_settings

HARMONIC = """
import qspin
problem = qspin.Problem(
    qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(1.0)),
    qspin.Box.cube(7.0, dim=1), exact=qspin.exact.harmonic(1.0, dim=1), name="mine")
n_states = 3
"""
SHORT = """
[problem]
file = "mine.py"
[method]
name = "spin"
steps = 50
batch_size = 64
evaluation_points = 2048
adapt = false
network = { name = "MLP", hidden = [8], activation = "tanh" }
[run]
seed = 5
"""
QUARTIC = ["--potential", "0.5*x**2 + 0.1*x**4", "--box", "-8", "8", "--method", "grid", "--states", "3"]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time of a run on a grid."""
    monkeypatch.setattr("qspin.draw.save_all", lambda *args, **options: [])


@pytest.fixture
def problem(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(HARMONIC)
    return str(path)


class Training(NamedTuple):
    """A short training of a problem file by a file of settings, and what was said."""

    file: Path
    run: Path
    out: str
    err: str


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    folder = tmp_path_factory.mktemp("training")
    file, run = folder / "mine.py", folder / "run"
    file.write_text(HARMONIC)
    (folder / "settings.toml").write_text(SHORT)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(["solve", "--settings", str(folder / "settings.toml"), "--out", str(run)]) == 0
    return Training(file, run, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def grid_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a formula on the grid."""
    out = tmp_path_factory.mktemp("runs") / "quartic"
    assert main(["solve", *QUARTIC, "--out", str(out), "--quiet"]) == 0
    return out


def energies(run: Path) -> np.ndarray:
    return qspin.load(run / "spectrum.npz").energies


def test_solve_writes_everything(training: Training) -> None:
    assert "spin against grid" in training.out
    assert training.err == ""  # quiet where stderr is not a terminal
    out = training.run
    assert (out / "problem.py").read_text() == HARMONIC
    for name in ("spectrum.npz", "grid.npz", "comparison.json", "orbitals.png", "levels.png", "history.png"):
        assert (out / name).stat().st_size > 100
    comparison = json.loads((out / "comparison.json").read_text())
    assert comparison["exact"] == [0.5, 1.5, 2.5]
    assert np.allclose(energies(out), comparison["energies"], rtol=0, atol=0)
    assert np.allclose(qspin.load(out / "grid.npz").energies, [0.5, 1.5, 2.5], atol=1e-6)


def test_plot_draws_again(grid_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (grid_run / "orbitals.png").unlink()
    assert main(["plot", str(grid_run)]) == 0
    assert str(grid_run / "orbitals.png") in capsys.readouterr().out
    assert (grid_run / "orbitals.png").exists()


def test_an_earlier_run_is_moved_aside(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn: None
) -> None:
    out = tmp_path / "run"
    for _ in range(2):
        assert main(["solve", problem, "--out", str(out), "--method", "grid"]) == 0
    assert (tmp_path / "run.1" / "spectrum.npz").exists()
    assert "run.1" in capsys.readouterr().err


def test_what_cannot_work_leaves_an_earlier_run_where_it_was(
    grid_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too few points are noticed only by the method itself, long after the folder was made."""
    before = {path.name: path.read_bytes() for path in grid_run.iterdir()}
    words = [*QUARTIC[:-1], "1000", "--points", "9", "--out", str(grid_run)]
    assert main(["solve", *words]) == 2
    assert {path.name: path.read_bytes() for path in grid_run.iterdir()} == before
    assert not grid_run.with_name("quartic.1").exists()
    assert "the earlier run" not in capsys.readouterr().err
    assert main(["solve", *words[:-1], str(grid_run / "new")]) == 2
    assert not (grid_run / "new").exists()


OWN_METHOD = """
import dataclasses
import qspin
from qspin.methods.base import DirectMethod

@dataclasses.dataclass(frozen=True)
class Own(DirectMethod):
    order: int = 30
    name = "own"

    def solve(self, problem, n_states, seed=0):
        return dataclasses.replace(qspin.Grid(points=self.order).solve(problem, n_states, seed), method="own")
"""


def test_a_method_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None) -> None:
    """From the current folder, with a setting of its own; and again from the settings it left."""
    (tmp_path / "my_own_module.py").write_text(OWN_METHOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    words = [*QUARTIC[:5], "--states", "2", "--method", "my_own_module:Own", "--order", "40"]
    assert main(["solve", *words, "--no-grid", "--name", "../../x", "--quiet"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert (
        folder.name == "x"
        and 'name = "my_own_module:Own"\norder = 40' in (folder / "settings.toml").read_text()
    )
    assert qspin.load(folder / "spectrum.npz").method == "own"
    assert main(["solve", "--settings", str(folder / "settings.toml"), "--out", "again", "--quiet"]) == 0
    assert np.array_equal(energies(tmp_path / "again"), energies(folder))


def test_a_preset_of_a_method_of_somebody_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn: None
) -> None:
    file = tmp_path / "own_preset.py"
    file.write_text(HARMONIC + OWN_METHOD + "presets = {'own': (problem, Own(order=40)), 'wrong': Own()}\n")
    out = ["--out", str(tmp_path / "run"), "--quiet", "--no-grid"]
    assert main(["solve", str(file), "--preset", "own", *out]) == 2
    assert "`presets` must hold names with (problem, method)" in capsys.readouterr().err
    file.write_text(file.read_text().replace(", 'wrong': Own()", ""))
    assert main(["solve", str(file), "--preset", "own", "--order", "44", *out]) == 0
    settings = tmp_path / "run" / "settings.toml"
    assert 'name = "qspin_problem_own_preset:Own"\norder = 44' in settings.read_text()
    assert main(["solve", "--settings", str(settings), "--out", str(tmp_path / "again"), "--quiet"]) == 0
    assert np.array_equal(energies(tmp_path / "again"), energies(tmp_path / "run"))


def test_a_grid_that_fails_leaves_the_result(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn: None
) -> None:
    words = ["--method", "product-basis", "--states", "20", "--points", "24", "--out", str(tmp_path / "run")]
    assert main(["solve", problem, *words]) == 0
    assert "nothing is compared with a grid: Grid: n_states = 20 is too many" in capsys.readouterr().err
    assert np.allclose(energies(tmp_path / "run"), np.arange(20) + 0.5, atol=1e-3)


def test_nobody_reads_on() -> None:
    """As in `qspin list | head -1`."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = f"{sys.executable} -m qspin list | head -1"
    run = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True)
    assert len(run.stdout.splitlines()) == 1 and run.stderr == ""


def test_a_formula_is_solved(grid_run: Path) -> None:
    """Against published levels of the anharmonic oscillator, λ = 0.1 (Hioe and Montroll, 1975)."""
    np.testing.assert_allclose(energies(grid_run), [0.559146327, 1.769502644, 3.138624308], atol=2e-9)


def test_settings_repeat_a_run_bit_for_bit(grid_run: Path, tmp_path: Path, undrawn: None) -> None:
    again = tmp_path / "again"
    assert main(["solve", "--settings", str(grid_run / "settings.toml"), "--out", str(again), "--quiet"]) == 0
    assert np.array_equal(energies(again), energies(grid_run))
    assert (again / "settings.toml").read_text() == (grid_run / "settings.toml").read_text()


def test_resume_ends_a_training(
    training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn: None
) -> None:
    """Bit for bit, from the copy of a problem file that has changed since, and by another version of JAX."""
    again = tmp_path / "again"
    shutil.copytree(training.run, again)
    training.file.write_text("problem = None")
    (again / "spectrum.npz").unlink()
    settings = (again / "settings.toml").read_text().replace("grid = true", "grid = false")
    (again / "settings.toml").write_text(settings.replace('\njax = "', '\njax = "0.0 not '))
    assert main(["resume", str(again)]) == 0
    assert np.array_equal(energies(again), energies(training.run))
    assert "the settings were made with jax 0.0 not" in capsys.readouterr().err


def test_a_formula_that_begins_with_a_minus_sign() -> None:
    """-1/r is no option, and -4e1 is a number."""
    words = (
        "--potential -1/r --dim 2 --mass 0.5 --box -4e1 40 --singularity 0 0 --singularity 1 -1 --states=2"
    )
    given = parsed(["solve", *words.split(), "--no-grid", "mine.py", "--periodic", "--widths", "[8, 9]"])
    problem = {"potential": "-1/r", "dim": 2, "mass": [0.5], "box": [-40, 40], "periodic": True}
    assert given.given["problem"] == {**problem, "singularities": [[0, 0], [1, -1]]}
    assert given.given["run"] == {"states": 2, "grid": False} and given.file == "mine.py"
    assert given.given["method"] == {"widths": [8, 9]}


@pytest.mark.parametrize("saved", [True, False])
def test_an_interruption_says_how_to_go_on(
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    saved: bool,
) -> None:
    out = tmp_path / "run"

    def interrupted(*args: object, checkpoint: Path, **options: object) -> None:
        raise Interrupted("interrupted", 400, 600, checkpoint if saved else None)

    monkeypatch.setattr("qspin.run.command.solve", interrupted)
    assert main(["solve", problem, "--out", str(out), "--method", "spin", "--steps", "600"]) == 130
    said = capsys.readouterr().err
    assert "interrupted at step 400 of 600" in said
    assert (f"`qspin resume {out}` goes on" in said) == saved


def test_a_direct_method_that_is_interrupted_leaves_no_half_written_file(
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    undrawn: None,
) -> None:
    """Nothing is written while it computes; a resumed run begins again, and what a killed one half wrote goes."""
    out = tmp_path / "run"

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(qspin.Grid, "solve", interrupted)
        assert main(["solve", problem, "--out", str(out), "--method", "grid"]) == 130
    assert sorted(path.name for path in out.iterdir()) == ["problem.py", "settings.toml"]
    assert "qspin resume" in capsys.readouterr().err
    (out / ".spectrum.npz.99999.part").write_bytes(b"half")
    assert main(["resume", str(out)]) == 0
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    assert np.allclose(qspin.load(out / "spectrum.npz").energies, [0.5, 1.5, 2.5], atol=1e-6)


def test_without_a_method_the_check_is_said(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn: None
) -> None:
    out = tmp_path / "run"
    assert main(["solve", problem, "--out", str(out)]) == 0
    assert "3 states by grid" in (said := capsys.readouterr().out)
    assert "checked by Grid(points=None, scheme=Elements(degree=16" in said
    settings = Settings(run={"out": str(out)}).overridden(read_settings(out / "settings.toml"))
    assert settings.method == {} and job(settings).method is None


def test_validate_judges(problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", problem, "--method", "grid"]) == 0
    assert "all agree." in capsys.readouterr().out
    wrong = tmp_path / "wrong.py"
    wrong.write_text(HARMONIC.replace("exact.harmonic(1.0", "exact.harmonic(1.1"))
    assert main(["validate", str(wrong), "--method", "grid", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["all_agree"] is False
    words = "--potential x**2/2 --box -8 8 --states 2 --method product-basis --json"
    assert main(["validate", *words.split()]) == 0
    judged = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(judged["grid"]["energies"], [0.5, 1.5], atol=1e-9)


def test_compare(grid_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn: None) -> None:
    other = tmp_path / "other"
    words = [word.replace("0.1*", "0.2*") for word in QUARTIC]
    assert main(["solve", *words, "--out", str(other), "--quiet"]) == 0
    capsys.readouterr()

    assert main(["compare", str(grid_run / "spectrum.npz"), str(grid_run)]) == 0
    assert "3 of 3 levels agree" in capsys.readouterr().out
    assert main(["compare", str(grid_run), str(other), "--json"]) == 1
    compared = json.loads(capsys.readouterr().out)
    assert compared["all_agree"] is False and compared["agrees"] == [False] * 3
    np.testing.assert_allclose(compared["differences"], energies(grid_run) - energies(other), atol=0)
    assert main(["compare", str(grid_run), str(other), "--quiet"]) == 1
    assert capsys.readouterr().out == ""
    assert main(["compare", str(grid_run), str(tmp_path / "nowhere.npz")]) == 2


def test_report_prints_what_was_written(
    grid_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page itself is tested with the function that writes it."""
    monkeypatch.setattr("qspin.run.run_folder.report", lambda folder: folder / "report.html")
    page = grid_run / "report.html"
    for words, said in (([], f"{page}\n"), (["--quiet"], "")):
        assert main(["report", str(grid_run), *words]) == 0
        assert capsys.readouterr().out == said
    assert main(["report", str(grid_run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": [str(page)]}


def test_plot_draws_what_is_asked_for(grid_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(grid_run), "--json"]) == 0
    drawn = [grid_run / "orbitals.png", grid_run / "levels.png"]
    assert json.loads(capsys.readouterr().out) == {"files": [str(path) for path in drawn]}
    whole = drawn[0].read_bytes()
    assert main(["plot", str(grid_run), "--states", "1", "--density", "--contours", "3", "--quiet"]) == 0
    assert capsys.readouterr().out == "" and drawn[0].read_bytes() != whole
    assert main(["plot", str(grid_run), "--contours", "-1"]) == 2
    assert "contours must be an integer of at least 0, got -1" in capsys.readouterr().err


def test_with_json_stdout_holds_one_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn: None
) -> None:
    """Whatever a problem file prints."""
    loud = tmp_path / "loud.py"
    loud.write_text(HARMONIC + "print('hello')")
    out = tmp_path / "run"
    grid = ["--method", "grid", "--json"]
    assert main(["solve", str(loud), *grid, "--out", str(out)]) == 0
    said = capsys.readouterr()
    solved = json.loads(said.out)
    assert solved["energies"] == energies(out).tolist() and solved["folder"] == str(out)
    assert solved["comparison"]["agrees"] == [True] * 3 and solved["grid"] is None
    assert set(solved["files"]) == {path.name for path in out.iterdir()}
    assert said.err == "hello\n"

    assert main(["list", str(tmp_path), "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["dim"], listed["states"]) == ("loud", 1, 3)
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["qspin"] == qspin.__version__ and len(facts["devices"]) == int(facts["device_count"])

    assert main(["solve", "nowhere.py", "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "does not exist" in said.err


@pytest.mark.parametrize(
    "command", ["solve", "resume", "validate", "compare", "plot", "report", "list", "info"]
)
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"\n  qspin {command}" in said and "exit status:" in said
    assert max(map(len, said.splitlines())) < 130


HELP = """
import time
import qspin
started = time.process_time()
from qspin.run.command import main
try:
    main(["--help"])
except SystemExit:
    import sys
    late = {"scipy.sparse", "matplotlib", "qspin.methods.grid.driver", "qspin.methods.ritz.driver"} & set(sys.modules)
    print(time.process_time() - started, *late, file=sys.stderr)
"""


def test_help_is_fast() -> None:
    """No more than a tenth of a second on top of `import qspin`, whose own time test_layers holds down."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", HELP], env=environment, capture_output=True, text=True)
    assert run.stdout.startswith("usage: qspin")
    seconds, *late = run.stderr.split()
    assert late == []
    assert float(seconds) < 0.1


def test_list_and_info(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-test itself is tested with the rest of `precision`."""
    assert main(["list"]) == 0
    assert "hydrogen_2d" in capsys.readouterr().out
    report = SimpleNamespace(ok=False)
    monkeypatch.setattr("qspin.methods.spin.driver.self_test_case", tuple)
    monkeypatch.setattr("qspin.numerics.precision.self_test", lambda cases: report)
    assert main(["info", "--check"]) == 1
    assert "ok=False" in capsys.readouterr().out
    report.ok = True
    assert main(["info", "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["self_test"]["ok"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["solve", "nowhere.py"], "does not exist"),
        (["solve", "{problem}", "--states", "0"], "n_states must be"),
        (["solve", "{problem}", "--averaging", "2"], "must be in (0, 1], got 2"),
        (["solve", "{problem}", "--preset", "paper"], "no preset 'paper'"),
        (["solve", "{problem}", "--method", "grid", "--states", "100000"], "100000"),
        (["solve"], "nothing to solve: give a problem FILE, or a formula by --potential"),
        (["solve", "{problem}", "--potential", "x"], "not both"),
        (["solve", "{problem}", "--mass", "2"], "mass: not beside a problem file"),
        (
            ["solve", "{problem}", "--method", "ritz", "--steps", "5"],
            "ritz has no setting 'steps'; it has: tol",
        ),
        (["solve", "{problem}", "--stpes"], "--stpes is no flag"),
        (["solve", "{problem}", "--states"], "--states needs a value"),
        (["solve", "{problem}", "--states", "three"], "[run] states must be a whole number, got 'three'"),
        (["solve", "--potential", "x**2 + q", "--box", "-8", "8"], "    x**2 + q\n           ^"),
        (["solve", "--potential", "x**2"], "needs either a box"),
        (["solve", "--potential", "x*y", "--box", "-8", "8", "3"], "LOW HIGH for each of 2, got 3 numbers"),
        (["solve", "--settings", "{folder}/nothing.toml"], "nothing.toml"),
        (["resume", "{folder}"], "no settings.toml"),
        (["plot", "{folder}"], "no file"),
        (["compare", "{folder}", "{folder}"], "no file"),
        (["list", "{folder}/nowhere"], "is not a folder"),
    ],
)
def test_bad_input_is_said_and_exits_2(
    arguments: list[str], said: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(problem=problem, folder=tmp_path / "empty") for word in arguments]
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "run")] if words[0] == "solve" else []
    assert main([*words, *out]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said_before_training(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["solve", problem, "--out", str(tmp_path / "file" / "run"), "--steps", "100000000"]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_said_too(problem: str, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert main(["solve", problem, "--out", str(tmp_path / "locked" / "run")]) == 2
