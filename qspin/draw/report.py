"""A report of a spectrum: one HTML file that opens offline, with energies, comparison, pictures, settings and provenance."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from jaxtyping import Bool
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qspin.draw import surfaces
from qspin.draw.history import has_history, training
from qspin.draw.levels import levels, overlap
from qspin.draw.orbitals import marginals, orbitals
from qspin.draw.style import png, state_title, title_of
from qspin.methods.sampled.functions import SampledFunctions
from qspin.problem.domain import Box
from qspin.spectrum.notes import states_named
from qspin.spectrum.spectrum import Spectrum
from qspin.spectrum.store import whole_file

__all__ = ["report"]

MOST_STATES = 48  # that a report draws
_LONGEST = 12  # numbers of a list that are printed
_TEMPLATE = Path(__file__).with_name("report.html")


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
    solid = spectrum.domain.dim == 3 and surfaces.available()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        spectrum=spectrum,
        reference=reference,
        comparison=comparison,
        title=title_of(spectrum),
        doubtful=_failing(spectrum.converged),
        differing="" if comparison is None else _failing(~(np.array(comparison.outcomes) == "differs")),
        drawn=drawn,
        solid=solid,
        pictures=_pictures(spectrum, reference, drawn),
        states=[(state_title(spectrum, k), image) for k, image in enumerate(_states(spectrum, drawn, solid))],
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


def _failing(good: Bool[np.ndarray, " n"]) -> str:
    """The states that are not good, by number; empty where all are."""
    return "" if good.all() else states_named(np.flatnonzero(~good).tolist())


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


def _encoded(drawn: Any) -> str:
    """The figure that these Axes belong to, which is closed, as a PNG file in base64."""
    image = base64.b64encode(png(drawn, dpi=90)).decode("ascii")
    plt.close(np.ravel(drawn)[0].figure)
    return image


def _pictures(spectrum: Spectrum, reference: Spectrum | None, n: int) -> dict[str, str]:
    """Pictures by name, as far as there is something to draw; of the first n states in one picture, of sampled ones in many
    dimensions also their densities along coordinates."""
    pictures = {"levels": _encoded(levels(spectrum, Figure(), reference))}
    if n and spectrum.n_states > 1:
        pictures["orbitals"] = _encoded(orbitals(spectrum, Figure(), range(n), points=120))
    if n and isinstance(spectrum.eigenfunctions, SampledFunctions):
        pictures["marginals"] = _encoded(marginals(spectrum, points=65_536))
    if reference is not None:
        pictures["overlap"] = _encoded(overlap(spectrum, reference, Figure()))
    if has_history(spectrum):
        pictures["training"] = _encoded(training(spectrum, Figure(), reference))
    return pictures


def _states(spectrum: Spectrum, n: int, solid: bool) -> list[str]:
    """Each of the first n states by itself, ψ beside |ψ|², or beside a surface."""
    if n == 0:
        return []
    figures = [Figure(figsize=(9.0, 3.9), layout="constrained") for _ in range(n)]
    left = [figure.add_subplot(1, 2, 1) for figure in figures]
    right = [figure.add_subplot(1, 2, 2, projection="3d" if solid else None) for figure in figures]
    orbitals(spectrum, left, range(n), contours=6)
    if solid:
        surfaces.isosurfaces(spectrum, right, range(n))
    else:
        orbitals(spectrum, right, range(n), contours=6, density=True)
    return [_encoded(figure.axes) for figure in figures]
