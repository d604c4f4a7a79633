"""The command: what it writes, what it says, and its exit status."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import qspin
from qspin.cli import main
from qspin.interruption import Interrupted

HARMONIC = """
import qspin
problem = qspin.Problem(
    qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(1.0)),
    qspin.Box.cube(7.0, dim=1), exact=qspin.exact.harmonic(1.0, dim=1), name="mine")
n_states = 3
"""
FAST = ["--steps", "600", "--batch-size", "64"]


@pytest.fixture
def problem(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(HARMONIC)
    return str(path)


def test_solve_writes_everything(problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["solve", problem, "--out", str(out), *FAST]) == 0
    said = capsys.readouterr()
    assert "spin against grid" in said.out
    assert said.err == ""  # quiet where stderr is not a terminal
    for name in ("spectrum.npz", "grid.npz", "comparison.json", "orbitals.png", "levels.png", "history.png"):
        assert (out / name).stat().st_size > 100
    comparison = json.loads((out / "comparison.json").read_text())
    assert comparison["exact"] == [0.5, 1.5, 2.5]
    spectrum = qspin.load(out / "spectrum.npz")
    assert np.allclose(spectrum.energies, comparison["energies"], rtol=0, atol=0)
    assert np.allclose(qspin.load(out / "grid.npz").energies, [0.5, 1.5, 2.5], atol=1e-6)

    (out / "orbitals.png").unlink()
    assert main(["plot", str(out)]) == 0
    assert (out / "orbitals.png").exists()


def test_an_earlier_run_is_moved_aside(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    for _ in range(2):
        assert main(["solve", problem, "--out", str(out), "--method", "grid"]) == 0
    assert (tmp_path / "run.1" / "spectrum.npz").exists()
    assert "run.1" in capsys.readouterr().err


def test_resume_ends_where_the_run_would_have_ended(problem: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main(["solve", problem, "--out", str(out), "--no-grid", *FAST]) == 0
    first = qspin.load(out / "spectrum.npz").energies
    (out / "spectrum.npz").unlink()
    assert main(["resume", str(out)]) == 0
    assert np.array_equal(qspin.load(out / "spectrum.npz").energies, first)


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

    monkeypatch.setattr("qspin.cli.solve", interrupted)
    assert main(["solve", problem, "--out", str(out), *FAST]) == 130
    said = capsys.readouterr().err
    assert "interrupted at step 400 of 600" in said
    assert (f"`qspin resume {out}` goes on" in said) == saved


def test_a_direct_method_that_is_interrupted_leaves_no_half_written_file(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written while it computes; a resumed run begins again, and what a killed one half wrote goes."""
    out = tmp_path / "run"

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(qspin.Grid, "solve", interrupted)
        assert main(["solve", problem, "--out", str(out), "--method", "grid"]) == 130
    assert [path.name for path in out.iterdir()] == ["run.json"]
    assert "qspin resume" in capsys.readouterr().err
    (out / ".spectrum.npz.99999.part").write_bytes(b"half")
    assert main(["resume", str(out)]) == 0
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    assert np.allclose(qspin.load(out / "spectrum.npz").energies, [0.5, 1.5, 2.5], atol=1e-6)


def test_validate_judges(problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", problem, "--method", "grid"]) == 0
    assert "all agree." in capsys.readouterr().out
    wrong = tmp_path / "wrong.py"
    wrong.write_text(HARMONIC.replace("exact.harmonic(1.0", "exact.harmonic(1.1"))
    assert main(["validate", str(wrong), "--method", "grid", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["all_agree"] is False


def test_list_and_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "hydrogen_2d" in capsys.readouterr().out
    assert main(["info", "--check"]) == 0
    assert "u and Hu of a network" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["solve", "nowhere.py"], "does not exist"),
        (["solve", "{problem}", "--states", "0"], "n_states must be"),
        (["solve", "{problem}", "--averaging", "2"], "averaging must be in"),
        (["solve", "{problem}", "--preset", "paper"], "no preset 'paper'"),
        (["solve", "{problem}", "--method", "grid", "--states", "100000"], "100000"),
        (["resume", "{folder}"], "no run.json"),
        (["plot", "{folder}"], "no file"),
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
