"""A report of a spectrum: one HTML file that opens offline, with energies, comparison, pictures, settings and provenance."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
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
from qspin.draw.style import png, state_title, title_of
from qspin.methods.sampled.functions import SampledFunctions
from qspin.problem.domain import Box
from qspin.spectrum.comparison import Comparison
from qspin.spectrum.notes import states_named
from qspin.spectrum.spectrum import Spectrum
from qspin.spectrum.store import whole_file

__all__ = ["report"]

MOST_STATES = 48  # that a report draws
_LONGEST = 12  # numbers of a list that are printed
_TEMPLATE = Path(__file__).with_name("report.html")


class Picture(NamedTuple):
    """A PNG file's contents, what it shows in words, and a caption."""

    base64: str
    alt: str
    caption: str


def report(
    spectrum: Spectrum,
    path: str | os.PathLike[str],
    *,
    reference: Spectrum | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write a spectrum as a page of HTML that needs nothing but itself.

    Args:
        path: the file; its folder is made where there is none.
        reference: another spectrum of the same problem: compared, drawn beside the levels, with a matrix of overlaps.
        settings: what the run was asked for, by name.

    Returns the path. Cost: the pictures, and evaluating both spectra where they are compared. Raises ValueError where the
    reference lives on another domain.

    Example: `report(spectrum, "hydrogen.html", reference=grid)`.
    """
    comparison = None if reference is None else spectrum.compare(reference)
    drawn = min(spectrum.n_states, MOST_STATES) if isinstance(spectrum.domain, Box) else 0
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        spectrum=spectrum,
        comparison=comparison,
        title=title_of(spectrum),
        verdicts=_verdicts(spectrum, comparison),
        drawn=drawn,
        orbitals=_orbitals(spectrum, drawn) if drawn else [],
        states=_one_by_one(spectrum, drawn) if drawn else [],
        levels=_levels(spectrum, reference),
        training=_training(spectrum, reference),
        settings={
            "What was asked for": dict(_flat({"domain": repr(spectrum.domain), **(settings or {})})),
            "How it was made": dict(_flat(spectrum.provenance)),
        },
    )
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as file:
        file.write(page.encode())
    return target


def _verdicts(spectrum: Spectrum, comparison: Comparison | None) -> list[tuple[bool, str]]:
    """Sentences that stand first, and whether each is good news."""
    good = bool(spectrum.converged.all())
    which = states_named(np.flatnonzero(~spectrum.converged).tolist())
    verdicts = [(good, spectrum.status if good else f"NOT CONVERGED: {which}. {spectrum.status}")]
    if comparison is not None:
        agree, by = bool(comparison.agrees.all()), comparison.labels[1]
        which = states_named(np.flatnonzero(~comparison.agrees).tolist())
        verdicts.append(
            (agree, f"Against {by}: {comparison.summary}{'' if agree else f' DIFFERS: {which}.'}")
        )
    return verdicts


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as names with dots and texts; what was left to its default, None, is left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, list | tuple | np.ndarray) and np.size(np.asarray(value, object)) > _LONGEST:
            yield f"{before}{name}", f"{len(value)} entries"
        elif value is not None and str(value) != "":
            yield f"{before}{name}", str(value)


# --- pictures


def _picture(drawn: Any, alt: str, caption: str) -> Picture:
    """The figure that these Axes belong to, which is closed."""
    picture = Picture(base64.b64encode(png(drawn, dpi=90)).decode("ascii"), alt, caption)
    plt.close(np.ravel(drawn)[0].figure)
    return picture


def _orbitals(spectrum: Spectrum, n: int) -> list[Picture]:
    """The first n states in one picture; of sampled ones in many dimensions also their densities along coordinates."""
    pictures = []
    if spectrum.n_states > 1:
        axes = orbitals(spectrum, Figure(), range(n), points=120)
        alt = f"The first {n} eigenfunctions of {spectrum.name}."
        how = {1: "each lifted to its energy, over V where it is known", 2: "one panel each"}
        caption = f"ψ, {how.get(spectrum.domain.dim, 'one panel each, on a plane')}."
        pictures.append(_picture(axes, alt, caption))
    if isinstance(spectrum.eigenfunctions, SampledFunctions):
        alt = f"Densities of the lowest states of {spectrum.name} along single coordinates."
        caption = "|ψ|² along single coordinates, all others integrated over."
        pictures.append(_picture(marginals(spectrum, points=65_536), alt, caption))
    return pictures


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
        caption = "left ψ, right |ψ|²"
    doubts = ["" if converged else " NOT CONVERGED." for converged in spectrum.converged]
    return [
        _picture(
            figure.axes,
            f"Eigenfunction {k} of {spectrum.name}.",
            f"State {state_title(spectrum, k)}, {caption}.{doubts[k]}",
        )
        for k, figure in enumerate(figures)
    ]


def _levels(spectrum: Spectrum, reference: Spectrum | None) -> list[Picture]:
    """The level diagram, and the overlaps with a reference."""
    beside = " beside those of the reference" if reference is not None else ""
    exact = " and the exact ones" if spectrum.exact is not None else ""
    alt = f"Energy levels of {spectrum.name}{beside}{exact}."
    caption = (
        f"Energy levels{beside}{exact}; ×2 and the like count degenerate levels, bars are claimed errors."
    )
    pictures = [_picture(levels(spectrum, Figure(), reference), alt, caption)]
    if reference is not None:
        alt = f"Matrix of overlaps of {spectrum.name} by {spectrum.method} with {reference.method}."
        caption = "Squared overlaps. Framed are levels that cannot be told apart, with the largest angle between eigenspaces."
        pictures.append(_picture(overlap(spectrum, reference, Figure()), alt, caption))
    return pictures


def _training(spectrum: Spectrum, reference: Spectrum | None) -> list[Picture]:
    """Energies against steps; nothing where nothing was trained."""
    if not has_history(spectrum):
        return []
    alt = f"Energies of {spectrum.name} during training."
    caption = (
        "Energies during training; dots are the final energies, from a fresh evaluation. Where something is known to measure "
        "from, below: distance from it, with bars up to the claimed errors."
    )
    return [_picture(training(spectrum, Figure(), reference), alt, caption)]
