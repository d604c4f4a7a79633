"""Every picture looks as it did when somebody last looked at it: against stored ones, without their text."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from known_spectra import oscillator, spectrum_of, trained
from matplotlib import pyplot as plt
from stored_pictures import BASELINE, difference

from qspin.draw import history
from qspin.problem.domain import Box
from qspin.problem.region import Disk, Region


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def drum():
    """Two states of a disk, about."""

    def function(x):
        rim = np.maximum(1 - (x**2).sum(1), 0)
        return np.stack([rim, rim * x[:, 0]], axis=1)

    square = spectrum_of(function, [2.9, 7.3], Box.cube(1.0, dim=2), 60)
    return replace(square, domain=Region(Disk(1.0, (0.0, 0.0)), Box.cube(1.0, dim=2)))


def training(**fields):
    noise = 1e-4 * np.random.default_rng(0).normal(size=(200, 4))
    spectrum = trained(oscillator, 4, 1, exact=np.arange(5) + 0.5 + 1e-5)
    history = {**spectrum.history, "energies": spectrum.history["energies"] + noise}
    return replace(spectrum, history=history, **fields)


def turned(spectrum):
    """A degenerate pair rotated, and one of its states mixed a little with the next level."""
    turn = np.eye(6)
    turn[1:3, 1:3] = [[0.8, -0.6], [0.6, 0.8]]
    mix = np.eye(6)
    mix[2:4, 2:4] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    inner = spectrum.eigenfunctions.function
    return spectrum_of(lambda x: inner(x) @ turn @ mix, spectrum.energies, spectrum.domain, 80)


def levels(errors=0.12):
    unsure = oscillator(6, 2, errors=np.full(6, errors), exact=np.array([1.0, 2, 2, 3, 3, 3, 4]))
    return unsure.plot_levels(reference=[oscillator(6, 2), [1.1, 2.05, 2.05]])


PICTURES = {
    "orbitals_1d": lambda: oscillator(4, 1).plot_orbitals(),
    "orbitals_2d": lambda: oscillator(4, 2).plot_orbitals(contours=5, points=60),
    "orbitals_region": lambda: drum().plot_orbitals(points=80, density=True),
    "slices_3d": lambda: oscillator(4, 3).plot_orbitals(points=40),
    "isosurfaces": lambda: oscillator(4, 3).plot_isosurfaces(points=24),
    "levels": levels,
    "training": lambda: history.training(training()),
    "overlap": lambda: turned(oscillator(6, 2)).plot_overlap(oscillator(6, 2)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name, tmp_path):
    assert difference(PICTURES[name](), name, tmp_path) is None


def test_stored_pictures_are_small_and_used():
    stored = {path.stem: path.stat().st_size for path in BASELINE.glob("*.png")}
    assert max(stored.values()) < 30_000
    assert stored.keys() == PICTURES.keys()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("orbitals_1d", lambda: oscillator(4, 1).plot_orbitals(states=[0, 1, 2])),
        ("orbitals_2d", lambda: oscillator(4, 2).plot_orbitals(points=60, states=[0, 2, 1, 3])),
        ("levels", lambda: oscillator(6, 2).plot_levels(reference=[oscillator(6, 2)])),
        ("levels", lambda: levels(errors=0.02)),
        ("training", lambda: history.training(training(), reference=np.arange(4) + 0.6)),
        ("overlap", lambda: oscillator(6, 2).plot_overlap(oscillator(6, 2))),
        ("isosurfaces", lambda: oscillator(4, 3).plot_isosurfaces(points=24, states=[0, 2, 1, 3])),
    ],
)
def test_another_picture_would_be_seen(name, wrong, tmp_path, monkeypatch):
    monkeypatch.delenv("QSPIN_WRITE_BASELINE", raising=False)
    assert difference(wrong(), name, tmp_path) is not None
