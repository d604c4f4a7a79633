"""Features: the chain rule against automatic differentiation, walls, periods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.locate.survey import Jump
from qspin.methods.ritz.features import Coordinates, Frame, Neurons, Trial
from qspin.numerics.precision import double_precision

CASES = {
    "walls, a periodic axis, jumps": Coordinates.of(
        qspin.Box([0.0, -1.0], [3.0, 1.0], periodic=[True, False]), (), (Jump(0, 0.5, 0), Jump(1, 0.45, 1))
    ),
    "two centres": Coordinates.of(qspin.Box.cube(3.0, dim=3), ((0.0, 0.0, 1.0), (0.0, 0.0, -1.0))),
}


def made(coordinates: Coordinates) -> tuple[Trial, np.ndarray]:
    dim, rng = len(coordinates.periodic), np.random.default_rng(0)
    lengths = np.array([0.7, 0.6])[: len(coordinates.centres)]
    frame = Frame(np.full(dim, 0.1), np.eye(dim) + 0.1, np.array([0.3]), lengths)
    neurons = Neurons(rng.normal(size=(5, coordinates.n_inputs)), rng.normal(size=5))
    return Trial(coordinates, frame, neurons), rng.uniform(0.3, 0.9, (7, dim))


@pytest.mark.parametrize("name", CASES)
def test_derivatives_by_the_chain_rule(name: str) -> None:
    with double_precision():
        trial, x = made(CASES[name])
        c = jnp.arange(1.0, x.shape[1] + 1)

        @jax.jit  # one program: to compile is what takes long here
        def both(x):  # type: ignore[no-untyped-def]
            by_hand = (
                jax.vmap(trial.at)(x),
                jax.vmap(jax.jacfwd(trial.at))(x),
                jax.vmap(jax.hessian(trial.at))(x),
            )
            return trial.features(x, c), by_hand

        features, (values, gradients, hessian) = jax.tree.map(np.asarray, both(x))
        assert features.values == pytest.approx(values, rel=1e-10)
        assert features.gradients == pytest.approx(np.swapaxes(gradients, 1, 2), rel=1e-8, abs=1e-10)
        laplacians = np.einsum("bmii,i->bm", hessian, c)
        assert features.laplacians == pytest.approx(laplacians, rel=1e-7, abs=1e-9)


def test_features_vanish_on_walls_and_repeat_along_periodic_axes() -> None:
    with double_precision():
        trial, _ = made(CASES["walls, a periodic axis, jumps"])
        values = np.asarray(jax.jit(jax.vmap(trial.at))(jnp.array([[0.4, 0.2], [3.4, 0.2], [0.4, 1.0]])))
        assert values[0] == pytest.approx(values[1])
        assert values[2] == pytest.approx(np.zeros(5), abs=1e-12)
