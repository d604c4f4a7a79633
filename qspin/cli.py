"""The command `qspin`: solve, validate, resume, plot, list, info."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qspin import runtime
from qspin.estimators import AveragedCovariance, AveragedJacobian
from qspin.interruption import Interrupted
from qspin.method import Method
from qspin.problem import Problem
from qspin.problem_file import ProblemFile, ProblemFileError, load_problem, shipped_problems
from qspin.solve import TrainingError, default_method, solve
from qspin.spectrum import Spectrum, partial_path
from qspin.spin import SpIN

if TYPE_CHECKING:
    from qspin.grid import Grid

__all__ = ["main"]

_VERSION = sys.modules["qspin"].__version__

_EXAMPLES = """examples:
  qspin solve problems/hydrogen_2d.py
  qspin solve problems/hydrogen_2d.py --states 9 --method spin --steps 50000 --out runs/h2d
  qspin solve problems/chlorine_dioxide.py --method grid --states 20
  qspin validate problems/harmonic_2d.py
  qspin plot runs/h2d
"""


class CommandError(Exception):
    """Something the user can mend; printed without a traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0: done (and, for `validate`, everything agrees); 1: `validate` or `info --check` found a disagreement; 2: input that
    cannot work; 3: training broke down; 130: interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except TrainingError as error:
        print(f"qspin: {error}", file=sys.stderr)
        return 3
    except (CommandError, ProblemFileError, ValueError, TypeError, OSError, MemoryError) as error:
        print(f"qspin: error: {error}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        said = f"interrupted at step {stop.step} of {stop.steps}"
        if stop.checkpoint is not None:
            said += f"; `qspin resume {stop.checkpoint.parent}` goes on"
        print(f"\nqspin: {said}.", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("\nqspin: interrupted; `qspin resume RUN` takes a run up again.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qspin",
        description="Many eigenstates of the Schrödinger equation, with error bars.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"qspin {_VERSION}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    sub = command("solve", _solve, "solve a problem file, check it on a grid, write spectra and pictures")
    _add_method(sub)
    sub.add_argument("--out", type=Path, metavar="FOLDER", help="run folder (default: runs/NAME)")
    sub.add_argument("--no-grid", action="store_true", help="leave out the grid referee")

    sub = command(
        "validate", _validate, "solve a problem two ways and against its closed form; exit 0 if all agree"
    )
    _add_method(sub)
    sub.add_argument("--json", action="store_true", help="print JSON instead of a table")

    sub = command("resume", _resume, "go on with an interrupted run")
    sub.add_argument("folder", type=Path, metavar="RUN")
    sub.add_argument("--quiet", action="store_true", help="no progress bar")

    sub = command("plot", _plot, "draw the pictures of a run again, or of a spectrum file")
    sub.add_argument("folder", type=Path, metavar="RUN", help="run folder or .npz file")

    sub = command("list", _list, "list problem files")
    sub.add_argument("folder", type=Path, nargs="?", help="folder to look in (default: the shipped problems)")

    sub = command("info", _info, "versions and devices")
    sub.add_argument("--check", action="store_true", help="compare compiled code with eager code and NumPy")
    return parser


def _add_method(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "file", metavar="FILE", help="a Python file that defines `problem`, or a shipped problem's name"
    )
    sub.add_argument("--states", type=int, metavar="N", help="number of states (default: the file's)")
    sub.add_argument(
        "--method", choices=["spin", "ritz", "grid"],
        help="default: ritz in one to three dimensions; spin past them, with a preset, and where its options are given",
    )  # fmt: skip
    sub.add_argument("--preset", metavar="NAME", help="a preset of the problem file, such as `paper`")
    sub.add_argument(
        "--estimator", choices=["covariance", "jacobian"], help="spin: averaged Σ, Π, or Algorithm 1"
    )
    sub.add_argument("--steps", type=int, help="spin: training steps")
    sub.add_argument("--batch-size", type=int, help="spin: points a step")
    sub.add_argument("--averaging", type=float, help="spin: rate of the moving averages, in (0, 1]")
    sub.add_argument("--tolerance", type=float, help="ritz: claimed error asked of every energy, relative")
    sub.add_argument(
        "--points", type=int, nargs="+", metavar="P", help="grid: points an axis, one number or one an axis"
    )
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--quiet", action="store_true", help="no progress bar")


def _choose(options: argparse.Namespace, file: ProblemFile) -> tuple[Problem, Method]:
    from dataclasses import replace

    from qspin.grid import Grid
    from qspin.ritz import Ritz

    problem, method = file.problem, SpIN()
    if options.preset is not None:
        if options.preset not in file.presets:
            known = ", ".join(file.presets) or "none"
            raise CommandError(f"{file.path} has no preset {options.preset!r}; it has: {known}.")
        problem, method = file.presets[options.preset]
    if options.method == "grid":
        return problem, _grid(options)
    given = {name: getattr(options, name) for name in ("steps", "batch_size", "averaging")}
    trained = (
        options.preset is not None
        or options.estimator is not None
        or any(v is not None for v in given.values())
    )
    if options.method == "ritz" or (options.method is None and not trained):
        direct = default_method(problem, _states(options, file))
        if options.method == "ritz" or isinstance(direct, Ritz):
            return problem, Ritz() if options.tolerance is None else Ritz(tolerance=options.tolerance)
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if options.estimator is not None:
        chosen = {"covariance": AveragedCovariance, "jacobian": AveragedJacobian}
        settings["estimator"] = chosen[options.estimator]()
    assert not isinstance(method, Grid)
    return problem, replace(method, **settings)


def _grid(options: argparse.Namespace) -> Grid:
    from qspin.grid import Grid

    points = getattr(options, "points", None)
    return Grid() if points is None else Grid(points=points[0] if len(points) == 1 else tuple(points))


def _states(options: argparse.Namespace, file: ProblemFile) -> int:
    return file.n_states if options.states is None else options.states


def _solve(options: argparse.Namespace) -> int:
    file = load_problem(options.file)
    problem, method = _choose(options, file)
    folder = _open_folder(options.out if options.out is not None else Path("runs") / problem.name)
    saved = {name: value for name, value in vars(options).items() if name not in ("run", "out", "quiet")}
    saved["file"] = str(file.path.resolve())
    _write_json(folder / "run.json", {"qspin": _VERSION, **saved})
    return _run_in(folder, options, problem, method, _states(options, file))


def _resume(options: argparse.Namespace) -> int:
    record = options.folder / "run.json"
    if not record.is_file():
        raise CommandError(f"{options.folder} is not a run folder: it has no run.json.")
    saved = json.loads(record.read_text())
    saved.pop("qspin")
    for leftover in options.folder.glob(".*.part"):  # half written by a process that was killed
        leftover.unlink(missing_ok=True)
    options = argparse.Namespace(**saved, folder=options.folder, quiet=options.quiet)
    file = load_problem(options.file)
    problem, method = _choose(options, file)
    return _run_in(options.folder, options, problem, method, _states(options, file))


def _run_in(
    folder: Path, options: argparse.Namespace, problem: Problem, method: Method, n_states: int
) -> int:
    progress = False if options.quiet else None
    checkpoint = folder / "checkpoint.npz"  # of a method that trains
    spectrum = solve(problem, n_states, method, seed=options.seed, progress=progress, checkpoint=checkpoint)
    spectrum.save(folder / "spectrum.npz")
    print(spectrum)
    reference = _referee(problem, n_states, options, spectrum)
    if reference is not None:
        reference.save(folder / "grid.npz")
    comparison = None
    if reference is not None and reference is not spectrum:
        comparison = spectrum.compare(reference)
        print(f"\n{spectrum.method} against {reference.method}:\n{comparison}")
        _write_json(folder / "comparison.json", comparison.to_dict())
    elif spectrum.exact is not None:
        print("\n" + _against_exact(spectrum))
        _write_json(folder / "comparison.json", _exact_record(spectrum))
    _draw(spectrum, reference if reference is not spectrum else None, folder)
    print(f"\nwritten to {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    return 0


def _referee(
    problem: Problem, n_states: int, options: argparse.Namespace, spectrum: Spectrum
) -> Spectrum | None:
    """The same Hamiltonian on a grid; the spectrum itself if it is one; None where a grid cannot follow."""
    if spectrum.method == "grid":
        return spectrum
    if options.no_grid:
        return None
    if problem.dim > 3:
        print(f"no grid referee: a grid cannot follow in {problem.dim} dimensions.", file=sys.stderr)
        return None
    reference = solve(problem, n_states, _grid(options), seed=options.seed)
    print(f"\n{reference}")
    return reference


def _exact_record(spectrum: Spectrum) -> dict[str, Any]:
    assert spectrum.exact is not None
    exact = spectrum.exact[: spectrum.n_states]
    return {
        "labels": [spectrum.method, "exact"],
        "units": spectrum.units,
        "energies": spectrum.energies.tolist(),
        "errors": spectrum.errors.tolist(),
        "exact": exact.tolist(),
        "exact_differences": (spectrum.energies - exact).tolist(),
        "agrees": _agrees_with_exact(spectrum).tolist(),
    }


def _agrees_with_exact(spectrum: Spectrum) -> np.ndarray:
    assert spectrum.exact is not None
    return np.abs(spectrum.energies - spectrum.exact[: spectrum.n_states]) <= 3 * spectrum.errors


def _against_exact(spectrum: Spectrum) -> str:
    record = _exact_record(spectrum)
    lines = [
        f"{'level':>5}  {spectrum.method + ' energy':>16}  {'± error':>8}  {'exact':>16}  {'off by':>9}  verdict"
    ]
    columns = zip(
        *(record[name] for name in ("energies", "errors", "exact", "exact_differences", "agrees")),
        strict=True,
    )
    for k, (energy, error, exact, difference, agrees) in enumerate(columns):
        verdict = "agrees" if agrees else f"DIFFERS by {abs(difference) / error:.1f} errors"
        lines.append(
            f"{k:>5}  {energy:>16.9g}  {error:>8.1e}  {exact:>16.9g}  {difference:>+9.1e}  {verdict}"
        )
    return "\n".join(lines)


def _validate(options: argparse.Namespace) -> int:
    from qspin.validation import validate

    file = load_problem(options.file)
    problem, method = _choose(options, file)
    progress = False if options.quiet or options.json else None
    judged = validate(
        problem, _states(options, file), method, grid=_grid(options), seed=options.seed, progress=progress
    )
    if options.json:
        print(json.dumps(judged.to_dict(), indent=2))
    else:
        print(judged)
        print("\nall agree." if judged.ok else "\nNOT all agree.")
    return 0 if judged.ok else 1


def _plot(options: argparse.Namespace) -> int:
    from qspin.files import load

    folder = options.folder if options.folder.is_dir() else options.folder.parent
    spectrum = load(folder / "spectrum.npz" if options.folder.is_dir() else options.folder)
    grid = folder / "grid.npz"
    reference = (
        load(grid) if options.folder.is_dir() and grid.exists() and spectrum.method != "grid" else None
    )
    for path in _draw(spectrum, reference, folder):
        print(path)
    return 0


def _draw(spectrum: Spectrum, reference: Spectrum | None, folder: Path) -> list[Path]:
    from qspin import plot

    return plot.save_all(spectrum, folder, reference=reference)


def _list(options: argparse.Namespace) -> int:
    if options.folder is not None and not options.folder.is_dir():
        raise CommandError(f"{options.folder} is not a folder.")
    paths = sorted(options.folder.glob("*.py")) if options.folder else list(shipped_problems().values())
    width = max((len(path.stem) for path in paths), default=0)
    for path in paths:
        try:
            file = load_problem(path)
            print(f"{path.stem:<{width}}  {file.problem.dim}D  {file.n_states:>3} states  {file.title}")
        except ProblemFileError as error:
            print(f"{path.stem:<{width}}  {error}")
    return 0


def _info(options: argparse.Namespace) -> int:
    for name, value in runtime.describe().items():
        print(f"{name:<13}{value}")
    if not options.check:
        return 0
    from qspin.spin import self_test_case

    with runtime.double_precision():
        result = runtime.self_test([self_test_case()])
    print(result)
    return 0 if result.ok else 1


def _write_json(path: Path, record: Any) -> None:
    partial = partial_path(path)
    partial.write_text(json.dumps(record, indent=2) + "\n")
    partial.replace(path)  # whole or not at all, should somebody pull the plug


def _open_folder(folder: Path) -> Path:
    """Make a run folder and prove that it can be written, before anything is trained; an earlier run moves aside."""
    try:
        if (folder / "run.json").exists():
            earlier = next(
                p for n in range(1, 10_000) if not (p := folder.with_name(f"{folder.name}.{n}")).exists()
            )
            shutil.move(folder, earlier)
            print(f"qspin: the earlier run in {folder} is now in {earlier}.", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise CommandError(f"the output folder {folder} cannot be written: {error}.") from error
    return folder
