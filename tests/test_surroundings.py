"""`Space`: boxes that states do not feel, found from V."""

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.locate.space import in_box


def problem(v, dim: int, **more) -> qspin.Problem:  # type: ignore[no-untyped-def]
    return qspin.Problem(qspin.Kinetic() + qspin.Potential(v, **more), qspin.Space(dim))


def test_a_morse_oscillator_in_space() -> None:
    """Levels w(n+½) - (w(n+½))²/4D; the box reaches farther out than in."""
    depth, a = 10.0, 0.7
    p = problem(lambda x: depth * (1 - jnp.exp(-a * (x[0] - 1))) ** 2, 1)
    spectrum = qspin.solve(p, 5, qspin.Grid())
    w, n = a * np.sqrt(2 * depth), np.arange(5) + 0.5
    assert spectrum.energies == pytest.approx(w * n - (w * n) ** 2 / (4 * depth), rel=1e-6)
    (low,), (high,) = spectrum.domain.lower, spectrum.domain.upper
    assert high - 1 > 1.5 * (1 - low)


def test_hydrogen_gets_room_for_its_levels() -> None:
    p = problem(lambda x: -1 / jnp.linalg.norm(x), 2, singularities=[(0.0, 0.0)])
    few, many = (in_box(p, n).domain.lengths[0] for n in (1, 9))
    assert many > 5 * few > 0
    # The tail of the ninth level, E = -2/25, at the wall: below e⁻¹³ of what it was.
    assert np.sqrt(2 * 2 / 25) * (many / 2 - 25 / 2) > 13


def test_a_problem_in_space_is_validated_by_the_grid() -> None:
    found = qspin.validate(problem(lambda x: 0.5 * x[0] ** 2, 1), 3)
    assert found.spectrum.energies == pytest.approx([0.5, 1.5, 2.5], rel=1e-6)
    assert found.grid is not None


def test_a_box_stays_what_it_is() -> None:
    p = qspin.Problem(qspin.Kinetic() + qspin.Potential(lambda x: x[0] ** 2), qspin.Box.cube(5.0, dim=1))
    assert in_box(p, 3) is p


def test_what_space_cannot_hold() -> None:
    with pytest.raises(ValueError, match="does not confine along"):
        qspin.solve(problem(lambda x: x[0] ** 2, 2), 2)
    repulsive = problem(lambda x: 1 / jnp.linalg.norm(x) + jnp.sum(x**2), 3, singularities=[(0.0,) * 3])
    with pytest.raises(ValueError, match=r"give a qspin\.Box"):
        qspin.solve(repulsive, 1)
    with pytest.raises(ValueError, match="an integer of at least 1"):
        qspin.Space(0)
    assert qspin.Space(3) == qspin.Space(3) and qspin.Space(2).volume == float("inf")
