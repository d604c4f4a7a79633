"""Features: the chain rule against automatic differentiation, walls, periods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.locate.survey import Jump
from qspin.methods.ritz.features import Coordinates, Frame, Neurons
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


def made(coordinates: Coordinates) -> tuple[Frame, Neurons, np.ndarray]:
    dim, rng = coordinates.domain.dim, np.random.default_rng(0)
    frame = Frame(np.full(dim, 0.1), np.eye(dim) + 0.1, np.array([0.3]), np.array([0.7, 0.6]))
    inputs = coordinates.inputs(frame, jnp.full(dim, 0.4)).shape[0]
    neurons = Neurons(rng.normal(size=(5, inputs)), rng.normal(size=5))
    x = rng.uniform(0.3, 0.9, (7, dim))
    return frame, neurons, x


@pytest.mark.parametrize("name", CASES)
def test_derivatives_by_the_chain_rule(name: str) -> None:
    coordinates = CASES[name]
    with double_precision():
        frame, neurons, x = made(coordinates)
        c = np.arange(1.0, coordinates.domain.dim + 1)

        def value(point):  # type: ignore[no-untyped-def]
            hidden = jnp.tanh(neurons.weights @ coordinates.inputs(frame, point) + neurons.biases)
            return hidden * coordinates.envelope(frame, point)

        found = coordinates.features(frame, neurons, c, jnp.asarray(x))
        assert np.asarray(found.values) == pytest.approx(np.asarray(jax.vmap(value)(x)), rel=1e-10)
        gradients = np.swapaxes(np.asarray(jax.vmap(jax.jacfwd(value))(x)), 1, 2)
        assert np.asarray(found.gradients) == pytest.approx(gradients, rel=1e-8, abs=1e-10)
        hessian = np.asarray(jax.vmap(jax.hessian(value))(x))
        laplacians = np.einsum("bmii,i->bm", hessian, c)
        assert np.asarray(found.laplacians) == pytest.approx(laplacians, rel=1e-7, abs=1e-9)


def test_features_vanish_on_walls_and_repeat_along_periodic_axes() -> None:
    coordinates = CASES["one periodic axis"]
    with double_precision():
        frame, neurons, _ = made(coordinates)
        x = jnp.array([[0.4, 0.2], [3.4, 0.2], [0.4, 1.0]])
        values = np.asarray(coordinates.features(frame, neurons, np.ones(2), x).values)
        assert values[0] == pytest.approx(values[1])
        assert values[2] == pytest.approx(np.zeros(5), abs=1e-12)
