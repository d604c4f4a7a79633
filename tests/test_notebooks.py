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


def test_spin_paper() -> None:
    """The saved million steps: with bias correction the energies are in order and near the exact lines, without not."""
    names = run("spin_paper.ipynb")
    exact = np.asarray(names["exact"])
    off = {}
    for averaging in ("0.01", "1"):
        spectrum = names["runs"][f"projected_{averaging}"]  # type: ignore[index]
        assert spectrum.history["step"][-1] == 1_000_000
        running = spectrum.history["energies"][-50:].mean(0)
        off[averaging] = np.abs(running - exact) / np.abs(exact)
        assert (np.diff(spectrum.energies) > 0).all()
        # Variational, but for what the Monte Carlo evaluation may be off.
        assert (spectrum.energies >= exact - 3 * np.asarray(spectrum.provenance["statistical_errors"])).all()
    assert np.median(off["0.01"]) < 0.06
    assert np.median(off["1"]) > 2 * np.median(off["0.01"])


def test_how_exact() -> None:
    """Ritz is far more exact than SpIN at its best, on both problems; and no method claims less than a tenth of its error."""
    names = run("how_exact.ipynb")
    for methods in names["record"].values():  # type: ignore[attr-defined]
        best = {name: min(row["error"] for row in rows) for name, rows in methods.items()}
        assert all(row["error"] < 10 * row["claimed"] for rows in methods.values() for row in rows)
        assert 1000 * best["Ritz"] < best["SpIN, Jacobian-free"]
        for name in ("Ritz", "Ritz, untrained"):
            assert all(row["error"] < row["claimed"] + 1e-10 for row in methods[name])
    assert (np.asarray(names["off"]) <= names["spectrum"].errors + names["grid"].errors).all()  # type: ignore[attr-defined]


def test_many_dimensions() -> None:
    """The chain against exact diagonalisation, inside what is claimed; both wells of the double well."""
    names = run("many_dimensions.ipynb")
    off, spectrum = np.abs(names["off"]), names["spectrum"]  # type: ignore[call-overload]
    assert (off < 2e-3).all()
    assert np.mean(off <= 2 * spectrum.errors) >= 0.8  # type: ignore[attr-defined]
    assert len(names["doublet"].provenance["wells"]) == 2  # type: ignore[attr-defined]


def test_no_notebook_goes_untested() -> None:
    assert {path.name for path in FOLDER.glob("*.ipynb")} == {
        "how_exact.ipynb",
        "hydrogen_2d_validation.ipynb",
        "many_dimensions.ipynb",
        "spin_paper.ipynb",
    }
