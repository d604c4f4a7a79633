"""What a run leaves on disk: the settings that lead to it again, spectra, a comparison, pictures.

settings.toml    every setting, versions and machine; `qspin solve --settings` repeats the run, `qspin resume` ends it
problem.py       the problem file as it was run, where there was one
spectrum.npz     the states; grid.npz: the referee's
comparison.json  one against the other, or against the closed form
checkpoint.npz   of methods that train
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from qspin.methods.base import IterativeMethod
from qspin.numerics import precision
from qspin.run.console import dumps
from qspin.run.settings_file import Job, Settings, SettingsError, read_settings, written
from qspin.spectrum.spectrum import Spectrum
from qspin.spectrum.store import whole_file

__all__ = [
    "checkpoint",
    "draw",
    "keep_comparison",
    "keep_spectrum",
    "open_folder",
    "read_run",
    "read_spectrum",
    "record",
    "report",
]

_SETTINGS, _PROBLEM, _SPECTRUM, _GRID = "settings.toml", "problem.py", "spectrum.npz", "grid.npz"
_COMPARISON, _CHECKPOINT = "comparison.json", "checkpoint.npz"


def open_folder(folder: Path) -> Path | None:
    """Make a run folder and prove that it can be written, before anything is trained; an earlier run moves aside, and the
    place it went to is returned. Raises SettingsError."""
    earlier = None
    try:
        if any((folder / name).exists() for name in (_SETTINGS, _SPECTRUM)):
            earlier = next(
                p for n in range(1, 10_000) if not (p := folder.with_name(f"{folder.name}.{n}")).exists()
            )
            shutil.move(folder, earlier)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise SettingsError(f"the output folder {folder} cannot be written: {error}.") from error
    return earlier


def record(folder: Path, job: Job) -> None:
    """Write the settings, with versions and machine, and the problem file."""
    settings = replace(job.settings, made_with=precision.describe())
    if job.source is not None:
        _write(folder / _PROBLEM, job.source)
    _write(folder / _SETTINGS, written(settings).encode())


def read_run(folder: Path) -> Settings:
    """The settings of a run folder, `out` being that folder. Raises SettingsError where it is none."""
    if not (folder / _SETTINGS).is_file():
        raise SettingsError(f"{folder} is not a run folder: it has no {_SETTINGS}.")
    for leftover in folder.glob(".*.part"):  # half written by a process that was killed
        leftover.unlink(missing_ok=True)
    settings = read_settings(folder / _SETTINGS)
    return replace(settings, run={**settings.run, "out": str(folder)})


def checkpoint(folder: Path, job: Job) -> Path | None:
    """Where training is saved to; None for a method that does not train on this problem."""
    trains = isinstance(job.method.for_problem(job.problem), IterativeMethod)
    return folder / _CHECKPOINT if trains else None


def keep_spectrum(folder: Path, spectrum: Spectrum, referee: bool = False) -> None:
    """Write the states, or the referee's."""
    spectrum.save(folder / (_GRID if referee else _SPECTRUM))


def keep_comparison(folder: Path, comparison: Mapping[str, Any]) -> None:
    """Write what was found on comparing them."""
    _write(folder / _COMPARISON, (dumps(comparison) + "\n").encode())


def _write(path: Path, text: bytes) -> None:
    with whole_file(path) as file:
        file.write(text)


def read_spectrum(path: Path) -> tuple[Spectrum, Spectrum | None]:
    """The spectrum of a run folder, with the referee's where another method was judged; or that of a file."""
    from qspin.spectrum.store import load

    if not path.is_dir():
        return load(path), None
    spectrum = load(path / _SPECTRUM)
    judged = spectrum.method != "grid" and (path / _GRID).exists()
    return spectrum, load(path / _GRID) if judged else None


def draw(folder: Path, spectrum: Spectrum, reference: Spectrum | None, **orbitals: Any) -> list[Path]:
    """Draw the pictures, those of the orbitals with these options; their paths."""
    from qspin import draw as pictures

    return pictures.save_all(spectrum, folder, reference=reference, **orbitals)


def report(folder: Path) -> Path:
    """Write report.html into a run folder, from the files that `qspin solve` left in it; its path.

    Those are spectrum.npz and, where they exist, grid.npz, comparison.json and settings.toml. Raises FileNotFoundError where
    there is no spectrum.npz; ValueError for files that cannot be read.
    """
    if not (folder / _SPECTRUM).is_file():
        raise FileNotFoundError(f"report: {folder} is not a run folder: it has no {_SPECTRUM}.")
    spectrum, reference = read_spectrum(folder)
    settings = _table(folder / _SETTINGS, tomllib.loads)
    settings.pop("made_with", None)  # provenance says that
    comparison = _table(folder / _COMPARISON, json.loads) or None
    return spectrum.report(
        folder / "report.html", reference=reference, comparison=comparison, settings=settings
    )


def _table(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    """What a file of JSON or TOML holds by name; nothing where there is no such file. Raises ValueError."""
    if not path.is_file():
        return {}
    try:
        table = parse(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"report: {path} cannot be read: {error}.") from error
    if not isinstance(table, dict):
        raise ValueError(f"report: {path} must hold names and values, got {type(table).__name__}.")
    return table
