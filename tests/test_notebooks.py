"""Every notebook runs from top to bottom, is committed without outputs, and its results are right."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"


def code(name: str) -> list[str]:
    """The code cells of a notebook."""
    cells = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    chosen = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in chosen)
    return ["".join(cell["source"]) for cell in chosen]


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.ipynb")))
def test_notebooks_are_python_and_have_no_outputs(name: str) -> None:
    for cell in code(name):
        compile(cell, name, "exec")


def run(name: str, quicker: dict[str, str] | None = None, cells: int | None = None) -> dict[str, object]:
    """The names that a notebook leaves; `quicker` replaces what it says by what takes less time; the first `cells` only."""
    names: dict[str, object] = {}
    text = code(name)
    for said, instead in (quicker or {}).items():
        assert any(said in cell for cell in text), said
        text = [cell.replace(said, instead) for cell in text]
    for cell in text[:cells]:
        exec(cell, names)
    plt.close("all")
    return names


@pytest.mark.slow
def test_hydrogen_2d_validation() -> None:
    names = run("hydrogen_2d_validation.ipynb")
    spectrum = names["spectrum"]
    assert spectrum.compare(names["grid"]).agrees.all()  # type: ignore[attr-defined]
    # The virial theorem: an identity of the eigenfunctions that training does not use.
    assert np.allclose(names["kinetic"], -spectrum.energies, rtol=0.05)  # type: ignore[attr-defined]


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_many_dimensions() -> None:
    """The chain against exact diagonalisation, inside what is claimed; both wells of the double well."""
    quicker = {
        "steps=300, batch_size=2048": "steps=150, batch_size=1024",
        "65_536": "8192",
        "steps=100": "steps=20",
    }
    names = run("many_dimensions.ipynb", quicker)
    off, spectrum = np.abs(names["off"]), names["spectrum"]  # type: ignore[call-overload]
    assert (off < 2e-3).all()
    assert np.mean(off <= 2 * spectrum.errors) >= 0.8  # type: ignore[attr-defined]
    assert len(names["doublet"].provenance["wells"]) == 2  # type: ignore[attr-defined]


def test_a_first_look_in_one_dimension() -> None:
    """With few features: the virial theorem holds to what the residuals allow."""
    quicker = {"method=qspin.Ritz())": "method=qspin.Ritz(max_features=40, train=False))"}
    names = run("first_look.ipynb", quicker, cells=6)
    assert names["spectrum"].compare(names["grid"]).agrees.all()  # type: ignore[attr-defined]
    assert (np.abs(names["off"]) < 1e-3).all()  # type: ignore[call-overload]


@pytest.mark.slow
def test_first_look() -> None:
    """Both methods agree; the virial theorem holds to what the residuals allow; the rough grid's error bars are honest."""
    names = run("first_look.ipynb")
    assert names["spectrum"].compare(names["grid"]).agrees.all()  # type: ignore[attr-defined]
    assert (np.abs(names["off"]) < 1e-6).all()  # type: ignore[call-overload]
    assert names["honest"].all()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_degenerate_levels() -> None:
    """Spaces agree where functions do not; groups are those of the symmetry, and follow the error bars."""
    names = run("degenerate_levels.ipynb")
    comparison = names["comparison"]
    assert comparison.groups == [[0], [1, 2], [3, 4, 5]]  # type: ignore[attr-defined]
    assert (comparison.angles < 1e-3).all()  # type: ignore[attr-defined]
    assert np.allclose(names["values"], [0.5, 1.5], atol=1e-6)  # type: ignore[call-overload]
    assert np.ptp(names["whole"]) < 1e-6 < np.ptp(names["single"])  # type: ignore[call-overload]
    assert [len(group) for group in names["levels"].groups()] == [1, 3, 5]  # type: ignore[attr-defined]
    assert np.isnan(names["with_whole"].angles[-1])  # type: ignore[attr-defined]


@pytest.mark.slow
def test_bring_your_own_potential() -> None:
    """Numbers known otherwise: x⁴, the square well's conditions, cos x; the claims hold, rough ones too."""
    names = run("bring_your_own_potential.ipynb")
    assert np.allclose(names["free"].energies, [1.0603620905, 3.7996730298, 7.4556979380], atol=1e-9)  # type: ignore[attr-defined]
    assert not np.isfinite(names["bad"].errors).any()  # type: ignore[attr-defined]
    assert np.abs(np.append(names["even"][[0, 2]], names["odd"][1])).max() < 1e-7  # type: ignore[index]
    for found in (names["few"], names["enough"]):
        off = np.abs(found.energies - names["truth"].energies)  # type: ignore[attr-defined]
        assert (off <= found.errors).all()  # type: ignore[attr-defined]


def test_no_notebook_goes_untested() -> None:
    assert {path.name for path in FOLDER.glob("*.ipynb")} == {
        "bring_your_own_potential.ipynb",
        "degenerate_levels.ipynb",
        "first_look.ipynb",
        "how_exact.ipynb",
        "hydrogen_2d_validation.ipynb",
        "many_dimensions.ipynb",
        "spin_paper.ipynb",
    }
