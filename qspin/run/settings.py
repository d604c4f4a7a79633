"""Settings of a run as three tables of plain values, [problem], [method] and [run]: read from TOML or from flags, checked,
completed, turned into a job, and written as TOML that repeats it."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import jax
import numpy as np
import optax

from qspin.methods.base import METHODS, Method
from qspin.methods.spin.networks import NETWORKS, softplus
from qspin.numerics.checks import whole
from qspin.numerics.registry import imported
from qspin.problem.domain import Box, Space
from qspin.problem.expression import expression
from qspin.problem.hamiltonian import Kinetic, Potential
from qspin.problem.problem import Problem
from qspin.run.default import variational_method
from qspin.run.problem_file import load_problem
from qspin.run.solve import MOST_STATES, boxed

__all__ = [
    "KEYS",
    "Job",
    "Settings",
    "SettingsError",
    "build_method",
    "describe_method",
    "job",
    "read_settings",
    "value_of",
]

# What each table may hold: type, and help for the command. [method] takes any setting of it.
KEYS: dict[str, dict[str, tuple[Any, str]]] = {
    "problem": {
        "file": (str, "a Python file that defines `problem`, or a shipped problem's name; it is executed"),
        "source": (str, "a copy of the file, which is run in its place"),
        "preset": (str, "a preset of the problem file, such as `paper`"),
        "potential": (
            str,
            "V(x): x, y, z, or x0, x1, … (x[0], …), r; + - * / **; sqrt exp log sin cos tan tanh sinh cosh abs minimum "
            "maximum where(condition, a, b); pi, e",
        ),
        "box": (list[float], "walls LOW HIGH, the same on all axes, or LOW HIGH for each"),
        "space": (bool, "no walls: a box is chosen from V"),
        "dim": (int, "number of coordinates (default: as many as are named)"),
        "mass": (float | list[float], "one, or one an axis (default: 1; H = -∇²/(2·mass) + V)"),
        "periodic": (bool | list[bool], "all axes are periodic"),
        "singularities": (list[list[float]], "a point where V blows up like 1/r; may be repeated"),
        "name": (str, "of the problem, for titles and the run folder (default: potential)"),
    },
    "method": {
        "name": (
            str,
            "default: that of qspin.solve, a grid or ritz, checked by another one; with settings of a method ritz, "
            "sampled-ritz past three dimensions, or spin where these lack one; with a preset its own",
        ),
    },
    "run": {
        "states": (int, "number of states (default: the file's, or 6)"),
        "seed": (int, "one seed, the same numbers (default: 0)"),
        "out": (str, "run folder (default: runs/NAME)"),
        "grid": (bool, "leave out the grid that the result is compared with"),
        "points": (int | list[int], "of the grid: points an axis, one number or one an axis"),
    },
}
_SHORT_NAMES = {"covariance": "AveragedCovariance", "jacobian": "AveragedJacobian"}


class SettingsError(ValueError):
    """Settings that cannot work; the message says which were expected."""


@dataclass(frozen=True)
class Settings:
    """Plain values by table; what is not there is left to defaults.

    Attributes:
        problem: `file` (and `preset`), or `potential` with `box` or `space` and what belongs to them.
        method: `name` and any setting of that method.
        run: `states`, `seed`, `out`; `grid`: whether the result is compared with a grid; `points` of it.
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
        for name, known in KEYS.items():
            for key, value in getattr(self, name).items():
                if key not in known and name != "method":
                    raise SettingsError(f"[{name}] has no setting {key!r}; it has: {', '.join(known)}.")
                if key in known and not _fits(value, known[key][0]):
                    raise SettingsError(f"[{name}] {key} must be {_spelled(known[key][0])}, got {value!r}.")

    def overridden(self, flags: Settings) -> Settings:
        """These settings with others on top. Another problem or another method takes the place of the whole of the first."""
        ousted = {
            "file": self.problem,
            "potential": ["file", "source", "preset", "dim"],
            "box": ["space"],
            "space": ["box", "periodic"],
        }
        dropped = {key for given in flags.problem for key in ousted.get(given, ())}
        problem = {key: value for key, value in self.problem.items() if key not in dropped}
        same = flags.method.get("name") in (None, self.method.get("name"))
        method = {k: v for k, v in self.method.items() if same and not (k == "points" and k in flags.run)}
        return Settings(
            {**problem, **flags.problem},
            {**method, **flags.method},
            {**self.run, **flags.run},
            self.made_with,
            self.source if "source" in problem else None,
        )

    def __str__(self) -> str:
        """As TOML, which `read_settings` turns back. A value that is not set (None) becomes a comment."""
        parts = []
        for name in (*KEYS, "made_with"):
            table = getattr(self, name).items()
            lines = [f"# {k}: not set here" if v is None else f"{k} = {_toml(v)}" for k, v in table]
            parts.append("\n".join([f"[{name}]", *lines]))
        return "\n\n".join(parts) + "\n"


@dataclass(frozen=True)
class Job:
    """A problem with a method, ready to be solved.

    Attributes:
        method: None where nothing is said of it: `solve` chooses.
        reference: the grid to compare with; None where none is wanted.
        settings: all that leads here again, every field of the method included, but for `out`.
        source: text of the problem file; None where the problem is a formula.
    """

    problem: Problem
    method: Method | None
    n_states: int
    seed: int
    reference: Method | None
    out: Path
    settings: Settings
    source: bytes | None


def read_settings(path: Path) -> Settings:
    """The settings in a TOML file. A problem file is looked for beside it, then by a shipped problem's name.

    Raises SettingsError for what is no TOML, unknown tables and keys; OSError where there is no such file.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for name, table in tables.items():
            if name not in (*KEYS, "made_with") or not isinstance(table, Mapping):
                raise SettingsError(f"{name!r} is none of the tables [problem], [method], [run].")
        problem, source = tables.setdefault("problem", {}), None
        if isinstance(problem.get("file"), str) and (beside := path.parent / problem["file"]).is_file():
            problem["file"] = str(beside)
        if isinstance(problem.get("source"), str):
            source = (path.parent / problem["source"]).read_bytes()
        return Settings(**tables, source=source)
    except SettingsError as error:
        raise SettingsError(f"settings file {path}: {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path} is no TOML: {error}.") from error


def job(settings: Settings) -> Job:
    """What settings say, with defaults where they say nothing.

    Raises SettingsError, ExpressionError, ProblemFileError, or what the problem and the method raise for values that cannot be.
    """
    source, base, n_states = None, None, 6
    table = settings.problem
    if "file" in table:
        if foreign := [key for key in table if key not in ("file", "source", "preset")]:
            advice = "not beside a problem file, which says all that itself; give a `potential` instead"
            raise SettingsError(f"{', '.join(foreign)}: {advice}.")
        file = load_problem(table["file"], settings.source)
        described: dict[str, Any] = {"file": str(file.path.resolve()), "source": "problem.py"}
        problem, n_states, source = file.problem, file.n_states, file.source
        if (preset := table.get("preset")) is not None:
            if preset not in file.presets:
                known = ", ".join(file.presets) or "none"
                raise SettingsError(f"{file.path} has no preset {preset!r}; it has: {known}.")
            described["preset"] = preset
            problem, base = file.presets[preset]
    elif "potential" in table:
        described, problem = _from_formula(table)
    else:
        raise SettingsError("[problem] names neither a `file` nor a `potential`.")
    run = {"states": n_states, "seed": 0, "grid": True, **settings.run}
    folder = re.sub(r"[^\w.+-]+", "_", problem.name).lstrip("._") or "problem"
    out = run.pop("out", None) or Path("runs", folder)
    n_states = whole("n_states", run["states"], 1, MOST_STATES)
    points = run.get("points")
    method = _method(settings.method, points, problem, n_states, base)
    reference = _method({"name": "grid"}, points, problem, n_states, None) if run["grid"] else None
    complete = Settings(described, {} if method is None else describe_method(method, settings.method), run)
    return Job(problem, method, n_states, run["seed"], reference, Path(out), complete, source)


def _from_formula(table: Mapping[str, Any]) -> tuple[dict[str, Any], Problem]:
    """The table [problem], complete, and the problem."""
    for key in ("source", "preset"):
        if key in table:
            raise SettingsError(f"{key} belongs to a problem file, and a potential was given.")
    box, periodic = table.get("box"), table.get("periodic", False)
    if (box is None) != table.get("space", False):
        expected = "either a box (LOW HIGH, or LOW HIGH for each axis) or space without walls, and not both"
        raise SettingsError(f"a potential needs {expected}.")
    axes = len(box) // 2 if box is not None and len(box) > 2 and len(box) % 2 == 0 else None
    potential = expression(table["potential"], table.get("dim", axes))
    dim = potential.dim
    domain: Box | Space = Space(dim)
    walls: dict[str, Any] = {"space": True}
    if box is not None:
        if len(box) not in (2, 2 * dim):
            expected = f"LOW HIGH for all axes, or LOW HIGH for each of {dim}"
            raise SettingsError(f"box must be {expected}, got {len(box)} numbers: {box}.")
        ends = box if len(box) == 2 * dim else box * dim
        domain = Box(ends[::2], ends[1::2], periodic)
        walls = {"box": ends, "periodic": list(domain.periodic)}
    elif periodic not in (False, [False] * dim):
        raise SettingsError("space without walls has no periodic axes; give a box.")
    rest = {"mass": _one_or_all(table.get("mass", 1.0)), "singularities": table.get("singularities", [])}
    rest["name"] = table.get("name", "potential")
    hamiltonian = Kinetic(rest["mass"]) + Potential(potential, rest["singularities"])
    described = {"potential": potential.text, "dim": dim, **walls, **rest}
    return described, Problem(hamiltonian, domain, name=rest["name"])


def _one_or_all(values: Any) -> Any:
    return values[0] if isinstance(values, list) and len(values) == 1 else values


def _method(
    table: Mapping[str, Any], points: Any, problem: Problem, n_states: int, base: Method | None
) -> Method | None:
    """The method that is named, or the preset's; where only settings are given the variational one, or SpIN if it lacks one."""
    if (name := table.get("name")) is None:
        if base is None and not table:
            return None
        choice = base or variational_method(boxed(problem, n_states), n_states)
        served = base is not None or {setting.name for setting in fields(choice)}.issuperset(table)  # type: ignore[arg-type]
        name = _name_of(choice) if served else "spin"
    if name == "grid" and points is not None:
        table = {"points": _one_or_all(points), **table}
    return build_method({**table, "name": name}, base)


# --- a method as a table of plain values, and back: {"name": "spin", "steps": 600, "network": {"name": "MLP", …}, …


def build_method(table: Mapping[str, Any], base: Method | None = None) -> Method:
    """The method that a table describes, whose "name" it must hold; fields that it lacks are those of `base`, where that is of
    the same kind, else the defaults.

    Raises ValueError or TypeError for unknown names or fields, with the known ones, and for values that do not fit.
    """
    name = table["name"]
    kind = type(base) if base is not None and name == _name_of(base) else _found(name, METHODS)
    if kind is None:
        known = f"known are {', '.join(METHODS)}, and module:Class of any other"
        raise ValueError(f"unknown method {name!r}; {known}.")
    if not (isinstance(kind, type) and issubclass(kind, Method) and is_dataclass(kind)):
        raise ValueError(f"{name} is no method: expected a dataclass that derives from qspin's Method.")
    given = _values(kind, table, name)
    return replace(base, **given) if type(base) is kind else kind(**given)


def describe_method(method: Method, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every field of a method in a table that `build_method` turns back. What no table can hold stays as it was `given`, or
    is None where it was not (a preset's ready-made optimizer)."""
    table: dict[str, Any] = {"name": _name_of(method)}
    for setting in fields(method):  # type: ignore[arg-type]
        try:
            table[setting.name] = _plain(getattr(method, setting.name))
        except TypeError:
            table[setting.name] = given.get(setting.name)
    return table


def _name_of(method: Method) -> str:
    return METHODS.name_of(type(method)) or _address(type(method))


def _address(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _found(name: Any, registered: Mapping[str, Any]) -> Any:
    """The class of that name: a registered one, or that at "module:Class", be the module in the current folder. None where
    there is none; ValueError, with the reason, where it cannot be imported."""
    if not isinstance(name, str) or name in registered or ":" not in name:
        return registered.get(name) if isinstance(name, str) else None
    if not {os.getcwd(), ""} & set(sys.path):  # where the command is a script, its own folder is there
        sys.path.append(os.getcwd())
    try:
        return imported(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{name!r} cannot be imported: {error}.") from error


def _part_class(name: Any) -> type | None:
    """The class of a setting within settings: a registered network, a frozen dataclass of qspin by its class name, any
    other by "module:Class"."""
    name = _SHORT_NAMES.get(str(name), name)
    modules = [module for path, module in list(sys.modules.items()) if path.startswith("qspin.")]
    places = [_found(name, NETWORKS), *(vars(module).get(name) for module in modules)]
    return next((place for place in places if _is_part(place)), None)


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]


def _plain(value: Any) -> Any:
    """A setting as a table holds it. TypeError for a value that no table can hold, such as a ready-made optimizer."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    kind = type(value)
    if _is_part(kind):
        name = kind.__name__ if _part_class(kind.__name__) is kind else _address(kind)
        return {"name": name, **{f.name: _plain(getattr(value, f.name)) for f in fields(value)}}
    name = getattr(value, "__name__", "")
    if callable(value) and _activation(name) is value:
        return name
    raise TypeError(f"{value!r} cannot be written into a table.")


def _values(kind: type, table: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The keyword arguments of a dataclass, from plain values."""
    hints, known = get_type_hints(kind), [setting.name for setting in fields(kind)]
    values: dict[str, Any] = {}
    for key in (key for key in table if key != "name"):
        if key not in known:
            raise ValueError(f"{owner} has no setting {key!r}; it has: {', '.join(known) or 'none'}.")
        value = _built(key, table[key], f"{owner}.{key}")
        if not _fits(value, hints[key]):
            raise TypeError(f"{owner}: {key} must be {_spelled(hints[key])}, got {table[key]!r}.")
        values[key] = float(value) if hints[key] is float else value  # so that 1 in a settings file is 1.0
    return values


def _built(key: str, value: Any, owner: str) -> Any:
    """What a plain value stands for, in the field `key`."""
    if isinstance(value, list | tuple):
        return tuple(_built(key, entry, owner) for entry in value)
    table = value if isinstance(value, Mapping) else {"name": value}
    name = table.get("name")
    if key == "activation":
        if (function := _activation(value)) is not None:
            return function
        raise ValueError(
            f"{owner}: unknown activation {value!r}; expected a function of jax.numpy or jax.nn."
        )
    if (kind := _part_class(name)) is not None:
        return kind(**_values(kind, table, f"{owner} ({name})"))
    if not isinstance(value, Mapping):
        return value
    if key == "optimizer":
        return _optimizer(value, owner)
    raise ValueError(
        f'{owner}: unknown name {name!r}; expected a class of qspin, such as MLP, or "module:Class".'
    )


def _activation(name: Any) -> Any:
    """softplus is ours, which is smooth in single precision; the rest are JAX's."""
    if not isinstance(name, str) or name.startswith("_"):
        return None
    chosen = softplus if name == "softplus" else getattr(jax.numpy, name, None) or getattr(jax.nn, name, None)
    return chosen if callable(chosen) else None


def _optimizer(table: Mapping[str, Any], owner: str) -> optax.GradientTransformation:
    make = getattr(optax, str(table["name"]), None)
    try:
        made = make(**{k: v for k, v in table.items() if k != "name"}) if callable(make) else None
    except TypeError as error:
        raise TypeError(f"{owner}: {error}.") from error
    if not isinstance(made, optax.GradientTransformation):
        raise ValueError(
            f"{owner}: unknown optimizer {table['name']!r}; expected one of optax, such as adam."
        )
    return made


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as far as plain values go: other types are left to the class."""
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if get_origin(hint) in (tuple, list):
        return isinstance(value, list | tuple) and all(_fits(v, get_args(hint)[0]) for v in value)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return isinstance(value, hint) if hint in (bool, str, NoneType) else True


def _spelled(hint: Any) -> str:
    """A type in words, for messages."""
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_spelled(option) for option in get_args(hint) if option is not NoneType)
    if get_origin(hint) in (tuple, list):
        return f"a list, each {_spelled(get_args(hint)[0])}"
    return words.get(hint, str(hint))


def value_of(text: str) -> Any:
    """A value as in a settings file, typed as a flag; what is no number, list, table or truth value is the text itself."""
    for read in (int, float, lambda text: tomllib.loads(f"value = {text}")["value"]):
        with suppress(ValueError):
            return read(text)
    return text


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{k} = {_toml(v)}' for k, v in value.items() if v is not None)} }}"
    if isinstance(value, float):
        return repr(value)  # all digits
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
