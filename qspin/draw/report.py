"""A report of a spectrum: one HTML file that opens offline, with energies, comparison, pictures, settings and provenance."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qspin.draw import surfaces
from qspin.draw.history import has_history, training
from qspin.draw.levels import levels, overlap
from qspin.draw.orbitals import marginals, orbitals
from qspin.draw.style import groups_of, png, state_title, title_of, unit_of
from qspin.methods.sampled.sampled_functions import SampledFunctions
from qspin.problem.domain import Box
from qspin.spectrum.comparison import Comparison
from qspin.spectrum.notes import rendered
from qspin.spectrum.spectrum import Spectrum
from qspin.spectrum.store import whole_file
from qspin.spectrum.tables import decimals

__all__ = ["report"]

MOST_STATES = 48  # that a report draws
_LONGEST = 12  # numbers of a list that are printed
_TEMPLATE = Path(__file__).with_name("report.html")


class Cell(NamedTuple):
    """A cell of a table: its text, what it is sorted by, a class of the style sheet, a place on the page it leads to."""

    text: str
    key: object = None
    style: str = ""
    link: str = ""


@dataclass(frozen=True)
class Table:
    """Columns of cells by heading; with `sorts`, a click on a heading sorts by it."""

    caption: str
    columns: dict[str, list[Cell]]
    sorts: bool = True

    def rows(self) -> Iterator[tuple[Cell, ...]]:
        """The cells of each row."""
        return zip(*self.columns.values(), strict=True)


class Picture(NamedTuple):
    """A PNG file's contents, what it shows in words, and a caption."""

    base64: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Section:
    """What stands under a heading of the page; of `states`, pictures, a slider shows one at a time."""

    id: str
    heading: str
    remark: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = field(default_factory=list)
    states: Sequence[Picture] = ()


class Verdict(NamedTuple):
    """A sentence that stands first on the page, red where it is not good."""

    text: str
    good: bool


def report(
    spectrum: Spectrum,
    path: str | os.PathLike[str],
    *,
    reference: Spectrum | None = None,
    comparison: Comparison | Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write a spectrum as a page of HTML that needs nothing but itself.

    Args:
        path: the file; its folder is made where there is none.
        reference: another spectrum of the same problem: drawn beside the levels, with a matrix of overlaps.
        comparison: with the reference or with exact energies, a `Comparison` or its `to_dict`; by default
            `spectrum.compare(reference)`.
        settings: what the run was asked for, by name.

    Returns the path. Cost: the pictures, and evaluating both spectra where they are compared. Raises ValueError where the
    reference lives on another domain.

    Example: `report(spectrum, "hydrogen.html", reference=grid)`.
    """
    if comparison is None and reference is not None:
        comparison = spectrum.compare(reference)
    record = comparison.to_dict() if isinstance(comparison, Comparison) else comparison
    n = spectrum.n_states
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=title_of(spectrum),
        name=spectrum.name,
        summary=f"{n} state{'s' if n > 1 else ''} by {spectrum.method or 'an unnamed method'}"
        + (f", energies in {spectrum.units}" if spectrum.units else ""),
        verdicts=_verdicts(spectrum, record),
        sections=[
            Section("energies", "Energies", tables=[_energy_table(spectrum)]),
            *_orbitals(spectrum),
            _levels(spectrum, reference, record),
            *_training(spectrum, reference),
            Section("settings", "Settings and provenance", tables=_settings(spectrum, settings or {})),
        ],
    )
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as file:
        file.write(page.encode())
    return target


# --- what is said


def _verdicts(spectrum: Spectrum, record: Mapping[str, Any] | None) -> list[Verdict]:
    good = bool(spectrum.converged.all())
    text = f"Converged: all {spectrum.n_states} states. {rendered(spectrum.notes, np.zeros(0))}"
    doubtful = np.flatnonzero(~spectrum.converged)
    verdicts = [Verdict(text if good else f"NOT CONVERGED: {_listed(doubtful)}. {spectrum.status}", good)]
    if record is not None:
        agrees = np.asarray(record["agrees"], bool)
        text = f"{agrees.sum()} of {len(agrees)} levels agree with {record['labels'][1]} within three combined errors."
        differing = "" if agrees.all() else f" DIFFERS: {_listed(np.flatnonzero(~agrees))}."
        verdicts.append(Verdict(text + differing, bool(agrees.all())))
    return verdicts


def _listed(states: np.ndarray) -> str:
    """state 3; states 1, 2, 5; of many the first ten."""
    named = ", ".join(str(k) for k in states[:10])
    more = f" and {len(states) - 10} more" if len(states) > 10 else ""
    return f"state{'s' if len(states) > 1 else ''} {named}{more}"


# --- tables


def _energy_table(spectrum: Spectrum) -> Table:
    columns = {
        "state": [
            Cell(str(k), k, link=f"state-{k}" if k < _drawn(spectrum) else "")
            for k in range(spectrum.n_states)
        ],
        "energy": _energies(spectrum.energies, spectrum.errors),
        "± error": _numbers(spectrum.errors),
        "residual": _numbers(spectrum.residuals),
        "group": _group_numbers(groups_of(spectrum)),
        "converged": [Cell("yes", 1, "good") if c else Cell("NO", 0, "bad") for c in spectrum.converged],
    }
    if any(spectrum.labels):
        columns["quanta"] = [Cell(label) for label in spectrum.labels]
    if spectrum.exact is not None:
        exact = spectrum.exact[: spectrum.n_states]
        columns |= {"exact": _numbers(exact, ".9g"), "off by": _numbers(spectrum.energies - exact, "+.1e")}
    caption = (
        f"Energies{unit_of(spectrum, brackets=True)}. States of one group are degenerate as far as errors can tell. An "
        "eigenvalue lies within the residual ‖Hψ − Eψ‖ of each energy."
    )
    return Table(caption, columns)


def _comparison_table(record: Mapping[str, Any]) -> Table:
    """The table of a `Comparison`, or of energies against exact ones; infinite and unknown numbers are None in it."""
    own, other = record["labels"]
    energies = record["energies"]
    columns = {
        "state": [Cell(str(k), k) for k in range(len(energies))],
        f"{own} energy": _energies(energies, record.get("errors") or [None] * len(energies)),
    }
    off: Any = record.get("exact_differences")
    allowed: Any = record.get("errors")
    caption = f"{own} against {other}" + (f" [{record['units']}]" if record.get("units") else "")
    if "reference_energies" in record:
        off, allowed = record["differences"], record["combined_errors"]
        unknown = [None] * len(energies)
        columns |= {
            f"{other} energy": _energies(
                record["reference_energies"], record.get("reference_errors") or unknown
            ),
            "difference": _numbers(off, "+.1e"),
            "combined error": _numbers(allowed),
            "group": _group_numbers(record["groups"]),
            "angle": _numbers(
                [record["angles"][g] for g, group in enumerate(record["groups"]) for _ in group]
            ),
        }
        caption += "; the angle (radians) is the largest between the eigenspaces of a group"
    if record.get("exact") is not None:
        columns["exact"] = _numbers(record["exact"][: len(energies)], ".9g")
        columns["off by"] = _numbers(record["exact_differences"], "+.1e")
    columns["verdict"] = [
        Cell("agrees", 1, "good")
        if agrees
        else Cell(
            "DIFFERS" + (f" by {abs(by) / error:.1f} errors" if by is not None and error else ""), 0, "bad"
        )
        for agrees, by, error in zip(record["agrees"], off, allowed, strict=True)
    ]
    return Table(caption + ".", columns)


def _settings(spectrum: Spectrum, settings: Mapping[str, Any]) -> list[Table]:
    asked = {"domain": repr(spectrum.domain), **settings}
    tables = []
    for caption, values in (("What was asked for", asked), ("How it was made", spectrum.provenance)):
        pairs = list(_flat(values))
        columns = {
            "name": [Cell(name) for name, _ in pairs],
            "value": [Cell(text, style="wide") for _, text in pairs],
        }
        tables += [Table(caption, columns, sorts=False)] if pairs else []
    return tables


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as names with dots and texts; what was left to its default, None, is left out."""
    for name, value in values.items():
        many = isinstance(value, list | tuple | np.ndarray)
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif many and len(np.ravel(np.asarray(value, object))) > _LONGEST:
            yield f"{before}{name}", f"{len(value)} entries"
        elif value is not None and str(value) != "":
            yield f"{before}{name}", str(value)


def _numbers(values: Iterable[float | None], form: str = ".1e") -> list[Cell]:
    return [_number(value, form) for value in values]


def _energies(energies: Iterable[float | None], errors: Iterable[float | None]) -> list[Cell]:
    """Energies with as many digits as their errors leave."""
    digits = [decimals(np.inf if error is None else error) for error in errors]
    return [_number(energy, f".{n}f") for energy, n in zip(energies, digits, strict=True)]


def _number(value: float | None, form: str) -> Cell:
    if value is None or not np.isfinite(value):
        return Cell("–", "Infinity", "number")
    return Cell(f"{value:{form}}".replace("-", "−"), float(value), "number")


def _group_numbers(groups: Sequence[Sequence[int]]) -> list[Cell]:
    return [Cell(str(g), g, "number") for g, group in enumerate(groups) for _ in group]


# --- pictures


def _picture(drawn: Any, alt: str, caption: str) -> Picture:
    """The figure that these Axes belong to, which is closed."""
    picture = Picture(base64.b64encode(png(drawn, dpi=90)).decode("ascii"), alt, caption)
    plt.close(np.ravel(drawn)[0].figure)
    return picture


def _drawn(spectrum: Spectrum) -> int:
    """How many states are drawn: none where there are no coordinates to draw them over."""
    return min(spectrum.n_states, MOST_STATES) if isinstance(spectrum.domain, Box) else 0


def _orbitals(spectrum: Spectrum) -> list[Section]:
    n, name = _drawn(spectrum), spectrum.name
    if n == 0:
        kind = type(spectrum.domain).__name__
        return [
            Section(
                "orbitals", "Orbitals", f"These functions live on {kind}, not in a box; they are not drawn."
            )
        ]
    remark = "" if n == spectrum.n_states else f"The first {n} of {spectrum.n_states} states are drawn."
    pictures = []
    if spectrum.n_states > 1:
        drawn = orbitals(spectrum, Figure(), range(n), points=120)
        pictures.append(
            _picture(drawn, f"The first {n} eigenfunctions of {name}.", "ψ, as plot_orbitals draws it.")
        )
    if isinstance(spectrum.eigenfunctions, SampledFunctions):
        words = f"Densities of the lowest states of {name} along single coordinates."
        caption = "|ψ|² along single coordinates, all others integrated over."
        pictures.append(_picture(marginals(spectrum, points=65_536), words, caption))
    return [
        Section("orbitals", "Orbitals", remark, pictures),
        Section("one", "One state", states=_one_by_one(spectrum, n)),
    ]


def _one_by_one(spectrum: Spectrum, n: int) -> list[Picture]:
    """Each of the first n states by itself, ψ beside |ψ|², in three dimensions beside a surface."""
    solid = spectrum.domain.dim == 3 and surfaces.available()
    figures = [Figure(figsize=(9.0, 3.9), layout="constrained") for _ in range(n)]
    left = [figure.add_subplot(1, 2, 1) for figure in figures]
    right = [figure.add_subplot(1, 2, 2, projection="3d" if solid else None) for figure in figures]
    orbitals(spectrum, left, range(n), contours=6)
    if solid:
        surfaces.isosurfaces(spectrum, right, range(n))
        caption = "left ψ on a plane, right the surface |ψ| = c that holds 70 % of the probability"
    else:
        orbitals(spectrum, right, range(n), contours=6, density=True)
        caption = "left ψ, right |ψ|², over V where it is known"
    pictures = []
    for k, (figure, ax) in enumerate(zip(figures, right, strict=True)):
        ax.set(title="" if solid else r"$|\psi|^2$")
        doubt = "" if spectrum.converged[k] else " NOT CONVERGED."
        pictures.append(
            _picture(
                figure.axes,
                f"Eigenfunction {k} of {spectrum.name}.",
                f"State {state_title(spectrum, k)}: {caption}.{doubt}",
            )
        )
    return pictures


def _levels(spectrum: Spectrum, reference: Spectrum | None, record: Mapping[str, Any] | None) -> Section:
    beside = " beside those of the reference" if reference is not None else ""
    exact = " and the exact ones" if spectrum.exact is not None else ""
    caption = (
        f"Energy levels{beside}{exact}; ×2 and the like count degenerate levels, bars are claimed errors."
    )
    alt = f"Energy levels of {spectrum.name}{beside}{exact}."
    pictures = [_picture(levels(spectrum, Figure(), reference), alt, caption)]
    if reference is not None:
        alt = f"Matrix of overlaps of {spectrum.name} by {spectrum.method} with {reference.method}."
        caption = "Squared overlaps. Framed are levels that cannot be told apart, with the largest angle between eigenspaces."
        pictures.append(_picture(overlap(spectrum, reference, Figure()), alt, caption))
    if record is None:
        return Section("levels", "Levels", pictures=pictures)
    return Section("levels", "Levels and comparison", pictures=pictures, tables=[_comparison_table(record)])


def _training(spectrum: Spectrum, reference: Spectrum | None) -> list[Section]:
    """Nothing where nothing was trained."""
    if not has_history(spectrum):
        return []
    caption = (
        "Energies during training; dots are the final energies, from a fresh evaluation. Where something is known to measure "
        "from, below: distance from it, with bars up to the claimed errors."
    )
    alt = f"Energies of {spectrum.name} during training."
    return [
        Section(
            "training", "Training", pictures=[_picture(training(spectrum, Figure(), reference), alt, caption)]
        )
    ]
