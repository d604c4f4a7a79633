"""Settings of a run as a TOML file, [problem], [method] and [run]: read, checked, completed, written, turned into a job."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from qspin.methods.base import Method
from qspin.problem.domain import Box, Space
from qspin.problem.expression import expression
from qspin.problem.hamiltonian import Kinetic, Potential
from qspin.problem.problem import Problem
from qspin.run.method_table import build_method, class_of, describe_method, fits, name_of, spelled
from qspin.run.problem_file import load_problem
from qspin.run.solve import default_method

__all__ = ["Job", "Settings", "SettingsError", "job", "read_settings", "written"]

# What each table may hold. [method] holds a name and any setting of that method.
_PROBLEM: dict[str, Any] = {
    "file": str,
    "source": str,  # a copy of the file, which is run in its place
    "preset": str,
    "potential": str,
    "box": list[float],
    "space": bool,
    "dim": int,
    "mass": float | list[float],
    "periodic": bool | list[bool],
    "singularities": list[list[float]],
    "name": str,
}
_RUN: dict[str, Any] = {
    "states": int,
    "seed": int,
    "out": str,
    "grid": bool,
    "points": int | list[int],
}
_TABLES = ("problem", "method", "run", "made_with")
_OF_A_FILE = ("file", "source", "preset")


class SettingsError(ValueError):
    """Settings that cannot work; the message says which were expected."""


@dataclass(frozen=True)
class Settings:
    """What was asked for: plain values, by table; what is not there is left to defaults.

    Attributes:
        problem: `file` (and `preset`), or `potential` with `box` or `space` and what belongs to them.
        method: `name` and any setting of that method.
        run: `states`, `seed`, `out`; `grid`: whether a grid is the referee; `points` of it.
        made_with: versions and machine of a run that was done.
        source: text of the problem file, where a copy of it is to be run.

    Raises SettingsError for keys that are not known, with those that are, and for values of the wrong type.
    """

    problem: Mapping[str, Any] = field(default_factory=dict)
    method: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    made_with: Mapping[str, Any] = field(default_factory=dict)
    source: bytes | None = None

    def __post_init__(self) -> None:
        for name, table, known in (("problem", self.problem, _PROBLEM), ("run", self.run, _RUN)):
            for key, value in table.items():
                if key not in known:
                    raise SettingsError(f"[{name}] has no setting {key!r}; it has: {', '.join(known)}.")
                if not fits(value, known[key]):
                    raise SettingsError(f"[{name}] {key} must be {spelled(known[key])}, got {value!r}.")
        if not isinstance(self.method.get("name", ""), str):
            raise SettingsError(f"[method] name must be a text, got {self.method['name']!r}.")

    def overridden(self, flags: Settings) -> Settings:
        """These settings with others on top. Another problem or another method takes the place of the whole of the first."""
        problem = dict(self.problem)
        dropped: tuple[str, ...] = ()
        if "file" in flags.problem:
            dropped = tuple(problem)
        elif "potential" in flags.problem:
            dropped = (*_OF_A_FILE, "dim")
        dropped += ("space",) * ("box" in flags.problem) + ("box", "periodic") * ("space" in flags.problem)
        for key in dropped:
            problem.pop(key, None)
        own = dict(self.method)
        if "points" in flags.run:
            own.pop("points", None)
        same = flags.method.get("name") in (None, self.method.get("name"))
        return Settings(
            {**problem, **flags.problem},
            {**(own if same else {}), **flags.method},
            {**self.run, **flags.run},
            self.made_with,
            self.source if "source" in problem else None,
        )


@dataclass(frozen=True)
class Job:
    """A problem with a method, ready to be solved.

    Attributes:
        referee: the grid to compare with; None where none is wanted.
        settings: all that leads here again, every field of the method included, but for `out`.
        source: text of the problem file; None where the problem is a formula.
    """

    problem: Problem
    method: Method
    n_states: int
    seed: int
    referee: Method | None
    out: Path
    settings: Settings
    source: bytes | None


def read_settings(path: Path) -> Settings:
    """The settings in a TOML file. A problem file is looked for beside it, then by a shipped problem's name.

    Raises SettingsError for what is no TOML, unknown tables and keys; OSError where there is no such file.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path} is no TOML: {error}.") from error
    for name, table in tables.items():
        if name not in _TABLES or not isinstance(table, Mapping):
            raise SettingsError(
                f"settings file {path}: {name!r} is none of the tables [problem], [method], [run]."
            )
    problem = dict(tables.get("problem", {}))
    source = None
    if isinstance(problem.get("file"), str) and (beside := path.parent / problem["file"]).is_file():
        problem["file"] = str(beside)
    if isinstance(problem.get("source"), str):
        source = (path.parent / problem["source"]).read_bytes()
    try:
        return Settings(
            problem, tables.get("method", {}), tables.get("run", {}), tables.get("made_with", {}), source
        )
    except SettingsError as error:
        raise SettingsError(f"settings file {path}: {error}") from error


def job(settings: Settings) -> Job:
    """What settings ask for, with defaults where they say nothing.

    Raises SettingsError, ExpressionError, ProblemFileError, or what the problem and the method raise for values that cannot be.
    """
    base: Method | None = None
    source: bytes | None = None
    if "file" in settings.problem:
        described, problem, base, n_states, source = _from_file(settings)
    elif "potential" in settings.problem:
        described, problem = _from_formula(settings.problem)
        n_states = 6
    else:
        raise SettingsError("[problem] names neither a `file` nor a `potential`.")
    n_states = settings.run.get("states", n_states)
    if n_states < 1:
        raise SettingsError(f"n_states must be at least 1, got {n_states}.")
    run = {"states": n_states, "seed": settings.run.get("seed", 0), "grid": settings.run.get("grid", True)}
    points = settings.run.get("points")
    method = _method(settings.method, points, problem, n_states, base)
    if points is not None:
        run["points"] = points
    complete = Settings(described, describe_method(method, settings.method), run)
    return Job(
        problem,
        method,
        n_states,
        run["seed"],
        _method({"name": "grid"}, points, problem, n_states, None) if run["grid"] else None,
        Path(settings.run["out"]) if "out" in settings.run else Path("runs") / problem.name,
        complete,
        source,
    )


def _from_file(
    settings: Settings,
) -> tuple[dict[str, Any], Problem, Method | None, int, bytes]:
    """The table [problem], the problem, the preset's method, the file's number of states and its text."""
    table = settings.problem
    foreign = [key for key in table if key not in _OF_A_FILE]
    if foreign:
        raise SettingsError(
            f"{', '.join(foreign)}: not beside a problem file, which says all that itself; give a `potential` instead."
        )
    file = load_problem(table["file"], settings.source)
    described = {"file": str(file.path.resolve()), "source": "problem.py"}
    if "preset" not in table:
        return described, file.problem, None, file.n_states, file.source
    if table["preset"] not in file.presets:
        known = ", ".join(file.presets) or "none"
        raise SettingsError(f"{file.path} has no preset {table['preset']!r}; it has: {known}.")
    problem, method = file.presets[table["preset"]]
    return {**described, "preset": table["preset"]}, problem, method, file.n_states, file.source


def _from_formula(table: Mapping[str, Any]) -> tuple[dict[str, Any], Problem]:
    """The table [problem], complete, and the problem."""
    for key in ("source", "preset"):
        if key in table:
            raise SettingsError(f"{key} belongs to a problem file, and a potential was given.")
    box, space = table.get("box"), table.get("space", False)
    if (box is None) != space:
        raise SettingsError(
            "a potential needs either a box (LOW HIGH, or LOW HIGH for each axis) or space without walls, and not both."
        )
    if box is not None and (len(box) < 2 or len(box) % 2):
        raise SettingsError(
            f"box must be LOW HIGH for all axes, or LOW HIGH for each, got {len(box)} numbers: {box}."
        )
    axes = len(box) // 2 if box is not None and len(box) > 2 else None
    dim = table.get("dim", axes)
    potential = expression(table["potential"], dim)
    dim = potential.dim
    mass, singularities = table.get("mass", 1.0), table.get("singularities", [])
    periodic, name = table.get("periodic", False), table.get("name", "potential")
    described = {"potential": potential.text, "dim": dim}
    domain: Box | Space
    if box is None:
        if periodic not in (False, [False] * dim):
            raise SettingsError("space without walls has no periodic axes; give a box.")
        domain = Space(dim)
        described["space"] = True
    else:
        if len(box) not in (2, 2 * dim):
            raise SettingsError(
                f"box must be LOW HIGH for all axes, or LOW HIGH for each of {dim}, got {len(box)} numbers: {box}."
            )
        ends = box if len(box) == 2 * dim else box * dim
        domain = Box(ends[::2], ends[1::2], periodic)
        described |= {"box": ends, "periodic": list(domain.periodic)}
    hamiltonian = Kinetic(mass) + Potential(potential, singularities)
    described |= {"mass": mass, "singularities": singularities, "name": name}
    return described, Problem(hamiltonian, domain, name=name)


def _method(
    table: Mapping[str, Any],
    points: int | list[int] | None,
    problem: Problem,
    n_states: int,
    base: Method | None,
) -> Method:
    """The method that is named, or the preset's; or `solve`'s own choice, or SpIN, where that lacks a setting that is given."""
    name = table.get("name")
    if name is None and base is not None:
        name = name_of(base)
    if name is None:
        name = name_of(default_method(problem, n_states))
        own = {f.name for f in fields(class_of(name))}  # type: ignore[arg-type]
        name = name if own.issuperset(table) else "spin"
    if name == "grid" and points is not None and "points" not in table:
        table = {**table, "points": points if isinstance(points, int) else _one_or_all(points)}
    return build_method({**table, "name": name}, base)


def _one_or_all(points: list[int]) -> int | list[int]:
    return points[0] if len(points) == 1 else points


def written(settings: Settings) -> str:
    """Settings as TOML, which `read_settings` turns back. A value that is not set (None) becomes a comment."""
    parts = []
    for name in _TABLES:
        table = getattr(settings, name)
        lines = [
            f"# {key}: not set here" if value is None else f"{key} = {_toml(value)}"
            for key, value in table.items()
        ]
        parts.append("\n".join([f"[{name}]", *lines]))
    return "\n\n".join(parts) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(v) for v in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{k} = {_toml(v)}' for k, v in value.items() if v is not None)} }}"
    return repr(value)  # of numbers: all digits, and what Python writes TOML reads
