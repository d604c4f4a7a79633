"""Surfaces of orbitals: where they lie, which sign has which colour, and what is refused."""

from collections.abc import Iterator

import numpy as np
import pytest
from known_spectra import hydrogen, oscillator
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

COARSE = {"points": 24}


class Recorded(Poly3DCollection):
    """Keeps the corners and colours it was given: Matplotlib sorts its own by depth."""

    def __init__(self, corners, facecolors, **settings):
        self.corners, self.shades = corners, np.asarray(facecolors)
        super().__init__(corners, facecolors=facecolors, **settings)


@pytest.fixture(autouse=True)
def close_figures(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr("qspin.draw.surfaces.Poly3DCollection", Recorded)
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


def faces(ax):
    """Centres (F, 3) of the faces, and which of them have the positive colour."""
    (lobes,) = ax.collections
    red, _, blue, _ = lobes.shades.T
    return lobes.corners.mean(axis=1), red > blue


def test_lobes_have_the_signs_of_the_function():
    axes = oscillator(4, 3).plot_isosurfaces(**COARSE)
    assert axes.shape == (4,)
    centres, positive = faces(axes[0])
    assert positive.all(), "the ground state has one sign"
    for k in (1, 2, 3):
        centres, positive = faces(axes[k])
        values = oscillator(4, 3)(centres)[:, k]
        assert (positive == (values > 0)).all()
        assert 0.4 < positive.mean() < 0.6


def test_the_surface_of_the_1s_orbital_is_a_sphere_that_holds_its_share():
    """∫ of the density 4r²e^(-2r) up to R: 1 - e^(-2R)(1 + 2R + 2R²)."""
    (ax,) = hydrogen().plot_isosurfaces(states=[0], share=0.7, points=40)
    radius = np.linalg.norm(faces(ax)[0], axis=1)
    mean = radius.mean()
    assert np.ptp(radius) < 0.03 * mean
    assert 1 - np.exp(-2 * mean) * (1 + 2 * mean + 2 * mean**2) == pytest.approx(0.7, abs=0.02)
    low, high = ax.get_xlim()
    assert low < -mean and mean < high < 2 * mean, "the surface fills its panel"


def test_panels():
    axes = oscillator(3, 3, converged=np.array([True, True, False]), units="eV").plot_isosurfaces(**COARSE)
    assert axes[0].get_title() == "0: 1.50000(4) eV"
    assert axes[2].get_title() == "2: 2.50000(4) eV\nnot converged"
    assert axes[0].get_xlabel() == "x" and axes[0].get_zlabel() == "z"
    assert axes[0].figure.get_suptitle() == "known (formula)"
    assert len(axes[0].figure.axes) == 3


def test_own_axes_and_window():
    ax = Figure().add_subplot(projection="3d")
    window = [(-3, 3), (-2, 2), (-1, 4)]
    (drawn,) = oscillator(2, 3).plot_isosurfaces(ax=ax, states=[1], window=window, **COARSE)
    assert drawn is ax and not plt.get_fignums()
    assert [drawn.get_xlim(), drawn.get_ylim(), drawn.get_zlim()] == window


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"share": 0.0}, "share must lie in"),
        ({"share": 1.0}, "share must lie in"),
        ({"opacity": 0.0}, "opacity in"),
        ({"points": 7}, "at least 8, got 7"),
        ({"points": True}, "at least 8, got True"),
        ({"states": [2]}, "states must lie in 0 … 1"),
        ({"ax": [None, None]}, "2 3D Axes"),
        ({"window": (0, 1)}, "3 coordinates"),
    ],
)
def test_wrong_input(options, says):
    with pytest.raises(ValueError, match=says):
        oscillator(2, 3).plot_isosurfaces(**options)


def test_other_dimensions_and_flat_axes():
    with pytest.raises(ValueError, match="isosurfaces: the domain must have 3 dimensions, got 2"):
        oscillator(2, 2).plot_isosurfaces()
    with pytest.raises(ValueError, match="projection='3d'"):
        oscillator(1, 3).plot_isosurfaces(ax=Figure().subplots())
