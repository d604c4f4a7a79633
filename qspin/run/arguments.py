"""What can be typed after `qspin`: the parser, its help, and flags as settings."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qspin.methods.base import METHODS
from qspin.run.console import Console
from qspin.run.problem_file import shipped_problems
from qspin.run.settings_file import Settings, SettingsError, read_settings

__all__ = ["Command", "asked", "parser", "protected"]

_VERSION = sys.modules["qspin"].__version__

Command = Callable[[argparse.Namespace, Console], int]

_STATUS = """exit status:
    0  done; for validate and compare: and everything agrees
    1  validate, compare or info --check found a disagreement
    2  input that cannot work
    3  training broke down
  130  interrupted
Errors and remarks go to stderr. With --json stdout holds one JSON document and nothing else, and nothing where the status
is 2, 3 or 130.
"""
_EXAMPLES = {
    "": """
  qspin solve hydrogen_2d                                     a problem that comes with qspin
  qspin solve my_problem.py --states 9 --method spin --steps 50000 --out runs/mine
  qspin solve --potential "0.5*x**2 + 0.1*x**4" --box -8 8    a formula
  qspin solve --settings run.toml --seed 1                    a file of settings; flags win
  qspin compare runs/a runs/b
  qspin COMMAND --help                                        more, with examples
""",
    "solve": """
  qspin solve problems/hydrogen_2d.py
  qspin solve hydrogen_2d --states 9 --method spin --steps 50000 --out runs/h2d
  qspin solve --potential "0.5*x**2 + 0.1*x**4" --box -8 8 --states 6
  qspin solve --potential "-1/r" --dim 2 --box -60 60 --singularity 0 0 --mass 0.5
  qspin solve --potential "0.5*r**2 + 0.1*x0**2*x3**2" --space --dim 4 --method sampled-ritz
  qspin solve --settings run.toml --json > energies.json
  qspin solve --settings runs/h2d/settings.toml --out runs/again    the same numbers, bit for bit on one machine
""",
    "resume": """
  qspin resume runs/h2d
""",
    "validate": """
  qspin validate harmonic_2d
  qspin validate --potential "x**4" --box -5 5 --json
""",
    "compare": """
  qspin compare runs/h2d runs/h2d_spin
  qspin compare runs/h2d/spectrum.npz runs/h2d/grid.npz --json
""",
    "plot": """
  qspin plot runs/h2d
  qspin plot runs/h2d/grid.npz
  qspin plot runs/h2d --states 0 3 8 --density --contours 6
""",
    "report": """
  qspin report runs/h2d
  qspin report runs/h2d --json
""",
    "list": """
  qspin list
  qspin list my_problems --json
""",
    "info": """
  qspin info
  qspin info --check
""",
}
_SETTINGS_HELP = """a settings file (TOML; flags win over it):
  [problem]                            # or:  file = "my_problem.py"
  potential = "0.5*x**2 + 0.1*x**4"
  box = [-8, 8]                        # or:  space = true;  also dim, mass, periodic, singularities, name
  [method]
  name = "spin"                        # and any of its settings, as in help(qspin.SpIN)
  steps = 50000
  network = { name = "SeparateMLPs", hidden = [64, 64], activation = "tanh" }
  [run]
  states = 6                           # also seed, out, grid = false (no referee), points (of the referee)

"""


def protected(words: Sequence[str]) -> Iterator[str]:
    """The words with those kept together, or led by a blank, that begin with a minus sign and are no options: a formula such
    as -1/r, a number such as -1e-3. argparse would take them for options."""
    waiting = False
    for word in words:
        if waiting:
            yield from ["--potential", word] if re.match("--[a-z]", word) else [f"--potential={word}"]
            waiting = False
        elif word == "--potential":
            waiting = True
        else:
            yield f" {word}" if re.fullmatch(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", word) else word
    if waiting:
        yield "--potential"


def parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The parser of the whole command; `run` of what it returns is the one of `commands` that was asked for."""
    top = argparse.ArgumentParser(
        prog="qspin",
        description="Many eigenstates of the Schrödinger equation, with error bars.",
        epilog=f"examples:{_EXAMPLES['']}\n{_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"qspin {_VERSION}")
    subparsers = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, text: str, more: str = "") -> argparse.ArgumentParser:
        sub = subparsers.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"examples:{_EXAMPLES[name]}\n{more}{_STATUS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        sub.set_defaults(run=commands[name])
        return sub

    sub = command("solve", "solve a problem, check it on a grid, write spectra and pictures", _SETTINGS_HELP)
    _add_problem(sub)
    _add_method(sub)
    sub.add_argument("--out", metavar="FOLDER", help="run folder (default: runs/NAME)")
    sub.add_argument("--no-grid", action="store_true", help="leave out the grid referee")
    _add_output(sub, "no progress bar, no remarks")

    sub = command("resume", "go on with an interrupted run, from its last checkpoint")
    sub.add_argument("folder", type=Path, metavar="RUN")
    _add_output(sub, "no progress bar, no remarks")

    sub = command("validate", "solve a problem two ways and against its closed form; exit 0 if all agree")
    _add_problem(sub)
    _add_method(sub)
    _add_output(sub, "no progress bar, no remarks")

    sub = command("compare", "compare two spectra level by level; exit 0 if all agree")
    sub.add_argument("first", type=Path, metavar="A", help="spectrum file (.npz) or run folder")
    sub.add_argument("second", type=Path, metavar="B", help="the one it is compared with")
    _add_output(sub, "print nothing: the exit status tells")

    sub = command("plot", "draw the pictures of a run again, or of a spectrum file")
    sub.add_argument("folder", type=Path, metavar="RUN", help="run folder or .npz file")
    sub.add_argument("--states", type=int, nargs="+", metavar="K", help="orbitals to draw (default: all)")
    sub.add_argument("--density", action="store_const", const=True, help="draw |ψ|² instead of ψ")
    sub.add_argument("--contours", type=int, metavar="N", help="contours of V on planes (default: none)")
    _add_output(sub, "do not print the paths")

    sub = command("report", "write one HTML page about a run; prints its path")
    sub.add_argument("folder", type=Path, metavar="RUN")
    _add_output(sub, "do not print the path")

    sub = command("list", "list problem files")
    sub.add_argument("folder", type=Path, nargs="?", help="folder to look in (default: the shipped problems)")
    _add_output(sub)

    sub = command("info", "versions and devices")
    sub.add_argument("--check", action="store_true", help="compare compiled code with eager code and NumPy")
    _add_output(sub)
    return top


def _add_problem(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("the problem: a file, a formula, or settings")
    group.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="a Python file that defines `problem`, or a shipped problem's name; it is executed",
    )
    group.add_argument("--preset", metavar="NAME", help="a preset of the problem file, such as `paper`")
    group.add_argument(
        "--potential",
        metavar="V",
        help="V(x): x, y, z, or x0, x1, … (x[0], …), r; + - * / **; sqrt exp log sin cos tan tanh sinh cosh abs minimum "
        "maximum where(condition, a, b); pi, e",
    )
    group.add_argument(
        "--box",
        type=float,
        nargs="+",
        metavar="LOW HIGH",
        help="walls, the same on all axes, or LOW HIGH for each",
    )
    group.add_argument("--space", action="store_const", const=True, help="no walls: a box is found from V")
    group.add_argument(
        "--dim", type=int, metavar="N", help="number of coordinates (default: as many as are named)"
    )
    group.add_argument(
        "--mass",
        type=float,
        nargs="+",
        metavar="M",
        help="one, or one an axis (default: 1; H = -∇²/(2M) + V)",
    )
    group.add_argument("--periodic", action="store_const", const=True, help="all axes are periodic")
    group.add_argument(
        "--singularity",
        type=float,
        nargs="+",
        action="append",
        metavar="X",
        help="a point where V blows up like 1/r; may be repeated",
    )
    group.add_argument("--name", help="of the problem, for titles and the run folder (default: potential)")
    group.add_argument("--settings", type=Path, metavar="TOML", help="a file of settings; flags win over it")


def _add_method(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("the method (any other setting of it: in a settings file)")
    group.add_argument("--states", type=int, metavar="N", help="number of states (default: the file's, or 6)")
    group.add_argument(
        "--method",
        metavar="NAME",
        help=f"{', '.join(METHODS)}, or module:Class of any other; default: ritz in one to three dimensions, "
        "sampled-ritz past them, spin where these do not serve; with a preset "
        "its own; and spin where a setting is given that the default lacks",
    )
    group.add_argument(
        "--estimator", choices=["covariance", "jacobian"], help="spin: averaged Σ, Π, or Algorithm 1"
    )
    group.add_argument("--steps", type=int, help="spin, sampled-ritz: training steps")
    group.add_argument("--batch-size", type=int, help="spin, sampled-ritz: points a step")
    group.add_argument(
        "--averaging", type=float, help="spin, sampled-ritz: rate of the moving averages, in (0, 1]"
    )
    group.add_argument("--tolerance", type=float, help="claimed error that counts as converged, relative")
    group.add_argument(
        "--points",
        type=int,
        nargs="+",
        metavar="P",
        help="grid and referee: points an axis, one number or one an axis",
    )
    group.add_argument("--seed", type=int, help="one seed, the same numbers (default: 0)")


def _add_output(sub: argparse.ArgumentParser, quiet: str | None = None) -> None:
    sub.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    if quiet is not None:
        sub.add_argument("--quiet", action="store_true", help=quiet)


def asked(options: argparse.Namespace) -> Settings:
    """What the flags ask for, on top of the settings file. Raises SettingsError where that is no problem."""

    def given(**values: Any) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value is not None}

    mass, estimator = options.mass, options.estimator
    if options.file is not None and options.potential is not None:
        raise SettingsError("give either a problem FILE or a --potential, not both.")
    flags = Settings(
        given(
            file=options.file,
            preset=options.preset,
            potential=options.potential,
            box=options.box,
            space=options.space,
            dim=options.dim,
            mass=mass[0] if mass is not None and len(mass) == 1 else mass,
            periodic=options.periodic,
            singularities=options.singularity,
            name=options.name,
        ),
        given(
            name=options.method,
            estimator=estimator
            and {"covariance": "AveragedCovariance", "jacobian": "AveragedJacobian"}[estimator],
            steps=options.steps,
            batch_size=options.batch_size,
            averaging=options.averaging,
            tolerance=options.tolerance,
        ),
        given(
            states=options.states,
            seed=options.seed,
            points=options.points,
            out=getattr(options, "out", None),
            grid=False if getattr(options, "no_grid", False) else None,
        ),
    )
    settings = Settings() if options.settings is None else read_settings(options.settings)
    settings = settings.overridden(flags)
    if not settings.problem.keys() & {"file", "potential"}:
        raise SettingsError(
            "nothing to solve: give a problem FILE, or a formula by --potential with --box or --space, or --settings with "
            f"one of them. Problems that come with qspin, usable by name: {', '.join(shipped_problems()) or 'none'}."
        )
    return settings
