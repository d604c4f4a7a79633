"""Problems on disk: a Python file that defines `problem`, and if it likes `n_states` and `presets`."""

import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from qspin.methods.base import Method
from qspin.numerics.checks import whole
from qspin.problem.problem import Problem

__all__ = ["ProblemFile", "ProblemFileError", "load_problem", "shipped_problems"]


class ProblemFileError(ValueError):
    """A problem file that is not there, raises, or does not define `problem`."""


@dataclass(frozen=True)
class ProblemFile:
    """What a problem file defines: the problem, how many states it asks for, and named (problem, method) presets; and its
    `source`, as it was run."""

    path: Path
    problem: Problem
    n_states: int = 6
    title: str = ""
    presets: Mapping[str, Any] = field(default_factory=dict)
    source: bytes = b""


def load_problem(path: str | os.PathLike[str], source: bytes | None = None) -> ProblemFile:
    """Run a problem file and return what it defines; a bare name such as "hydrogen_2d" is looked up among the shipped ones.

    Args:
        path: the file.
        source: run this instead, a copy of what stood in the file: its `__file__` is still `path`, beside which its data lie.

    The file is Python and is executed. Raises ProblemFileError, with the reason and where in the file it lies.
    """
    found = Path(path) if source is not None else _found(path)
    code = found.read_bytes() if source is None else source
    module = ModuleType(f"qspin_problem_{found.stem}")
    module.__file__ = str(found)
    sys.modules[module.__name__] = module  # dataclasses and pickling in the file look themselves up there
    try:
        exec(compile(code, str(found), "exec", dont_inherit=True), vars(module))
    except Exception as error:
        what = f"raises {type(error).__name__}{_line(error, found)}: {error}"
        raise ProblemFileError(f"problem file {path} {what}") from error
    problem = getattr(module, "problem", None)
    if problem is None:
        raise ProblemFileError(f"problem file {path} does not define `problem = qspin.Problem(...)`.")
    if not isinstance(problem, Problem):
        got = f"{type(problem).__name__} {problem!r}"
        raise ProblemFileError(f"problem file {path}: `problem` must be a qspin.Problem, got {got}.")
    title = (module.__doc__ or problem.name).strip().splitlines()[0]
    presets = getattr(module, "presets", {})
    for pair in presets.values() if isinstance(presets, Mapping) else [presets]:
        match pair:
            case (Problem(), Method() as method) if is_dataclass(method):
                continue
        expected = "names with (problem, method), the method a dataclass whose fields are its settings"
        raise ProblemFileError(f"problem file {path}: `presets` must hold {expected}, got {pair!r}.")
    n_states = whole(f"problem file {path}: n_states", getattr(module, "n_states", 6))
    return ProblemFile(found, problem, n_states, title, presets, code)


def _found(path: str | os.PathLike[str]) -> Path:
    found = Path(path)
    if not found.exists() and found.suffix == "" and len(found.parts) == 1:
        found = shipped_problems().get(found.name, found)
    if not found.is_file():
        names = ", ".join(shipped_problems()) or "none"
        raise ProblemFileError(
            f"problem file {path} does not exist. Shipped problems, usable by name: {names}."
        )
    if found.suffix != ".py":
        raise ProblemFileError(f"problem file {path} must be a Python file (.py).")
    return found


def _line(error: BaseException, path: Path) -> str:
    """Where in the file an error arose, as ", line 7"."""
    inside = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
    line = inside[-1] if inside else getattr(error, "lineno", None)
    return f" at line {line}" if line else ""


def shipped_problems() -> dict[str, Path]:
    """The problem files that come with qspin, by name: in the installed package, or beside it in a source tree."""
    package = Path(__file__).parents[1]
    for folder in (package / "_problems", package.parent / "problems"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")}
    return {}
