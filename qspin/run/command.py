"""The command `qspin`: solve, resume, validate, compare, plot, report, list, info."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Sequence
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
        except (
            BrokenPipeError
        ):  # nobody reads on, as in `qspin list | head -1`; files and exit status still count
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, which scripts can rely on.

    0: done (and, for `validate` and `compare`, everything agrees); 1: `validate`, `compare` or `info --check` found a
    disagreement; 2: input that cannot work; 3: training broke down; 130: interrupted. Results go to stdout, errors and remarks
    to stderr; with --json stdout holds one JSON document, or nothing where the status is 2, 3 or 130.
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


# --- the commands


def _solve(options: argparse.Namespace, console: Console) -> int:
    settings = _settings(options)
    todo = job(settings)
    _note_changes(settings, console)
    with run_folder.new_run(todo, console.note):
        return _run_in(todo.out, todo, console)


def _resume(options: argparse.Namespace, console: Console) -> int:
    settings = run_folder.read_run(options.folder)
    _note_changes(settings, console)
    if run_folder.is_finished(options.folder):
        console.note(
            f"the run in {options.folder} is finished: nothing is trained, the states are evaluated again."
        )
    return _run_in(options.folder, job(settings), console)


def _note_changes(settings: Settings, console: Console) -> None:
    """Say where versions or the machine are not those that the settings were made with."""
    now = precision.describe()
    then = settings.made_with.items()
    changed = [f"{key} {value}, now {now.get(key)}" for key, value in then if now.get(key) != value]
    if changed:
        console.note(f"the settings were made with {'; '.join(changed)}: the last digits may differ.")


def _run_in(folder: Path, todo: Job, console: Console) -> int:
    """Solve, compare with the grid or the closed form, draw, and say so."""
    checkpoint, progress = run_folder.checkpoint(folder, todo), False if console.quiet else None
    spectrum = solve(
        todo.problem, todo.n_states, todo.method, seed=todo.seed, progress=progress, checkpoint=checkpoint
    )
    reference, comparison = None, None
    console.say(run_folder.keep_spectrum(folder, spectrum))
    if todo.reference is not None and spectrum.method != "grid":
        if todo.problem.dim > 3:
            console.note(
                f"nothing is compared with a grid, which does not reach {todo.problem.dim} dimensions."
            )
        else:
            reference = solve(todo.problem, todo.n_states, todo.reference, seed=todo.seed)
            run_folder.keep_spectrum(folder, reference, judged=False)
            comparison = spectrum.compare(reference)
            console.say(f"\n{reference}")
    if comparison is None and spectrum.exact is not None:
        comparison = spectrum.compare_with_exact()
    if comparison is not None:
        console.say(f"\n{' against '.join(comparison.labels)}:\n{comparison}")
        run_folder.keep_comparison(folder, comparison)
    run_folder.draw(folder, spectrum, reference)
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


def _validate(options: argparse.Namespace, console: Console) -> int:
    from qspin.run.validation import validate

    todo, progress = job(_settings(options)), False if console.quiet else None
    grid: Any = todo.reference
    judged = validate(todo.problem, todo.n_states, todo.method, grid=grid, seed=todo.seed, progress=progress)
    console.say(f"{judged}\n\n{'all agree.' if judged.ok else 'NOT all agree.'}")
    console.document(judged.to_dict())
    return 0 if judged.ok else 1


def _compare(options: argparse.Namespace, console: Console) -> int:
    paths = (options.first, options.second)
    first, second = (run_folder.read_spectra(path)[0] for path in paths)
    comparison = first.compare(second)
    ok = bool(comparison.agrees.all())
    if not console.quiet:
        console.say(f"{options.first} against {options.second}:\n{comparison}")
    console.document({**comparison.to_dict(), "files": [str(path) for path in paths], "all_agree": ok})
    return 0 if ok else 1


def _plot(options: argparse.Namespace, console: Console) -> int:
    spectrum, reference = run_folder.read_spectra(options.folder)
    folder = options.folder if options.folder.is_dir() else options.folder.parent
    choices = {name: getattr(options, name) for name in ("states", "density", "contours")}
    given = {name: value for name, value in choices.items() if value is not None}
    return _written(run_folder.draw(folder, spectrum, reference, **given), console)


def _report(options: argparse.Namespace, console: Console) -> int:
    return _written([run_folder.report(options.folder)], console)


def _written(paths: list[Path], console: Console) -> int:
    if not console.quiet:
        console.say("\n".join(str(path) for path in paths))
    console.document({"files": [str(path) for path in paths]})
    return 0


def _list(options: argparse.Namespace, console: Console) -> int:
    if options.folder is not None and not options.folder.is_dir():
        raise SettingsError(f"{options.folder} is not a folder.")
    paths = sorted(options.folder.glob("*.py")) if options.folder else list(shipped_problems().values())
    width = max((len(path.stem) for path in paths), default=0)
    entries: list[dict[str, Any]] = []
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
        entries.append(entry)
    console.document(entries)
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


# --- what can be typed

_FOLDER = {"type": Path, "metavar": "RUN", "help": "run folder"}
_SOLVED = "spectrum file (.npz) or run folder"
# Name: function, help, arguments beside the settings, examples.
_COMMANDS: dict[str, tuple[Any, str, dict[str, dict[str, Any]], str]] = {
    "solve": (
        _solve,
        "solve a problem, compare it with a grid, write spectra and pictures",
        {},
        """  qspin solve hydrogen_2d                                     a problem that comes with qspin
  qspin solve my_problem.py --states 9 --method spin --steps 50000 --out runs/mine
  qspin solve --potential "-1/r" --dim 2 --box -60 60 --singularity 0 0 --mass 0.5
  qspin solve --potential "0.5*r**2 + 0.1*x0**2*x3**2" --space --dim 4 --method sampled-ritz
  qspin solve my_problem.py --method my_module:MyMethod --order 8
  qspin solve --settings run.toml --seed 1 --json             a file of settings; flags win""",
    ),
    "resume": (_resume, "go on with an interrupted run, from its last checkpoint", {"folder": _FOLDER}, ""),
    "validate": (
        _validate,
        "solve a problem two ways and against its closed form; exit 0 if all agree",
        {},
        '  qspin validate harmonic_2d\n  qspin validate --potential "x**4" --box -5 5 --json',
    ),
    "compare": (
        _compare,
        "compare two spectra level by level; exit 0 if all agree",
        {"first": {"type": Path, "help": _SOLVED}, "second": {"type": Path, "help": "the reference"}},
        "  qspin compare runs/h2d/spectrum.npz runs/h2d_spin",
    ),
    "plot": (
        _plot,
        "draw the pictures of a run again, or of a spectrum file",
        {
            "folder": {"type": Path, "metavar": "RUN", "help": _SOLVED},
            "--states": {
                "type": int,
                "nargs": "+",
                "metavar": "K",
                "help": "orbitals to draw (default: all)",
            },
            "--density": {"action": "store_const", "const": True, "help": "draw |ψ|² instead of ψ"},
            "--contours": {"type": int, "metavar": "N", "help": "contours of V on planes (default: none)"},
        },
        "  qspin plot runs/h2d --states 0 3 8 --density --contours 6",
    ),
    "report": (_report, "write one HTML page about a run; prints its path", {"folder": _FOLDER}, ""),
    "list": (
        _list,
        "list problem files",
        {"folder": {"type": Path, "nargs": "?", "help": "folder to look in (default: shipped problems)"}},
        "  qspin list my_problems --json",
    ),
    "info": (
        _info,
        "versions and devices",
        {"--check": {"action": "store_true", "help": "compare compiled code with eager code and NumPy"}},
        "  qspin info --check",
    ),
}
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


def _arguments(command: str) -> dict[str, dict[str, Any]]:
    """What a command takes, by flag: for solve and validate all settings, as tables of `KEYS` hold them."""
    arguments = dict(_COMMANDS[command][2])
    if command in ("solve", "validate"):
        arguments["--settings"] = {"type": Path, "metavar": "TOML", "help": "a file of settings; flags win"}
        for table, keys in KEYS.items():
            for key, (kind, text) in keys.items():
                if key != "source" and not (command == "validate" and key in ("out", "grid")):
                    flag, options = _flag(table, key, kind)
                    arguments[flag] = {**options, "help": text}
    arguments["--json"] = {"action": "store_true", "help": "print one JSON document instead of tables"}
    arguments["--quiet"] = {"action": "store_true", "help": "no progress bar, no remarks, no paths"}
    return arguments


def _flag(table: str, key: str, kind: Any) -> tuple[str, dict[str, Any]]:
    """A setting as a flag: its name and what argparse needs to know."""
    depth, kind = 0, get_args(kind)[-1] if isinstance(kind, UnionType) else kind
    while get_origin(kind) is list:
        depth, kind = depth + 1, get_args(kind)[0]
    if key == "file":
        return f"{table}.{key}", {"nargs": "?", "metavar": "FILE"}
    flag = {"singularities": "--singularity", "grid": "--no-grid"}.get(key, f"--{key}")
    options: dict[str, Any] = {"dest": f"{table}.{key}"}
    if kind is bool:
        options |= {"action": "store_const", "const": key != "grid"}
    else:
        options |= {"type": kind, "metavar": key.upper(), "nargs": "+" if depth else None}
        options |= {"action": "append"} if depth == 2 else {}
    return "--method" if table == "method" else flag, options


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; `run` of them is its function, `given` the settings of a method that no other flag is.

    Raises ValueError for a flag that is neither; ends the process, as argparse does, for --help and other errors.
    """
    shape = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="qspin",
        description="Many eigenstates of the Schrödinger equation, with error bars.",
        epilog=f"examples:\n{_COMMANDS['solve'][3]}\n  qspin COMMAND --help\n\n{_STATUS}",
        formatter_class=shape,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"qspin {_VERSION}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (run, text, _, examples) in _COMMANDS.items():
        more = _METHOD_HELP if name in ("solve", "validate") else ""
        examples = examples or f"  qspin {name} runs/h2d"
        sub = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"examples:\n{examples}\n\n{more}{_STATUS}",
            formatter_class=shape,
            allow_abbrev=False,
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
            raise SettingsError(
                f"{flag} is no flag of `qspin {words[0]}`, nor a setting of a method with a value."
            )
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
