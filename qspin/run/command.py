"""The command `qspin`: solve, resume, validate, compare, plot, report, list, info."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qspin.numerics import precision
from qspin.run import run_folder
from qspin.run.arguments import asked, parser, protected
from qspin.run.checkpoint import Interrupted
from qspin.run.console import Console
from qspin.run.problem_file import ProblemFileError, load_problem, shipped_problems
from qspin.run.settings_file import Job, Settings, job
from qspin.run.solve import TrainingError, solve
from qspin.spectrum.spectrum import Spectrum

__all__ = ["main"]


class CommandError(Exception):
    """Something the user can mend; printed without a traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, which scripts can rely on.

    0: done (and, for `validate` and `compare`, everything agrees); 1: `validate`, `compare` or `info --check` found a
    disagreement; 2: input that cannot work; 3: training broke down; 130: interrupted. Results go to stdout, errors and remarks
    to stderr; with --json stdout holds one JSON document, or nothing where the status is 2, 3 or 130.
    """
    options = parser(_COMMANDS).parse_args(list(protected(sys.argv[1:] if arguments is None else arguments)))
    console = Console(getattr(options, "json", False), getattr(options, "quiet", False), sys.stdout)
    try:
        with console.guarded():
            return options.run(options, console)
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


def _solve(options: argparse.Namespace, console: Console) -> int:
    settings = asked(options)
    todo = job(settings)
    _note_changes(settings, console)
    earlier = run_folder.open_folder(todo.out)
    if earlier is not None:
        console.note(f"the earlier run in {todo.out} is now in {earlier}.")
    run_folder.record(todo.out, todo)
    return _run_in(todo.out, todo, console)


def _resume(options: argparse.Namespace, console: Console) -> int:
    settings = run_folder.read_run(options.folder)
    _note_changes(settings, console)
    return _run_in(options.folder, job(settings), console)


def _note_changes(settings: Settings, console: Console) -> None:
    """Say where versions or the machine are not those that the settings were made with."""
    now = precision.describe()
    changed = [
        f"{key} {then}, now {now.get(key)}"
        for key, then in settings.made_with.items()
        if now.get(key) != then
    ]
    if changed:
        console.note(f"the settings were made with {'; '.join(changed)}: the last digits may differ.")


def _run_in(folder: Path, todo: Job, console: Console) -> int:
    spectrum = solve(
        todo.problem,
        todo.n_states,
        todo.method,
        seed=todo.seed,
        progress=console.progress,
        checkpoint=run_folder.checkpoint(folder, todo),
    )
    run_folder.keep_spectrum(folder, spectrum)
    if spectrum.method == "grid":
        run_folder.keep_spectrum(folder, spectrum, referee=True)
    console.say(spectrum)
    reference = _referee(todo, spectrum, console)
    comparison = None
    if reference is not None:
        run_folder.keep_spectrum(folder, reference, referee=True)
        compared = spectrum.compare(reference)
        comparison = compared.to_dict()
        console.say(f"\n{reference}\n\n{spectrum.method} against {reference.method}:\n{compared}")
    elif spectrum.exact is not None:
        comparison = _exact_record(spectrum)
        console.say("\n" + _against_exact(comparison))
    if comparison is not None:
        run_folder.keep_comparison(folder, comparison)
    run_folder.draw(folder, spectrum, reference)
    files = sorted(path.name for path in folder.iterdir())
    console.say(f"\nwritten to {folder}: {', '.join(files)}")
    console.document(
        {
            **_spectrum_record(spectrum),
            "seed": todo.seed,
            "grid": None if reference is None else _spectrum_record(reference),
            "comparison": comparison,
            "folder": str(folder),
            "files": files,
        }
    )
    return 0


def _referee(todo: Job, spectrum: Spectrum, console: Console) -> Spectrum | None:
    """The same Hamiltonian on a grid; None where that is what was solved, is not wanted, or cannot follow."""
    if todo.referee is None or spectrum.method == "grid":
        return None
    if todo.problem.dim > 3:
        console.note(f"no grid referee: a grid cannot follow in {todo.problem.dim} dimensions.")
        return None
    return solve(todo.problem, todo.n_states, todo.referee, seed=todo.seed)


def _spectrum_record(spectrum: Spectrum) -> dict[str, Any]:
    return {
        "problem": spectrum.name,
        "method": spectrum.method,
        "units": spectrum.units,
        "energies": spectrum.energies,
        "errors": spectrum.errors,
        "residuals": spectrum.residuals,
        "converged": spectrum.converged,
        "status": spectrum.status,
        "seconds": spectrum.provenance.get("seconds"),
    }


def _exact_record(spectrum: Spectrum) -> dict[str, Any]:
    assert spectrum.exact is not None
    exact = spectrum.exact[: spectrum.n_states]
    off = spectrum.energies - exact
    return {
        "labels": [spectrum.method, "exact"],
        "units": spectrum.units,
        "energies": spectrum.energies,
        "errors": spectrum.errors,
        "exact": exact,
        "exact_differences": off,
        "agrees": np.abs(off) <= 3 * spectrum.errors,
    }


def _against_exact(record: dict[str, Any]) -> str:
    method = record["labels"][0]
    lines = [f"{'level':>5}  {method + ' energy':>16}  {'± error':>8}  {'exact':>16}  {'off by':>9}  verdict"]
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


def _validate(options: argparse.Namespace, console: Console) -> int:
    from qspin.methods.grid.driver import Grid
    from qspin.run.validation import validate

    todo = job(asked(options))
    assert todo.referee is None or isinstance(todo.referee, Grid)
    judged = validate(
        todo.problem,
        todo.n_states,
        todo.method,
        grid=todo.referee,
        seed=todo.seed,
        progress=console.progress,
    )
    console.say(f"{judged}\n\n{'all agree.' if judged.ok else 'NOT all agree.'}")
    console.document(judged.to_dict())
    return 0 if judged.ok else 1


def _compare(options: argparse.Namespace, console: Console) -> int:
    first, second = (run_folder.read_spectrum(path)[0] for path in (options.first, options.second))
    compared = first.compare(second)
    ok = bool(compared.agrees.all())
    if not console.quiet:
        console.say(f"{options.first} against {options.second}:\n{compared}")
    console.document(
        {**compared.to_dict(), "files": [str(options.first), str(options.second)], "all_agree": ok}
    )
    return 0 if ok else 1


def _plot(options: argparse.Namespace, console: Console) -> int:
    spectrum, reference = run_folder.read_spectrum(options.folder)
    folder = options.folder if options.folder.is_dir() else options.folder.parent
    chosen = {name: getattr(options, name) for name in ("states", "density", "contours")}
    given = {name: value for name, value in chosen.items() if value is not None}
    return _written(run_folder.draw(folder, spectrum, reference, **given), console)


def _report(options: argparse.Namespace, console: Console) -> int:
    return _written([run_folder.report(options.folder)], console)


def _written(paths: list[Path], console: Console) -> int:
    if not console.quiet:
        for path in paths:
            console.say(path)
    console.document({"files": [str(path) for path in paths]})
    return 0


def _list(options: argparse.Namespace, console: Console) -> int:
    if options.folder is not None and not options.folder.is_dir():
        raise CommandError(f"{options.folder} is not a folder.")
    paths = sorted(options.folder.glob("*.py")) if options.folder else list(shipped_problems().values())
    width = max((len(path.stem) for path in paths), default=0)
    found: list[dict[str, Any]] = []
    for path in paths:
        entry: dict[str, Any] = {"name": path.stem, "path": str(path)}
        try:
            file = load_problem(path)
            entry |= {"dim": file.problem.dim, "states": file.n_states, "title": file.title}
            entry["presets"] = list(file.presets)
            console.say(f"{path.stem:<{width}}  {file.problem.dim}D  {file.n_states:>3} states  {file.title}")
        except ProblemFileError as error:
            entry["error"] = str(error)
            console.say(f"{path.stem:<{width}}  {error}")
        found.append(entry)
    console.document(found)
    return 0


def _info(options: argparse.Namespace, console: Console) -> int:
    import jax

    facts: dict[str, Any] = {**precision.describe(), "devices": [str(device) for device in jax.devices()]}
    for name, value in facts.items():
        console.say(f"{name:<13}{', '.join(value) if isinstance(value, list) else value}")
    result = None
    if options.check:
        from qspin.methods.spin.driver import self_test_case

        with precision.double_precision():
            result = precision.self_test([self_test_case()])
        console.say(result)
        facts["self_test"] = {"ok": result.ok, "report": str(result).splitlines()}
    console.document(facts)
    return 0 if result is None or result.ok else 1


_COMMANDS = {
    "solve": _solve,
    "resume": _resume,
    "validate": _validate,
    "compare": _compare,
    "plot": _plot,
    "report": _report,
    "list": _list,
    "info": _info,
}
