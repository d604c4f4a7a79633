"""The command `qspin`: solve, resume, validate, compare, plot, report, list, info."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import textwrap
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qspin.methods.base import METHODS
from qspin.numerics import precision
from qspin.run import run_folder
from qspin.run.checkpoint import Interrupted
from qspin.run.problem_file import ProblemFileError, load_problem, shipped_problems
from qspin.run.settings import KEYS, Job, Settings, SettingsError, job, read_settings, value_of
from qspin.run.solve import TrainingError, solve
from qspin.spectrum.spectrum import Spectrum

__all__ = ["main", "parsed"]

_VERSION = sys.modules["qspin"].__version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, which scripts can rely on: `qspin --help` lists what each means.

    Results go to stdout, errors and remarks to stderr; with --json stdout holds one JSON document, or nothing where the status
    is 2, 3 or 130.
    """
    out = sys.stdout
    try:
        options = parsed(sys.argv[1:] if arguments is None else arguments)
        # With --json whatever anything else prints (a problem file, say) is no part of the document.
        with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
            status, record = options.run(options)
        if options.json:
            _print(run_folder.json_text(record), out)
        return int(status)
    except SystemExit:  # of argparse, after --help
        _print("", out, end="")
        raise
    except TrainingError as error:
        print(f"qspin: {error}", file=sys.stderr)
        return 3
    except (ValueError, TypeError, OSError, MemoryError) as error:
        print(f"qspin: error: {error}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        goes_on = f"; `qspin resume {stop.checkpoint.parent}` goes on" if stop.checkpoint is not None else ""
        print(f"\nqspin: interrupted at step {stop.step} of {stop.steps}{goes_on}.", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("\nqspin: interrupted; `qspin resume RUN` takes a run up again.", file=sys.stderr)
        return 130


def _print(text: object, out: Any, end: str = "\n") -> None:
    try:
        print(text, file=out, flush=True, end=end)
    except BrokenPipeError:  # nobody reads on, as in `qspin list | head -1`; the exit status still counts
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


# --- the commands: each function is one, its docstring is its help, and it returns the exit status and the record for --json.
# Their options have `say`, which prints a result for people, and `note`, which prints a remark unless --quiet is given.

_Outcome = tuple[int, Any]
_Arguments = dict[str, dict[str, Any]]  # what argparse needs to know, by flag
_COMMANDS: dict[str, tuple[Any, str, _Arguments]] = {}  # function, examples, arguments of its own
_RUN = {"type": Path, "metavar": "RUN", "help": "run folder"}
_SOLVED = {"type": Path, "help": "spectrum file (.npz) or run folder"}


def _command(examples: str, arguments: _Arguments | None = None) -> Callable[[Any], Any]:
    def registered(run: Any) -> Any:
        _COMMANDS[run.__name__.strip("_")] = run, examples, arguments or {}
        return run

    return registered


@_command(
    """  qspin solve hydrogen_2d                                     a problem that comes with qspin
  qspin solve my_problem.py --states 9 --method spin --steps 50000 --out runs/mine
  qspin solve --potential "-1/r" --dim 2 --box -60 60 --singularity 0 0 --mass 0.5
  qspin solve --potential "0.5*r**2 + 0.1*x0**2*x3**2" --space --dim 4 --method sampled-ritz
  qspin solve my_problem.py --method my_module:MyMethod --order 8
  qspin solve --settings run.toml --seed 1 --json             a file of settings; flags win"""
)
def _solve(options: argparse.Namespace) -> _Outcome:
    """Solve a problem, compare it with a grid, write spectra and pictures."""
    settings = _settings(options)
    todo = job(settings)
    _note_changes(settings, options)
    with run_folder.new_run(todo, options.note):
        return _carry_out(todo, options)


@_command("  qspin resume runs/h2d", {"folder": _RUN})
def _resume(options: argparse.Namespace) -> _Outcome:
    """Go on with an interrupted run, from its last checkpoint."""
    settings = run_folder.read_run(options.folder)
    _note_changes(settings, options)
    if run_folder.is_finished(options.folder):
        evaluated = "is finished: nothing is trained, the states are evaluated again"
        options.note(f"the run in {options.folder} {evaluated}.")
    return _carry_out(job(settings), options)


def _note_changes(settings: Settings, options: argparse.Namespace) -> None:
    """Say where versions or the machine are not those that the settings were made with."""
    now = precision.describe()
    then = settings.made_with.items()
    changed = [f"{key} {value}, now {now.get(key)}" for key, value in then if now.get(key) != value]
    if changed:
        options.note(f"the settings were made with {'; '.join(changed)}: the last digits may differ.")


def _carry_out(todo: Job, options: argparse.Namespace) -> _Outcome:
    """Solve, compare with the grid or the closed form, draw, and say so."""
    from qspin.draw import save_all  # Matplotlib: not before it is needed

    folder, problem, n_states = todo.out, todo.problem, todo.n_states
    checkpoint, progress = run_folder.checkpoint(folder, todo), False if options.quiet else None
    spectrum = solve(problem, n_states, todo.method, seed=todo.seed, progress=progress, checkpoint=checkpoint)
    reference, comparison = None, None
    spectrum.save(folder / run_folder.SPECTRUM)
    options.say(spectrum)
    for check in spectrum.provenance.get("checked_by", []):
        off = float(np.abs(spectrum.energies - check["energies"]).max())
        options.say(f"checked by {check['method']}: energies at most {off:.1e} away")
    if spectrum.method == "grid":
        spectrum.save(folder / run_folder.GRID)
    elif todo.reference is not None and problem.dim > 3:
        options.note(f"nothing is compared with a grid, which does not reach {problem.dim} dimensions.")
    elif todo.reference is not None:
        try:
            reference = solve(problem, n_states, todo.reference, seed=todo.seed)
        except (ValueError, MemoryError) as error:  # the result stands
            options.note(f"nothing is compared with a grid: {error}")
        else:
            reference.save(folder / run_folder.GRID)
            comparison = spectrum.compare(reference)
            options.say(f"\n{reference}")
    if comparison is None and spectrum.exact is not None:
        comparison = spectrum.compare_with_exact()
    if comparison is not None:
        options.say(f"\n{' against '.join(comparison.labels)}:\n{comparison}")
        run_folder.keep_comparison(folder, comparison)
    save_all(spectrum, folder, reference)
    files = sorted(path.name for path in folder.iterdir())
    options.say(f"\nwritten to {folder}: {', '.join(files)}")
    return 0, {
        **_record(spectrum),
        "seed": todo.seed,
        "grid": None if reference is None else _record(reference),
        "comparison": None if comparison is None else comparison.to_dict(),
        "folder": str(folder),
        "files": files,
    }


def _record(spectrum: Spectrum) -> dict[str, Any]:
    names = ("method", "units", "energies", "errors", "residuals", "converged", "status")
    values = {name: getattr(spectrum, name) for name in names}
    return {"problem": spectrum.name, **values, "seconds": spectrum.provenance.get("seconds")}


@_command('  qspin validate harmonic_2d\n  qspin validate --potential "x**4" --box -5 5 --json')
def _validate(options: argparse.Namespace) -> _Outcome:
    """Solve a problem two ways and against its closed form; exit 0 if all agree."""
    from qspin.run.validation import validate

    todo, progress = job(_settings(options)), False if options.quiet else None
    grid: Any = todo.reference
    judged = validate(todo.problem, todo.n_states, todo.method, grid=grid, seed=todo.seed, progress=progress)
    options.say(f"{judged}\n\n{'all agree.' if judged.ok else 'NOT all agree.'}")
    return 1 - judged.ok, judged.to_dict()


@_command(
    "  qspin compare runs/h2d/spectrum.npz runs/h2d_spin",
    {"first": _SOLVED, "second": {"type": Path, "help": "the reference"}},
)
def _compare(options: argparse.Namespace) -> _Outcome:
    """Compare two spectra level by level; exit 0 if all agree."""
    paths = (options.first, options.second)
    first, second = (run_folder.read_spectra(path)[0] for path in paths)
    comparison = first.compare(second)
    ok = bool(comparison.agrees.all())
    if not options.quiet:
        options.say(f"{options.first} against {options.second}:\n{comparison}")
    return 1 - ok, {**comparison.to_dict(), "files": list(map(str, paths)), "all_agree": ok}


@_command(
    "  qspin plot runs/h2d --states 0 3 8 --density --contours 6",
    {
        "folder": {**_SOLVED, "metavar": "RUN"},
        "--states": {"type": int, "nargs": "+", "metavar": "K", "help": "orbitals to draw (default: all)"},
        "--density": {"action": "store_true", "help": "draw |ψ|² instead of ψ"},
        "--contours": {"type": int, "metavar": "N", "help": "contours of V on planes (default: none)"},
    },
)
def _plot(options: argparse.Namespace) -> _Outcome:
    """Draw the pictures of a run again, or of a spectrum file."""
    from qspin.draw import save_all

    spectrum, reference = run_folder.read_spectra(options.folder)
    folder = options.folder if options.folder.is_dir() else options.folder.parent
    choices = {name: getattr(options, name) for name in ("states", "density", "contours")}
    given = {name: value for name, value in choices.items() if value not in (None, False)}
    return _written(save_all(spectrum, folder, reference, **given), options)


@_command("  qspin report runs/h2d", {"folder": _RUN})
def _report(options: argparse.Namespace) -> _Outcome:
    """Write one HTML page about a run; prints its path."""
    return _written([run_folder.report(options.folder)], options)


def _written(paths: list[Path], options: argparse.Namespace) -> _Outcome:
    names = list(map(str, paths))
    if not options.quiet:
        options.say("\n".join(names))
    return 0, {"files": names}


@_command(
    "  qspin list my_problems --json",
    {"folder": {"type": Path, "nargs": "?", "help": "folder to look in (default: shipped problems)"}},
)
def _list(options: argparse.Namespace) -> _Outcome:
    """List problem files."""
    if options.folder is not None and not options.folder.is_dir():
        raise SettingsError(f"{options.folder} is not a folder.")
    paths = sorted(options.folder.glob("*.py")) if options.folder else list(shipped_problems().values())
    width = max((len(path.stem) for path in paths), default=0)
    entries = []
    for path in paths:
        facts: dict[str, Any]
        try:
            file = load_problem(path)
            facts = {"dim": file.problem.dim, "states": file.n_states, "title": file.title}
            facts["presets"] = list(file.presets)
            text = f"{file.problem.dim}D  {file.n_states:>3} states  {file.title}"
        except ProblemFileError as error:
            text = str(error)
            facts = {"error": text}
        options.say(f"{path.stem:<{width}}  {text}")
        entries.append({"name": path.stem, "path": str(path), **facts})
    return 0, entries


@_command(
    "  qspin info --check",
    {"--check": {"action": "store_true", "help": "compare compiled code with eager code and NumPy"}},
)
def _info(options: argparse.Namespace) -> _Outcome:
    """Versions and devices."""
    import jax

    facts: dict[str, Any] = {**precision.describe(), "devices": [str(device) for device in jax.devices()]}
    for name, value in facts.items():
        options.say(f"{name:<13}{', '.join(value) if isinstance(value, list) else value}")
    if not options.check:
        return 0, facts
    from qspin.methods.spin.driver import self_test_case

    with precision.double_precision():
        result = precision.self_test([self_test_case()])
    options.say(result)
    return 1 - result.ok, {**facts, "self_test": {"ok": result.ok, "report": str(result).splitlines()}}


# --- what can be typed

_METHOD_HELP = f"""methods: {", ".join(METHODS)}, or module:Class of any other.
Each of their settings, as in help(qspin.SpIN), is a flag, too, with a value as in a settings file:
  --steps 50000  --batch-size 512  --tolerance 1e-7  --widths "[64, 64]"  --estimator jacobian

a settings file has the tables [problem], [method] and [run], whose keys are the flags (singularities, grid = false).

"""
_STATUS = """exit status:
    0  done; for validate and compare: and everything agrees
    1  validate, compare or info --check found a disagreement
    2  input that cannot work
    3  training broke down
  130  interrupted
Errors and remarks go to stderr. With --json stdout holds one JSON document and nothing else, and nothing where the status
is 2, 3 or 130.
"""
_ALWAYS: _Arguments = {
    "--json": {"action": "store_true", "help": "print one JSON document instead of tables"},
    "--quiet": {"action": "store_true", "help": "no progress bar, no remarks, no paths"},
}
_WITH_SETTINGS: _Arguments = {
    "file": {"nargs": "?", "metavar": "FILE", "help": KEYS["problem"]["file"][1]},
    "--settings": {"type": Path, "metavar": "TOML", "help": "a file of settings; flags win"},
}

# The flags of solve and validate: table and key of each. Some are typed otherwise than as --KEY.
_SPELLING = {"singularities": "singularity", "grid": "no-grid"}
_FLAGS = {f"--{_SPELLING.get(key, key)}": (table, key) for table in ("problem", "run") for key in KEYS[table]}
_FLAGS["--method"] = ("method", "name")
del _FLAGS["--file"], _FLAGS["--source"]


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; `run` of them is its function, `given` the tables of settings that flags hold.

    Raises ValueError for a flag that there is not; ends the process, as argparse does, for --help and other errors.
    """
    common: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    top = argparse.ArgumentParser(
        prog="qspin",
        description="Many eigenstates of the Schrödinger equation, with error bars.",
        epilog=f"examples:\n{_COMMANDS['solve'][1]}\n  qspin COMMAND --help\n\n{_STATUS}",
        **common,
    )
    top.add_argument("--version", action="version", version=f"qspin {_VERSION}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (run, examples, arguments) in _COMMANDS.items():
        text, settings = run.__doc__, name in ("solve", "validate")
        more = f"{_settings_help()}\n\n{_METHOD_HELP}" if settings else ""
        sub = commands.add_parser(
            name,
            help=text[0].lower() + text[1:].rstrip("."),
            description=text,
            epilog=f"{more}examples:\n{examples}\n\n{_STATUS}",
            **common,
        )
        for flag, options in {**arguments, **(_WITH_SETTINGS if settings else {}), **_ALWAYS}.items():
            sub.add_argument(flag, **options)
        sub.set_defaults(run=run)
    with_settings = list(words[:1]) in (["solve"], ["validate"])
    rest, given = _without_settings(list(words)) if with_settings else (words, {})
    chosen = top.parse_args(rest, argparse.Namespace(given=given))
    chosen.say = (lambda text: None) if chosen.json else (lambda text: _print(text, sys.stdout))
    chosen.note = lambda text: None if chosen.quiet else print(f"qspin: {text}", file=sys.stderr)
    return chosen


def _settings_help() -> str:
    """The flags that are settings, in lines."""
    lines = ["settings:"]
    for flag, (table, key) in _FLAGS.items():
        about = KEYS[table][key][1]
        lines += textwrap.wrap(about, 110, initial_indent=f"  {flag:<16}", subsequent_indent=" " * 18)
    return "\n".join(lines)


def _without_settings(words: list[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """The words that argparse knows, and all other flags with their values, as tables of settings.

    What begins with two minus signs is a flag; -1/r and -4e1 are values.
    """
    rest: list[str] = []
    given: dict[str, dict[str, Any]] = {table: {} for table in KEYS}
    queue = deque(words)
    while queue:
        flag, equals, value = queue[0].partition("=")
        if flag in ("--settings", "--help", *_ALWAYS) or not re.fullmatch(r"--[a-z][\w-]*", flag):
            rest.append(queue.popleft())
            continue
        queue.popleft()
        table, key = _FLAGS.get(flag, ("method", flag[2:].replace("-", "_")))
        kind = KEYS[table][key][0] if flag in _FLAGS else Any
        switch, several, values = "bool" in str(kind), "list" in str(kind), [value] if equals else []
        while queue and not queue[0].startswith("--") and not switch and (several or not values):
            values.append(queue.popleft())
        if not values and not switch:
            no = f"is no flag of `qspin {words[0]}`, nor a setting of a method with a value"
            raise SettingsError(f"{flag} needs a value." if flag in _FLAGS else f"{flag} {no}.")
        read = values if kind is str else [value_of(text) for text in values]
        if key == "singularities":
            read = [*given[table].get(key, []), read]
        given[table][key] = key != "grid" if switch else read if several else read[0]
    return rest, given


def _settings(options: argparse.Namespace) -> Settings:
    """What the flags say, on top of the settings file. Raises SettingsError where that is no problem."""
    tables = options.given
    if options.file is not None:
        tables["problem"]["file"] = options.file
    if {"file", "potential"} <= tables["problem"].keys():
        raise SettingsError("give either a problem FILE or a --potential, not both.")
    settings = Settings() if options.settings is None else read_settings(options.settings)
    settings = settings.overridden(Settings(**tables))
    if not settings.problem.keys() & {"file", "potential"}:
        raise SettingsError(
            "nothing to solve: give a problem FILE, or a formula by --potential with --box or --space, or --settings with "
            f"one of them. Problems that come with qspin, usable by name: {', '.join(shipped_problems()) or 'none'}."
        )
    return settings
