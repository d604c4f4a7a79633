"""Overlaps of two spectra: the matrix, its frames, and the picture."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from known_spectra import oscillator, spectrum_of, well
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

import qspin


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


def turned(spectrum, angle):
    """The same spectrum with states 1 and 2 rotated into each other."""
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.eye(spectrum.n_states)
    rotation[1:3, 1:3] = [[c, -s], [s, c]]
    inner = spectrum.eigenfunctions.function
    return spectrum_of(
        lambda x: inner(x) @ rotation, spectrum.energies, spectrum.domain, 80, method="turned", exact=None
    )


def frames(ax):
    return [(p.get_x(), p.get_width()) for p in ax.patches if isinstance(p, Rectangle)]


def test_overlaps_of_orthonormal_functions():
    spectrum = oscillator(6, 2)
    assert spectrum.overlap(spectrum) == pytest.approx(np.eye(6), abs=1e-9)
    found = turned(spectrum, 0.4).overlap(spectrum)
    assert found[1:3, 1:3] == pytest.approx(
        np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    )
    assert oscillator(3, 2).overlap(spectrum).shape == (6, 3)


def test_overlaps_of_complex_functions_are_conjugated():
    def wave(x):
        return np.exp(2j * np.pi * x * np.array([1, -1]))

    spectrum = spectrum_of(wave, [1.0, 1.0], qspin.Box(0.0, 1.0, True), 64)
    assert spectrum.overlap(spectrum) == pytest.approx(np.eye(2), abs=1e-12)


def test_degenerate_levels_are_framed_with_their_angle():
    spectrum = oscillator(6, 2)
    ax = turned(spectrum, 0.4).plot_overlap(spectrum)
    assert frames(ax) == [(-0.5, 1), (0.5, 2), (2.5, 3)]
    beside = [t.get_text() for t in ax.texts if t.get_text().startswith(("∠", "cut"))]
    assert beside == ["∠ < 1e−7"] * 3, "rotated inside a level, the spaces are the same"
    assert np.asarray(ax.images[0].get_array())[1:3, 1:3].sum(axis=0) == pytest.approx(1)
    assert "0.85" in [t.get_text() for t in ax.texts]
    assert ax.get_xlabel() == "state n, turned" and ax.get_ylabel() == "state m, formula"


def test_a_rotation_across_levels_is_seen():
    spectrum = well(4)
    ax = replace(turned(spectrum, 0.1), domain=spectrum.domain).plot_overlap(spectrum)
    beside = [t.get_text() for t in ax.texts if t.get_text().startswith("∠")]
    assert beside == ["∠ < 1e−7", "∠ 1e−1", "∠ 1e−1", "∠ < 1e−7"]


def test_a_level_that_is_cut_has_no_angle():
    spectrum = oscillator(5, 2, exact=np.array([1.0, 2, 2, 3, 3, 3]))
    ax = spectrum.plot_overlap(oscillator(6, 2))
    assert [t.get_text() for t in ax.texts][-1] == "cut"
    assert ax.images[0].get_array().shape == (6, 5)


def test_large_matrices_have_no_numbers_and_values_can_be_given():
    spectrum = well(14)
    ax = spectrum.plot_overlap(spectrum, values=np.eye(14))
    assert len(ax.texts) == 14
    with pytest.raises(ValueError, match=r"overlap: values must have shape \(14, 14\), got \(3, 3\)"):
        spectrum.plot_overlap(spectrum, values=np.eye(3))


@pytest.mark.parametrize("picture", ["overlap", "plot_overlap"])
def test_other_domains(picture):
    with pytest.raises(ValueError, match="overlap: the spectra live on different domains"):
        getattr(well(2), picture)(oscillator(2, 1))
