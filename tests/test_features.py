"""Features: the chain rule against automatic differentiation, walls, periods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.locate.extent import Frame
from qspin.methods.locate.survey import Jump
from qspin.methods.ritz.features import Coordinates, Neurons, Trial
from qspin.numerics.precision import double_precision
from qspin.problem.domain import Centre

CASES = {
    "walls": Coordinates(qspin.Box.cube(2.0, dim=2)),
    "one periodic axis": Coordinates(qspin.Box([0.0, -1.0], [3.0, 1.0], periodic=[True, False])),
    "a centre": Coordinates(qspin.Box.cube(2.0, dim=2), (Centre((0.2, 0.1), 1.0, 0.7, -1.0),)),
    "jumps": Coordinates(qspin.Box.cube(2.0, dim=2), (), (Jump(0, 0.5, 0), Jump(1, 0.45, 1))),
    "two centres": Coordinates(
        qspin.Box.cube(3.0, dim=3),
        (Centre((0.0, 0.0, 1.0), 1.0, 0.7, -1.0), Centre((0.0, 0.0, -1.0), 1.0, 0.7, -1.0)),
    ),
}


def made(coordinates: Coordinates) -> tuple[Trial, np.ndarray]:
    dim, rng = coordinates.domain.dim, np.random.default_rng(0)
    frame = Frame(
        np.full(dim, 0.1),
        np.eye(dim) + 0.1,
        np.array([0.3]),
        np.array([0.7, 0.6])[: len(coordinates.centres)],
    )
    assert coordinates.parts(frame, jnp.full(dim, 0.4))[0].shape == (coordinates.n_inputs,)
    neurons = Neurons(rng.normal(size=(5, coordinates.n_inputs)), rng.normal(size=5))
    x = rng.uniform(0.3, 0.9, (7, dim))
    return Trial(coordinates, frame, neurons), x


@pytest.mark.parametrize("name", CASES)
def test_derivatives_by_the_chain_rule(name: str) -> None:
    coordinates = CASES[name]
    with double_precision():
        trial, x = made(coordinates)
        value, c = trial.at, jnp.arange(1.0, coordinates.domain.dim + 1)
        found = trial.features(jnp.asarray(x), c)
        assert np.asarray(found.values) == pytest.approx(np.asarray(jax.vmap(value)(x)), rel=1e-10)
        gradients = np.swapaxes(np.asarray(jax.vmap(jax.jacfwd(value))(x)), 1, 2)
        assert np.asarray(found.gradients) == pytest.approx(gradients, rel=1e-8, abs=1e-10)
        hessian = np.asarray(jax.vmap(jax.hessian(value))(x))
        laplacians = np.einsum("bmii,i->bm", hessian, c)
        assert np.asarray(found.laplacians) == pytest.approx(laplacians, rel=1e-7, abs=1e-9)


def test_features_vanish_on_walls_and_repeat_along_periodic_axes() -> None:
    coordinates = CASES["one periodic axis"]
    with double_precision():
        trial, _ = made(coordinates)
        x = jnp.array([[0.4, 0.2], [3.4, 0.2], [0.4, 1.0]])
        values = np.asarray(trial.features(x, jnp.ones(2)).values)
        assert values[0] == pytest.approx(values[1])
        assert values[2] == pytest.approx(np.zeros(5), abs=1e-12)
