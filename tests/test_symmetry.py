"""Maps of points: what they do to coordinates, and what does not fit."""

import jax.numpy as jnp
import numpy as np
import pytest

from qspin import symmetry

POINTS = np.random.default_rng(0).normal(size=(7, 4))


def test_coordinates_are_moved():
    a, b, c, d = POINTS.T
    for found, expected in [
        (symmetry.parity(), [-a, -b, -c, -d]),
        (symmetry.parity(axis=(0, 2)), [-a, b, -c, d]),
        (symmetry.parity(axis=1, centre=(0, 1, 0, 0)), [a, 2 - b, c, d]),
        (symmetry.exchange(0, 3), [d, b, c, a]),
        (symmetry.exchange((0, 1), (2, 3)), [c, d, a, b]),
        (symmetry.reflection([0, 1, -1, 0]), [a, c, b, d]),
        (symmetry.rotation(np.pi / 2, plane=(1, 3)), [a, -d, c, b]),
        (symmetry.PointMap(lambda x: 2 * x - x**2), list((2 * POINTS - POINTS**2).T)),
    ]:
        found.check(4)
        moved = found.moved(POINTS)
        assert moved.dtype == np.float64
        np.testing.assert_allclose(moved, np.stack(expected, 1), atol=1e-13)


def test_mirrors_and_exchange_undo_themselves_and_a_turn_comes_round():
    centre = (0.3, -1.0, 0.0, 2.0)
    mirror = symmetry.reflection([1.0, 2.0, -0.5, 0.1], centre)
    for twice in (symmetry.parity(centre=centre), symmetry.exchange(1, 2), mirror):
        np.testing.assert_allclose(twice.moved(twice.moved(POINTS)), POINTS, atol=1e-13)
    turned, fifth = POINTS, symmetry.rotation(2 * np.pi / 5, (0, 1), centre)
    for _ in range(5):
        turned = fifth.moved(turned)
    np.testing.assert_allclose(turned, POINTS, atol=1e-12)
    np.testing.assert_allclose(fifth.moved(np.array([centre])), [centre], atol=1e-13)


def test_names():
    names = [symmetry.angular_momentum(plane).name for plane in [(0, 1), (1, 2), (2, 0), (2, 3)]]
    assert names == ["L_z", "L_x", "L_y", "L_23"]
    assert symmetry.parity().name == "parity" and symmetry.parity(axis=(0, 1)).name == "parity x0,x1"


@pytest.mark.parametrize(
    "make",
    [
        lambda: symmetry.parity(axis=-1),
        lambda: symmetry.parity(axis=()),
        lambda: symmetry.parity(axis=(1, 1)),
        lambda: symmetry.exchange(0, (1, 2)),
        lambda: symmetry.exchange((0, 1), (1, 2)),
        lambda: symmetry.reflection([0.0, 0.0]),
        lambda: symmetry.rotation(np.inf),
        lambda: symmetry.rotation(1.0, plane=(0,)),
        lambda: symmetry.angular_momentum(plane=(0, 1, 2)),
    ],
)
def test_settings_that_mean_nothing_are_refused(make):
    with pytest.raises(ValueError, match="got"):
        make()


@pytest.mark.parametrize(
    "point_map",
    [
        symmetry.parity(axis=2),
        symmetry.parity(centre=(0.0, 0.0, 0.0)),
        symmetry.exchange(0, 2),
        symmetry.reflection([1.0, 0.0, 0.0]),
        symmetry.angular_momentum(plane=(1, 2)),
        symmetry.PointMap(lambda x: jnp.sum(x)),
        symmetry.PointMap(lambda x: x[:1]),
    ],
)
def test_maps_for_other_coordinates_are_refused(point_map):
    with pytest.raises(ValueError, match=point_map.name):
        point_map.check(2)


def test_a_map_is_a_function():
    with pytest.raises(TypeError, match="function must be a function of a point"):
        symmetry.PointMap(3)
