"""The command `qspin`: solve, resume, validate, compare, plot, report, list, info."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, TextIO, get_args, get_origin

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


@dataclass(frozen=True)
class Console:
    """The two streams of a command: results to stdout, remarks to stderr; under --json stdout holds one document."""

    json: bool
    quiet: bool
    out: TextIO = field(default_factory=lambda: sys.stdout)

    def say(self, text: object) -> None:
        """A result, for people."""
        if not self.json:
            self._print(text)

    def document(self, record: Any) -> None:
        """The same result, for programs; once a command."""
        if self.json:
            self._print(run_folder.json_text(record))

    def note(self, text: str) -> None:
        """A remark; --quiet silences it."""
        if not self.quiet:
            print(f"qspin: {text}", file=sys.stderr)

    def _print(self, text: object) -> None:
        try:
            print(text, file=self.out, flush=True)
        except BrokenPipeError:  # nobody reads on, as in `qspin list | head -1`; the exit status still counts
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, which scripts can rely on: `qspin --help` lists what each means.

    Results go to stdout, errors and remarks to stderr; with --json stdout holds one JSON document, or nothing where the status
    is 2, 3 or 130.
    """
    try:
        options = parsed(sys.argv[1:] if arguments is None else arguments)
        console = Console(options.json, options.quiet)
        # Whatever anything else prints (a problem file, say) is no part of the document.
        with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
            return options.run(options, console)
    except TrainingError as error:
        print(f"qspin: {error}", file=sys.stderr)
        return 3
    except (ValueError, TypeError, OSError, MemoryError) as error:
        print(f"qspin: error: {error}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        text = f"interrupted at step {stop.step} of {stop.steps}"
        if stop.checkpoint is not None:
            text += f"; `qspin resume {stop.checkpoint.parent}` goes on"
        print(f"\nqspin: {text}.", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("\nqspin: interrupted; `qspin resume RUN` takes a run up again.", file=sys.stderr)
        return 130


# --- the commands: each function is one, its docstring is its help, and it returns the exit status

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
def _solve(options: argparse.Namespace, console: Console) -> int:
    """Solve a problem, compare it with a grid, write spectra and pictures."""
    settings = _settings(options)
    todo = job(settings)
    _note_changes(settings, console)
    with run_folder.new_run(todo, console.note):
        return _carry_out(todo, console)


@_command("  qspin resume runs/h2d", {"folder": _RUN})
def _resume(options: argparse.Namespace, console: Console) -> int:
    """Go on with an interrupted run, from its last checkpoint."""
    settings = run_folder.read_run(options.folder)
    _note_changes(settings, console)
    if run_folder.is_finished(options.folder):
        evaluated = "is finished: nothing is trained, the states are evaluated again"
        console.note(f"the run in {options.folder} {evaluated}.")
    return _carry_out(job(settings), console)


def _note_changes(settings: Settings, console: Console) -> None:
    """Say where versions or the machine are not those that the settings were made with."""
    now = precision.describe()
    then = settings.made_with.items()
    changed = [f"{key} {value}, now {now.get(key)}" for key, value in then if now.get(key) != value]
    if changed:
        console.note(f"the settings were made with {'; '.join(changed)}: the last digits may differ.")


def _carry_out(todo: Job, console: Console) -> int:
    """Solve, compare with the grid or the closed form, draw, and say so."""
    from qspin.draw import save_all  # Matplotlib: not before it is needed

    folder, problem, n_states = todo.out, todo.problem, todo.n_states
    checkpoint, progress = run_folder.checkpoint(folder, todo), False if console.quiet else None
    spectrum = solve(problem, n_states, todo.method, seed=todo.seed, progress=progress, checkpoint=checkpoint)
    reference, comparison = None, None
    spectrum.save(folder / run_folder.SPECTRUM)
    console.say(spectrum)
    if spectrum.method == "grid":
        spectrum.save(folder / run_folder.GRID)
    elif todo.reference is not None and problem.dim > 3:
        console.note(f"nothing is compared with a grid, which does not reach {problem.dim} dimensions.")
    elif todo.reference is not None:
        reference = solve(problem, n_states, todo.reference, seed=todo.seed)
        reference.save(folder / run_folder.GRID)
        comparison = spectrum.compare(reference)
        console.say(f"\n{reference}")
    if comparison is None and spectrum.exact is not None:
        comparison = spectrum.compare_with_exact()
    if comparison is not None:
        console.say(f"\n{' against '.join(comparison.labels)}:\n{comparison}")
        run_folder.keep_comparison(folder, comparison)
    save_all(spectrum, folder, reference)
    files = sorted(path.name for path in folder.iterdir())
    console.say(f"\nwritten to {folder}: {', '.join(files)}")
    record = {
        **_record(spectrum),
        "seed": todo.seed,
        "grid": None if reference is None else _record(reference),
        "comparison": None if comparison is None else comparison.to_dict(),
        "folder": str(folder),
        "files": files,
    }
    console.document(record)
    return 0


def _record(spectrum: Spectrum) -> dict[str, Any]:
    names = ("method", "units", "energies", "errors", "residuals", "converged", "status")
    values = {name: getattr(spectrum, name) for name in names}
    return {"problem": spectrum.name, **values, "seconds": spectrum.provenance.get("seconds")}


@_command('  qspin validate harmonic_2d\n  qspin validate --potential "x**4" --box -5 5 --json')
def _validate(options: argparse.Namespace, console: Console) -> int:
    """Solve a problem two ways and against its closed form; exit 0 if all agree."""
    from qspin.run.validation import validate

    todo, progress = job(_settings(options)), False if console.quiet else None
    grid: Any = todo.reference
    judged = validate(todo.problem, todo.n_states, todo.method, grid=grid, seed=todo.seed, progress=progress)
    console.say(f"{judged}\n\n{'all agree.' if judged.ok else 'NOT all agree.'}")
    console.document(judged.to_dict())
    return 0 if judged.ok else 1


@_command(
    "  qspin compare runs/h2d/spectrum.npz runs/h2d_spin",
    {"first": _SOLVED, "second": {"type": Path, "help": "the reference"}},
)
def _compare(options: argparse.Namespace, console: Console) -> int:
    """Compare two spectra level by level; exit 0 if all agree."""
    paths = (options.first, options.second)
    first, second = (run_folder.read_spectra(path)[0] for path in paths)
    comparison = first.compare(second)
    ok = bool(comparison.agrees.all())
    if not console.quiet:
        console.say(f"{options.first} against {options.second}:\n{comparison}")
    console.document({**comparison.to_dict(), "files": list(map(str, paths)), "all_agree": ok})
    return 0 if ok else 1


@_command(
    "  qspin plot runs/h2d --states 0 3 8 --density --contours 6",
    {
        "folder": {**_SOLVED, "metavar": "RUN"},
        "--states": {"type": int, "nargs": "+", "metavar": "K", "help": "orbitals to draw (default: all)"},
        "--density": {"action": "store_const", "const": True, "help": "draw |ψ|² instead of ψ"},
        "--contours": {"type": int, "metavar": "N", "help": "contours of V on planes (default: none)"},
    },
)
def _plot(options: argparse.Namespace, console: Console) -> int:
    """Draw the pictures of a run again, or of a spectrum file."""
    from qspin.draw import save_all

    spectrum, reference = run_folder.read_spectra(options.folder)
    folder = options.folder if options.folder.is_dir() else options.folder.parent
    choices = {name: getattr(options, name) for name in ("states", "density", "contours")}
    given = {name: value for name, value in choices.items() if value is not None}
    return _written(save_all(spectrum, folder, reference, **given), console)


@_command("  qspin report runs/h2d", {"folder": _RUN})
def _report(options: argparse.Namespace, console: Console) -> int:
    """Write one HTML page about a run; prints its path."""
    return _written([run_folder.report(options.folder)], console)


def _written(paths: list[Path], console: Console) -> int:
    names = list(map(str, paths))
    if not console.quiet:
        console.say("\n".join(names))
    console.document({"files": names})
    return 0


@_command(
    "  qspin list my_problems --json",
    {"folder": {"type": Path, "nargs": "?", "help": "folder to look in (default: shipped problems)"}},
)
def _list(options: argparse.Namespace, console: Console) -> int:
    """List problem files."""
    if options.folder is not None and not options.folder.is_dir():
        raise SettingsError(f"{options.folder} is not a folder.")
    paths = sorted(options.folder.glob("*.py")) if options.folder else list(shipped_problems().values())
    width = max((len(path.stem) for path in paths), default=0)
    entries: list[dict[str, Any]] = []
    for path in paths:
        try:
            file = load_problem(path)
            facts = {"dim": file.problem.dim, "states": file.n_states, "title": file.title}
            facts["presets"] = list(file.presets)
            text = f"{file.problem.dim}D  {file.n_states:>3} states  {file.title}"
        except ProblemFileError as error:
            facts, text = {"error": str(error)}, str(error)
        console.say(f"{path.stem:<{width}}  {text}")
        entries.append({"name": path.stem, "path": str(path), **facts})
    console.document(entries)
    return 0


@_command(
    "  qspin info --check",
    {"--check": {"action": "store_true", "help": "compare compiled code with eager code and NumPy"}},
)
def _info(options: argparse.Namespace, console: Console) -> int:
    """Versions and devices."""
    import jax

    facts: dict[str, Any] = {**precision.describe(), "devices": [str(device) for device in jax.devices()]}
    for name, value in facts.items():
        console.say(f"{name:<13}{', '.join(value) if isinstance(value, list) else value}")
    ok = True
    if options.check:
        from qspin.methods.spin.driver import self_test_case

        with precision.double_precision():
            result = precision.self_test([self_test_case()])
        console.say(result)
        ok = result.ok
        facts["self_test"] = {"ok": ok, "report": str(result).splitlines()}
    console.document(facts)
    return 0 if ok else 1


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


# What is typed otherwise than as --KEY.
_FLAGS = {"problem.file": "problem.file", "problem.singularities": "--singularity", "method.name": "--method"}
_FLAGS |= {"run.grid": "--no-grid"}


def _arguments(command: str) -> _Arguments:
    """What a command takes, by flag: for solve and validate all settings, as tables of `KEYS` hold them."""
    arguments = dict(_COMMANDS[command][2])
    if command in ("solve", "validate"):
        arguments["--settings"] = {"type": Path, "metavar": "TOML", "help": "a file of settings; flags win"}
        left_out = {"problem.source"} | ({"run.out", "run.grid"} if command == "validate" else set())
        for place in (f"{table}.{key}" for table, keys in KEYS.items() for key in keys):
            if place not in left_out:
                arguments[_FLAGS.get(place, f"--{place.partition('.')[2]}")] = _flag(place)
    arguments["--json"] = {"action": "store_true", "help": "print one JSON document instead of tables"}
    arguments["--quiet"] = {"action": "store_true", "help": "no progress bar, no remarks, no paths"}
    return arguments


def _flag(place: str) -> dict[str, Any]:
    """What argparse needs to know of a setting."""
    table, _, key = place.partition(".")
    kind, text = KEYS[table][key]
    if key == "file":
        return {"nargs": "?", "metavar": "FILE", "help": text}
    depth, kind = 0, get_args(kind)[-1] if isinstance(kind, UnionType) else kind
    while get_origin(kind) is list:
        depth, kind = depth + 1, get_args(kind)[0]
    options: dict[str, Any] = {"dest": place, "help": text}
    if kind is bool:
        return {**options, "action": "store_const", "const": key != "grid"}
    options |= {"type": kind, "metavar": key.upper(), "nargs": "+" if depth else None}
    return {**options, "action": "append"} if depth == 2 else options


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; `run` of them is its function, `given` the settings of a method that no other flag is.

    Raises ValueError for a flag that is neither; ends the process, as argparse does, for --help and other errors.
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
    for name, (run, examples, _) in _COMMANDS.items():
        text, more = run.__doc__, _METHOD_HELP if name in ("solve", "validate") else ""
        sub = commands.add_parser(
            name,
            help=text[0].lower() + text[1:].rstrip("."),
            description=text,
            epilog=f"examples:\n{examples}\n\n{more}{_STATUS}",
            **common,
        )
        # A formula such as -1/r, a number such as -4e1: what begins with one minus sign is a value, not a flag.
        sub._negative_number_matcher = re.compile("-[^-]")
        for flag, options in _arguments(name).items():
            sub.add_argument(flag, **options)
        sub.set_defaults(run=run)
    rest, given = list(words), dict[str, Any]()
    if rest[:1] in (["solve"], ["validate"]):
        rest, given = _without_method_settings(rest, {*_arguments(rest[0]), "--help"})
    return top.parse_args(rest, argparse.Namespace(given=given))


def _without_method_settings(words: list[str], known: set[str]) -> tuple[list[str], dict[str, Any]]:
    """The words that argparse knows, and all other flags with their values, as settings of the method."""
    rest, given, queue = [], {}, iter(words)
    for word in queue:
        flag, equals, value = word.partition("=")
        if flag in known or not re.fullmatch(r"--[a-z][\w-]*", flag):
            rest.append(word)
            continue
        value = value if equals else next(queue, "--")
        if value.startswith("--"):
            no = f"is no flag of `qspin {words[0]}`, nor a setting of a method with a value"
            raise SettingsError(f"{flag} {no}.")
        given[flag[2:].replace("-", "_")] = value_of(value)
    return rest, given


def _settings(options: argparse.Namespace) -> Settings:
    """What the flags say, on top of the settings file. Raises SettingsError where that is no problem."""
    tables: dict[str, Any] = {name: {} for name in KEYS}
    for place, value in vars(options).items():
        table, dot, key = place.partition(".")
        if dot and value is not None:
            tables[table][key] = value
    tables["method"] |= options.given
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
