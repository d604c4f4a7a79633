"""Pictures of a `Spectrum`: the front door to all of them, and all of them at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qspin.plot_history import draw_history, has_history, history
from qspin.plot_levels import draw_levels, levels
from qspin.plot_orbitals import draw_orbitals, orbitals
from qspin.spectrum import Spectrum

__all__ = ["history", "levels", "orbitals", "save_all"]


def save_all(spectrum: Spectrum, folder: str | os.PathLike[str], reference: Any = None) -> list[Path]:
    """Write orbitals.png, levels.png and, where there is a history, history.png; return their paths.

    `reference` goes to `levels` and `history`. The folder is made where there is none. No figure stays open.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    pictures = [
        ("orbitals", draw_orbitals(spectrum, None, Figure)),
        ("levels", draw_levels(spectrum, None, Figure, reference)),
    ]
    if has_history(spectrum):
        pictures.append(("history", draw_history(spectrum, None, Figure, reference)))
    paths = []
    for name, drawn in pictures:
        paths.append(target / f"{name}.png")
        np.ravel(drawn)[0].figure.savefig(paths[-1], dpi=130, bbox_inches="tight", pad_inches=0.1)
    return paths
