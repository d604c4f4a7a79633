"""Pictures of a `Spectrum`: the front door to all of them, and all of them at once."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qspin.draw.history import draw_errors, draw_history, has_history, history, history_errors, mark_steps
from qspin.draw.isosurfaces import draw_isosurfaces, isosurfaces
from qspin.draw.levels import draw_levels, levels, reference_columns
from qspin.draw.orbitals import draw_orbitals, orbitals
from qspin.draw.overlap import overlap
from qspin.spectrum.spectrum import Spectrum

__all__ = ["history", "history_errors", "isosurfaces", "levels", "orbitals", "overlap", "save_all"]


def save_all(
    spectrum: Spectrum, folder: str | os.PathLike[str], reference: Any = None, **options: Any
) -> list[Path]:
    """Write orbitals.png, levels.png, in 3D isosurfaces.png and, where there is a history, history.png; return their paths.

    `reference` goes to `levels` and to the history, which has a panel of errors where something is known to measure from; other
    options go to `orbitals`, and of them `states` to `isosurfaces`. The folder is made where there is none. No figure stays
    open.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    pictures = [
        ("orbitals", draw_orbitals(spectrum, None, Figure, **options)),
        ("levels", draw_levels(spectrum, None, Figure, reference)),
    ]
    if spectrum.domain.dim == 3:
        pictures.append(
            ("isosurfaces", draw_isosurfaces(spectrum, None, Figure, states=options.get("states")))
        )
    if has_history(spectrum):
        pictures.append(("history", draw_training(spectrum, reference)))
    paths = []
    for name, drawn in pictures:
        paths.append(target / f"{name}.png")
        paths[-1].write_bytes(png(drawn))
    return paths


def draw_training(spectrum: Spectrum, reference: Any = None) -> np.ndarray:
    """The history, and below it the errors where something is known to measure them from: a figure of one or two panels."""
    several = len(reference_columns(reference, "history"))
    known = several == 1 or (reference is None and spectrum.exact is not None)
    figure = Figure(figsize=(6.4, 7.6 if known else 4.4), layout="constrained")
    axes = np.ravel(figure.subplots(2 if known else 1, 1, squeeze=False))
    draw_history(spectrum, axes[0], Figure, reference)
    if known:
        draw_errors(spectrum, axes[1], Figure, reference)
        axes[0].set_xlim(axes[1].get_xlim())
        mark_steps(axes[0], float(spectrum.history["step"][-1]))
        axes[1].set_title("", loc="left")
    return axes


def png(drawn: Any, dpi: int = 130) -> bytes:
    """The figure that these Axes belong to, as a PNG file's contents."""
    file = io.BytesIO()
    np.ravel(drawn)[0].figure.savefig(file, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.1)
    return file.getvalue()
