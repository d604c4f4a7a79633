"""What a file keeps of V: close to it where the states live, and enough to draw the contours of."""

import numpy as np
import pytest
from known_spectra import oscillator, spectrum_of
from matplotlib import pyplot as plt

import qspin
from qspin.spectrum.store import PotentialSamples, sampled_potential


@pytest.fixture(scope="module")
def hydrogen():
    coulomb = qspin.Potential(qspin.potentials.coulomb(1.0), singularities=[(0.0, 0.0)])
    return qspin.solve(qspin.Problem(qspin.Kinetic() + coulomb, qspin.Box.cube(40.0, dim=2)), 4, qspin.Grid())


def kept(spectrum, path):
    return qspin.load(spectrum.save(path / "spectrum.npz"))


def test_a_polynomial_comes_back_to_the_square_of_the_spacing():
    samples = sampled_potential(
        oscillator(4, 2, half_width=9.0, potential=lambda x: 0.5 * x[:, 0] ** 2 + x[:, 1] ** 2)
    )
    x = np.random.default_rng(0).normal(size=(4000, 2))  # where the states live
    off = np.abs(samples(x) - (0.5 * x[:, 0] ** 2 + x[:, 1] ** 2)).max()
    assert all(len(axis[np.abs(axis) < 2]) > 0.5 * 256 for axis in samples.axes)
    assert off < 1.5 * max(np.diff(axis).max() for axis in samples.axes) ** 2 / 4
    assert [(axis[0], axis[-1]) for axis in samples.axes] == [(-9, 9)] * 2


def test_levels_of_all_sizes_get_their_nodes(hydrogen, tmp_path):
    """1s of 2D hydrogen fills a thousandth of this box, and is a quarter of the states."""
    samples = kept(hydrogen, tmp_path).potential
    assert isinstance(samples, PotentialSamples)
    assert all(np.sum(np.abs(axis) < 1.5) > 60 for axis in samples.axes)
    x = np.array([[0.5, 0.5], [1.0, -0.3]])
    np.testing.assert_allclose(samples(x), hydrogen.potential(x), rtol=0.02)
    assert np.isfinite(samples.values).all()  # the centre was stepped past


def test_samples_are_kept_as_they_are(hydrogen, tmp_path):
    once = kept(hydrogen, tmp_path)
    (tmp_path / "again").mkdir()
    twice = kept(once, tmp_path / "again")
    np.testing.assert_array_equal(once.potential.values, twice.potential.values)
    np.testing.assert_array_equal(once.potential.axes[0], twice.potential.axes[0])


def test_states_that_broke_down_do_not_keep_a_file_from_being_written():
    def broken(x):
        return np.stack([np.full(len(x), np.nan), np.zeros(len(x))], axis=1)

    box = qspin.Box.cube(1.0, dim=2)
    samples = sampled_potential(spectrum_of(broken, [0.0, 1.0], box, 8, potential=lambda x: (x**2).sum(-1)))
    assert samples is not None and np.isfinite(samples.values).all()


def test_contours_of_a_loaded_plane_are_those_of_v(hydrogen, tmp_path):
    """Circles about the nucleus, in windows of all sizes."""
    for ax in np.ravel(kept(hydrogen, tmp_path).plot_orbitals(contours=5)):
        circles = [path for contour in ax.collections for path in contour.get_paths() if len(path.vertices)]
        assert len(circles) == 5
        for circle in circles:
            radii = np.linalg.norm(circle.vertices, axis=1)
            assert np.ptp(radii) < 0.03 * radii.mean()
    plt.close("all")


def test_three_dimensions_have_samples_and_more_have_none():
    samples = sampled_potential(oscillator(2, 3))
    assert abs(samples(np.full((1, 3), 0.7))[0] - 0.5 * 3 * 0.49) < 0.1
    assert sampled_potential(oscillator(2, 4)) is None
