"""Jumps and kinks are found where they are, and nowhere else."""

import jax.numpy as jnp
import pytest

import qspin
from qspin.methods.locate.survey import survey


def found(v, half_width: float = 8.0, dim: int = 1) -> list[tuple[int, float, int]]:  # type: ignore[no-untyped-def]
    problem = qspin.Problem(qspin.Kinetic() + qspin.Potential(v), qspin.Box.cube(half_width, dim=dim))
    return [(j.axis, round(j.position, 5) + 0.0, j.order) for j in survey(problem).jumps]


@pytest.mark.parametrize(
    ("v", "expected"),
    [
        (lambda x: jnp.where(jnp.abs(x[0]) < 1, 0.0, 10.0), [(0, -1.0, 0), (0, 1.0, 0)]),
        (lambda x: jnp.abs(x[0] - 0.3), [(0, 0.3, 1)]),
        (
            lambda x: jnp.minimum(jnp.abs(x[0]), 3.0) + jnp.where(x[0] > 4, 2.0, 0.0),
            [(0, -3.0, 1), (0, 0.0, 1), (0, 3.0, 1), (0, 4.0, 0)],
        ),
        (lambda x: 10 * jnp.tanh(50 * x[0]), []),
        (lambda x: x[0] ** 4 - 5 * jnp.exp(-20 * (x[0] - 0.5) ** 2), []),
        (lambda x: jnp.cos(5 * x[0]), []),
    ],
)
def test_one_dimension(v, expected) -> None:  # type: ignore[no-untyped-def]
    assert found(v) == expected


def test_planes_across_an_axis_and_no_curved_walls() -> None:
    def channel(x):  # type: ignore[no-untyped-def]
        return jnp.where(jnp.abs(x[1] - 0.5) < 1, 0.0, 5.0) + 0.1 * x[0] ** 2

    assert found(channel, dim=2) == [(1, -0.5, 0), (1, 1.5, 0)]
    assert found(lambda x: jnp.where(jnp.sum(x**2) < 4, 0.0, 5.0), dim=2) == []


def test_coulomb_centres_are_no_jumps() -> None:
    potential = qspin.Potential(qspin.potentials.coulomb(1.0), singularities=[(0.0, 0.0)])
    assert survey(qspin.Problem(qspin.Kinetic() + potential, qspin.Box.cube(8.0, dim=2))).jumps == ()
