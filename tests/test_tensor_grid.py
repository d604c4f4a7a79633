"""Tensor grids over boxes, and spectra on them."""

import numpy as np
import pytest

import qspin
from qspin.spectrum.eigenfunctions import tensor_axes, tensor_points

BOX = qspin.Box([0.0, -1.0], [2.0, 1.0], periodic=[False, True])


def test_axes_end_on_walls_and_before_the_end_of_a_period():
    x, y = tensor_axes(BOX, 5)
    np.testing.assert_allclose(x, [0, 0.5, 1, 1.5, 2])
    np.testing.assert_allclose(y, [-1, -0.6, -0.2, 0.2, 0.6])
    assert [len(a) for a in tensor_axes(BOX, (3, 7))] == [3, 7]


def test_axes_as_given_and_mixed():
    x, y = tensor_axes(BOX, [np.array([0.1, 0.7, 1.9]), 4])
    np.testing.assert_array_equal(x, [0.1, 0.7, 1.9])
    assert len(y) == 4
    line = qspin.Box.cube(1.0, dim=1)
    assert len(tensor_axes(line, [6])[0]) == len(tensor_axes(line, 6)[0]) == 6


def test_points_run_as_the_axes_do():
    points = tensor_points([np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])])
    assert points.shape == (2, 3, 2)
    np.testing.assert_array_equal(points[1, 2], [2, 5])


@pytest.mark.parametrize(
    "points", [1, 0, [3], [3, 4, 5], [3, [2.0, 1.0]], [3, [[1.0]]], [3, [np.nan]], "ab", None, 2.5]
)
def test_what_is_no_grid_is_refused(points):
    with pytest.raises(ValueError, match=r"Spectrum\.on_grid"):
        tensor_axes(BOX, points)


def test_only_boxes_have_grids():
    with pytest.raises(ValueError, match="needs a Box"):
        tensor_axes(qspin.Nodes(4), 3)


def test_states_on_a_grid():
    """Axis i runs along x_i, the last over the states; walls hold zeros; equal steps integrate to one."""
    problem = qspin.Problem(
        qspin.Kinetic() + qspin.Potential(lambda x: 3 * x[0]), qspin.Box([0.0, 0.0], [1.0, 2.0])
    )
    spectrum = qspin.solve(problem, 3, qspin.Grid(points=24))
    grid = spectrum.on_grid((31, 41))
    assert grid.values.shape == (31, 41, 3) and grid.values.dtype == float
    assert grid.axes[1][-1] == 2.0
    np.testing.assert_allclose(grid.values[7, 11], spectrum([grid.axes[0][7], grid.axes[1][11]]), atol=1e-12)
    assert not grid.values[[0, -1]].any() and not grid.values[:, [0, -1]].any()
    np.testing.assert_allclose((grid.values**2).sum((0, 1)) / 30 / 20, 1, atol=1e-6)
    assert spectrum.on_grid([[0.5], [0.5, 1.0]]).values.shape == (1, 2, 3)
