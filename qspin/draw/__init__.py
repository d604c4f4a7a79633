"""Pictures, films and pages of a `Spectrum`; and all pictures of a run at once."""

import os
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from qspin.draw import history, levels, orbitals, surfaces
from qspin.draw.style import png
from qspin.spectrum.spectrum import Spectrum

__all__ = ["save_all"]


def save_all(
    spectrum: Spectrum, folder: str | os.PathLike[str], reference: Any = None, **options: Any
) -> list[Path]:
    """Write orbitals.png, levels.png, in 3D isosurfaces.png and, where there is a history, history.png; return their paths.

    `reference` goes to `levels` and to the history, which has a panel of errors where something is known to measure from; other
    options go to `orbitals`, and of them `states` to `isosurfaces`, which are left out without scikit-image. The folder is made
    where there is none. No figure stays open.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    pictures = {
        "orbitals": orbitals.orbitals(spectrum, Figure(), **options),
        "levels": levels.levels(spectrum, Figure(), reference),
    }
    if spectrum.domain.dim == 3 and surfaces.available():
        pictures["isosurfaces"] = surfaces.isosurfaces(spectrum, Figure(), states=options.get("states"))
    if history.has_history(spectrum):
        pictures["history"] = history.training(spectrum, Figure(), reference)
    for name, drawn in pictures.items():
        (target / f"{name}.png").write_bytes(png(drawn))
    return [target / f"{name}.png" for name in pictures]
