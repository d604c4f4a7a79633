"""Densities along one or two coordinates, against those known in closed form; and their pictures."""

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from stored_spectra import stored

import qspin
import qspin.draw.report
from qspin.methods.sampled.functions import marginal
from qspin.spectrum.eigenfunctions import Rotated

OMEGA = np.array([1.0, 1.2, 1.5, 2.0])


@pytest.fixture(scope="module")
def spectrum() -> qspin.Spectrum:
    return stored("sampled-ritz")


def test_one_coordinate_of_an_oscillator(spectrum: qspin.Spectrum) -> None:
    """√(ω/π) e^{-ωx²} of the ground state, times 2ωx² where that coordinate is excited."""
    (edges,), density = marginal(spectrum, (0,), bins=30, points=65_536)
    x = (edges[1:] + edges[:-1]) / 2
    ground = np.sqrt(OMEGA[0] / np.pi) * np.exp(-OMEGA[0] * x**2)
    assert density.shape == (30, 3)
    assert (density * np.diff(edges)[:, None]).sum(0) == pytest.approx(np.ones(3))
    assert density[:, 0] == pytest.approx(ground, abs=0.03)
    assert density[:, 1] == pytest.approx(2 * OMEGA[0] * x**2 * ground, abs=0.03)
    assert density[:, 2] == pytest.approx(ground, abs=0.03)


def test_turned_states(spectrum: qspin.Spectrum) -> None:
    """The first two states mixed by a complex number: each has half the density of both. Their picture has their labels."""
    turned = spectrum.eigenfunctions.times(np.ones(3))
    mixed = Rotated(turned, np.array([[1, 1j, 0], [1j, 1, 0], [0, 0, np.sqrt(2)]]) / np.sqrt(2))
    labels = ("L_z = +1", "L_z = -1", "ν1 97% + 2·ν0 3%")
    found = replace(spectrum, eigenfunctions=mixed, labels=labels)
    (_,), before = marginal(spectrum, (0,), bins=20, points=65_536)
    (_,), after = marginal(found, (0,), bins=20, points=65_536)
    assert after[:, 0] == pytest.approx(after[:, 1], abs=0.03)
    assert after.sum(1) == pytest.approx(before.sum(1), abs=5e-3)  # the bins are not quite the same
    axes = found.plot_marginals(axes=(0,), points=8192)
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["0  L_z = +1", "1  L_z = -1", "2  ν1"]
    plt.close("all")


def test_two_coordinates(spectrum: qspin.Spectrum) -> None:
    """Their sums are the densities along one; a product where nothing is coupled."""
    (first, second), density = marginal(spectrum, (0, 1), bins=10, points=262_144)
    area = np.multiply.outer(np.diff(first), np.diff(second))
    along = (density[..., 0] * area).sum(1)
    across = (density[..., 0] * area).sum(0)
    assert density[..., 0] * area == pytest.approx(np.multiply.outer(along, across), abs=4e-3)


def test_quanta_are_named(spectrum: qspin.Spectrum) -> None:
    assert spectrum.labels == ("ground 100%", "ν0 100%", "ν1 100%")
    assert str(spectrum).splitlines()[1].endswith("quanta")
    assert str(spectrum).splitlines()[3].endswith("ν0 100%")


def test_pictures(spectrum: qspin.Spectrum) -> None:
    """A panel a coordinate with a curve for each state, or a panel a state."""
    axes = spectrum.plot_marginals(points=8192)
    assert [ax.get_xlabel() for ax in axes] == ["$x_{0}$", "$x_{1}$", "$x_{2}$", "$x_{3}$"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["0  ground", "1  ν0", "2  ν1"]
    panels = spectrum.plot_marginals(pair=(0, 2), states=[0, 1], points=8192)
    assert len(panels) == 2 and panels[1].get_title().startswith("1: ")
    plt.close("all")


def test_bad_requests(spectrum: qspin.Spectrum) -> None:
    for axes in ((4,), (0, 0), (0, 1, 2), ()):
        with pytest.raises(ValueError, match="one or two different ones of 0 … 3"):
            marginal(spectrum, axes)
    flat = qspin.Problem(
        qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(1.0)), qspin.Box.cube(6.0, dim=1)
    )
    with pytest.raises(ValueError, match="use plot_orbitals"):
        marginal(qspin.solve(flat, 1, qspin.Grid()), (0,))


def test_a_report_in_many_dimensions(
    spectrum: qspin.Spectrum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Densities along single coordinates stand in it, with the quanta in its table; no figure stays open."""
    monkeypatch.setattr(qspin.draw.report, "marginals", lambda spectrum, points: plt.subplots(1, 2)[1])
    monkeypatch.setattr(qspin.draw.report, "MOST_STATES", 1)
    page = spectrum.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "along single coordinates, all others integrated over" in page
    assert ">quanta</th>" in page and ">ν0 100%</td>" in page
    assert not plt.get_fignums()
