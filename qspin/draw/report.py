"""A report of a run: one HTML file that opens offline, with energies, comparison, pictures, settings and provenance."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from qspin.draw import html_page, report_pictures
from qspin.draw.html_page import Cell
from qspin.draw.style import groups_of
from qspin.methods.sampled.sampled_functions import SampledFunctions
from qspin.spectrum.comparison import Comparison
from qspin.spectrum.notes import rendered
from qspin.spectrum.spectrum import Spectrum
from qspin.spectrum.store import whole_file
from qspin.spectrum.tables import decimals

__all__ = ["report"]

_LONGEST = 12  # numbers of a list that settings have room for


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
    parts = [
        _head(spectrum, record),
        _energies(spectrum),
        _orbitals(spectrum),
        _levels(spectrum, reference, record),
        _training(spectrum, reference),
        _settings(spectrum, settings or {}),
    ]
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as file:
        file.write(html_page.page(f"{_title(spectrum)} – qspin", "".join(parts)).encode())
    return target


# --- parts of the page


def _head(spectrum: Spectrum, record: Mapping[str, Any] | None) -> str:
    n = spectrum.n_states
    what = f"{n} state{'s' if n > 1 else ''} by {spectrum.method or 'an unnamed method'}"
    units = f", energies in {spectrum.units}" if spectrum.units else ""
    parts = [
        f"<h1>{escape(spectrum.name)}</h1>\n",
        html_page.paragraph(f"{what}{units}", "faint"),
    ]
    if spectrum.converged.all():
        parts.append(
            html_page.paragraph(
                f"Converged: all {n} states. {rendered(spectrum.notes, np.zeros(0))}", "verdict"
            )
        )
    else:
        which = _listed(np.flatnonzero(~spectrum.converged))
        parts.append(html_page.paragraph(f"NOT CONVERGED: {which}. {spectrum.status}", "verdict bad"))
    if record is not None:
        agrees = np.asarray(record["agrees"], bool)
        against = record["labels"][1]
        said = f"{agrees.sum()} of {len(agrees)} levels agree with {against} within three combined errors."
        if agrees.all():
            parts.append(html_page.paragraph(said, "verdict"))
        else:
            parts.append(
                html_page.paragraph(f"{said} DIFFERS: {_listed(np.flatnonzero(~agrees))}.", "verdict bad")
            )
    return "".join(parts)


def _energies(spectrum: Spectrum) -> str:
    group_of = {level: g for g, group in enumerate(groups_of(spectrum)) for level in group}
    labels = spectrum.labels or [""] * spectrum.n_states
    exact = None if spectrum.exact is None else spectrum.exact[: spectrum.n_states]
    shown = _shown(spectrum)
    columns = ["state", "energy", "± error", "residual", "group", "converged"]
    columns += ["quanta"] if any(labels) else []
    columns += ["exact", "off by"] if exact is not None else []
    rows = []
    for k in range(spectrum.n_states):
        row = [
            Cell(k, k, leads_to=f"state-{k}" if k < shown else ""),
            _energy(spectrum.energies[k], spectrum.errors[k]),
            _small(spectrum.errors[k]),
            _small(spectrum.residuals[k]),
            Cell(group_of[k], group_of[k], "number"),
            Cell("yes", 1, "good") if spectrum.converged[k] else Cell("NO", 0, "bad"),
        ]
        row += [Cell(labels[k])] if any(labels) else []
        row += [_plain(exact[k]), _small(spectrum.energies[k] - exact[k], "+")] if exact is not None else []
        rows.append(row)
    units = f" [{spectrum.units}]" if spectrum.units else ""
    caption = (
        f"Energies{units}. States of one group are degenerate as far as errors can tell. An eigenvalue lies within the "
        "residual ‖Hψ − Eψ‖ of each energy."
    )
    return html_page.section("Energies", "energies", html_page.table(caption, columns, rows))


def _orbitals(spectrum: Spectrum) -> str:
    if not report_pictures.drawable(spectrum):
        kind = type(spectrum.domain).__name__
        said = f"These functions live on {kind}, not in a box; they are not drawn."
        return html_page.section("Orbitals", "orbitals", html_page.paragraph(said))
    shown = _shown(spectrum)
    once = replace(spectrum, eigenfunctions=report_pictures.Remembered(spectrum.eigenfunctions))
    parts = []
    if shown < spectrum.n_states:
        parts.append(
            html_page.paragraph(f"The first {shown} of {spectrum.n_states} states are drawn.", "faint")
        )
    if spectrum.n_states > 1:
        parts.append(html_page.picture(report_pictures.together(once, shown)))
    if isinstance(spectrum.eigenfunctions, SampledFunctions):
        parts.append(html_page.picture(report_pictures.densities(spectrum)))
    one_by_one = html_page.selector("state", "state", report_pictures.one_by_one(once, shown))
    return html_page.section("Orbitals", "orbitals", *parts) + html_page.section(
        "One state", "one", one_by_one
    )


def _shown(spectrum: Spectrum) -> int:
    if not report_pictures.drawable(spectrum):
        return 0
    return min(spectrum.n_states, report_pictures.MOST_STATES)


def _levels(spectrum: Spectrum, reference: Spectrum | None, record: Mapping[str, Any] | None) -> str:
    parts = [html_page.picture(report_pictures.level_diagram(spectrum, reference))]
    if record is not None:
        parts.append(_comparison(record))
    if reference is not None:
        parts.append(html_page.picture(report_pictures.overlaps(spectrum, reference)))
    return html_page.section("Levels" if record is None else "Levels and comparison", "levels", *parts)


def _comparison(record: Mapping[str, Any]) -> str:
    """The table of a `Comparison`, or of energies against exact ones; infinite and unknown numbers are None in it."""
    own, other = record["labels"]
    columns = ["state", f"{own} energy"]
    with_reference = "reference_energies" in record
    exact = record.get("exact")
    if with_reference:
        columns += [f"{other} energy", "difference", "combined error", "group", "angle"]
        group_of = {level: g for g, group in enumerate(record["groups"]) for level in group}
    columns += ["exact", "off by"] if exact is not None else []
    rows = []
    for k, energy in enumerate(record["energies"]):
        row = [Cell(k, k), _energy(energy, record["errors"][k] if record.get("errors") else None)]
        allowed = record["errors"][k]
        off = record["exact_differences"][k] if exact is not None else None
        if with_reference:
            off, allowed = record["differences"][k], record["combined_errors"][k]
            row += [
                _energy(
                    record["reference_energies"][k],
                    record["reference_errors"][k] if record.get("reference_errors") else None,
                ),
                _small(off, "+"),
                _small(allowed),
                Cell(group_of[k], group_of[k], "number"),
                _small(record["angles"][group_of[k]]),
            ]
        row += [_plain(exact[k]), _small(record["exact_differences"][k], "+")] if exact is not None else []
        rows.append([*row, _verdict(record["agrees"][k], off, allowed)])
    units = f" [{record['units']}]" if record.get("units") else ""
    caption = f"{own} against {other}{units}"
    if with_reference:
        caption += "; the angle (radians) is the largest between the eigenspaces of a group"
    return html_page.table(caption + ".", [*columns, "verdict"], rows)


def _training(spectrum: Spectrum, reference: Spectrum | None) -> str:
    image = report_pictures.training(spectrum, reference)
    return "" if image is None else html_page.section("Training", "training", html_page.picture(image))


def _settings(spectrum: Spectrum, settings: Mapping[str, Any]) -> str:
    tables = []
    asked = {"domain": repr(spectrum.domain), **settings}
    for caption, values in (("What was asked for", asked), ("How it was made", spectrum.provenance)):
        rows = [[Cell(name), Cell(value, style="wide")] for name, value in _flat(values)]
        tables.append(html_page.table(caption, ["name", "value"], rows, sorts=False))
    return html_page.section("Settings and provenance", "settings", *tables)


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as names with dots and texts; what was left to its default, None, is left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif (
            isinstance(value, list | tuple | np.ndarray)
            and len(np.ravel(np.asarray(value, object))) > _LONGEST
        ):
            yield f"{before}{name}", f"{len(value)} entries"
        elif value is not None and str(value) != "":
            yield f"{before}{name}", str(value)


# --- numbers in cells


def _energy(energy: float | None, error: float | None) -> Cell:
    if energy is None:
        return Cell("?", np.inf, "number")
    digits = decimals(np.inf if error is None else error)
    return Cell(f"{energy:.{digits}f}".replace("-", "−"), float(energy), "number")


def _plain(value: float) -> Cell:
    return Cell(f"{value:.9g}".replace("-", "−"), float(value), "number")


def _small(value: float | None, sign: str = "-") -> Cell:
    if value is None or not np.isfinite(value):
        return Cell("–", np.inf, "number")
    return Cell(f"{value:{sign}.1e}".replace("-", "−"), float(value), "number")


def _verdict(agrees: bool, off: float | None, allowed: float | None) -> Cell:
    if agrees:
        return Cell("agrees", 1, "good")
    by = f" by {abs(off) / allowed:.1f} errors" if off is not None and allowed else ""
    return Cell(f"DIFFERS{by}", 0, "bad")


def _listed(states: np.ndarray) -> str:
    """state 3; states 1, 2, 5; of many the first ten."""
    named = ", ".join(str(k) for k in states[:10])
    more = f" and {len(states) - 10} more" if len(states) > 10 else ""
    return f"state{'s' if len(states) > 1 else ''} {named}{more}"


def _title(spectrum: Spectrum) -> str:
    return f"{spectrum.name} by {spectrum.method}" if spectrum.method else spectrum.name
