"""What a run leaves on disk: the settings that lead to it again, spectra, a comparison, pictures.

settings.toml    every setting, versions and machine; `qspin solve --settings` repeats the run, `qspin resume` ends it
problem.py       the problem file as it was run, where there was one
spectrum.npz     the states; grid.npz: those of the grid
comparison.json  one against the other, or against the closed form
checkpoint.npz   of methods that train
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qspin.methods.base import IterativeMethod
from qspin.numerics import precision
from qspin.run.default import variational_method
from qspin.run.settings import Job, Settings, SettingsError, read_settings
from qspin.run.solve import boxed
from qspin.spectrum.comparison import Comparison
from qspin.spectrum.spectrum import Spectrum
from qspin.spectrum.store import load, whole_file

__all__ = [
    "checkpoint",
    "is_finished",
    "json_text",
    "keep_comparison",
    "new_run",
    "read_run",
    "read_spectra",
    "report",
]

SPECTRUM, GRID = "spectrum.npz", "grid.npz"
_SETTINGS, _PROBLEM, _CHECKPOINT = "settings.toml", "problem.py", "checkpoint.npz"


@contextmanager
def new_run(job: Job, note: Callable[[str], None]) -> Iterator[None]:
    """Within it, the folder of a job is there and holds its settings; an earlier run in it has moved aside, and is noted.

    Where an error comes before anything was computed, all is put back as it was. Raises SettingsError at once where the folder
    cannot be written.
    """
    folder, earlier = job.out, None
    try:
        if (folder / _SETTINGS).exists() or is_finished(folder):
            names = (folder.with_name(f"{folder.name}.{n}") for n in range(1, 10_000))
            earlier = folder.rename(next(name for name in names if not name.exists()))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if job.source is not None:
                _write(folder / _PROBLEM, job.source)
            _write(folder / _SETTINGS, str(replace(job.settings, made_with=precision.describe())).encode())
        except OSError as error:
            raise SettingsError(f"the output folder {folder} cannot be written: {error}.") from error
        yield
    except Exception:
        if not is_finished(folder) and not (folder / _CHECKPOINT).exists():
            with suppress(OSError):
                for name in (_SETTINGS, _PROBLEM):
                    (folder / name).unlink(missing_ok=True)
                folder.rmdir()
            if earlier is not None and not folder.exists():
                earlier.rename(folder)
                earlier = None
        raise
    finally:
        if earlier is not None:
            note(f"the earlier run in {folder} is now in {earlier}.")


def read_run(folder: Path) -> Settings:
    """The settings of a run folder, `out` being that folder. Raises SettingsError where it is none."""
    if not (folder / _SETTINGS).is_file():
        raise SettingsError(f"{folder} is not a run folder: it has no {_SETTINGS}.")
    for leftover in folder.glob(".*.part"):  # half written by a process that was killed
        leftover.unlink(missing_ok=True)
    settings = read_settings(folder / _SETTINGS)
    return replace(settings, run={**settings.run, "out": str(folder)})


def is_finished(folder: Path) -> bool:
    """Whether the states are there already."""
    return (folder / SPECTRUM).exists()


def checkpoint(folder: Path, job: Job) -> Path | None:
    """Where training is saved to; None for a method that does not train on this problem."""
    problem = boxed(job.problem, job.n_states)
    method = job.method or variational_method(problem, job.n_states)
    return folder / _CHECKPOINT if isinstance(method.for_problem(problem), IterativeMethod) else None


def keep_comparison(folder: Path, comparison: Comparison) -> None:
    """Write a comparison."""
    _write(folder / "comparison.json", (json_text(comparison.to_dict()) + "\n").encode())


def _write(path: Path, text: bytes) -> None:
    with whole_file(path) as file:
        file.write(text)


def read_spectra(path: Path) -> tuple[Spectrum, Spectrum | None]:
    """The spectrum of a run folder, with that of the grid it was compared with; or that of a file."""
    if not path.is_dir():
        return load(path), None
    spectrum = load(path / SPECTRUM)
    compared = spectrum.method != "grid" and (path / GRID).exists()
    return spectrum, load(path / GRID) if compared else None


def report(folder: Path) -> Path:
    """Write report.html into a run folder, from the files that `qspin solve` left in it; its path.

    Those are spectrum.npz and, where they exist, grid.npz and settings.toml. Raises FileNotFoundError where there is
    no spectrum.npz; ValueError for files that cannot be read.
    """
    if not is_finished(folder):
        raise FileNotFoundError(f"report: {folder} is not a run folder: it has no {SPECTRUM}.")
    spectrum, reference = read_spectra(folder)
    try:
        settings = tomllib.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        settings = {}
    except ValueError as error:
        raise ValueError(f"report: {folder / _SETTINGS} cannot be read: {error}.") from error
    settings.pop("made_with", None)  # provenance says that
    return spectrum.report(folder / "report.html", reference=reference, settings=settings)


def json_text(record: Any) -> str:
    """JSON of tables, lists and NumPy arrays within each other; numbers of arrays that are not finite become null."""

    def plain(value: Any) -> Any:
        array = isinstance(value, np.ndarray | np.generic)
        return np.where(np.isfinite(value), value, np.array(None)).tolist() if array else str(value)

    return json.dumps(record, indent=2, allow_nan=False, default=plain)
