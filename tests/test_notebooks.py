"""Every notebook runs from top to bottom, is committed without outputs, and its results are right."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

FOLDER = Path(__file__).parents[1] / "notebooks"


def run(name: str) -> dict[str, object]:
    notebook = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    names: dict[str, object] = {}
    for cell in code:
        exec("".join(cell["source"]), names)
    plt.close("all")
    return names


def test_hydrogen_2d_validation() -> None:
    names = run("hydrogen_2d_validation.ipynb")
    spectrum = names["spectrum"]
    assert spectrum.compare(names["grid"]).agrees.all()  # type: ignore[attr-defined]
    # The virial theorem: an identity of the eigenfunctions that training does not use.
    assert np.allclose(names["kinetic"], -spectrum.energies, rtol=0.05)  # type: ignore[attr-defined]


def test_no_notebook_goes_untested() -> None:
    assert {path.name for path in FOLDER.glob("*.ipynb")} == {"hydrogen_2d_validation.ipynb"}
