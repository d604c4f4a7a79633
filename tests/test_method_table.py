"""Methods as tables: there and back, and what is no setting is refused with what is."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import qspin
from qspin.methods.base import METHODS, DirectMethod, Method
from qspin.run.settings import build_method, describe_method

METHODS_OF_MANY_KINDS = [
    qspin.SpIN(),
    qspin.SpIN(
        steps=7, estimator=qspin.NestedLoRA("joint", 2.0), sampler=qspin.Clustered(qspin.Uniform(), 0.5)
    ),
    qspin.SpIN(network=qspin.BlockSparseMLP((8, 8), qspin.softplus), estimator=qspin.AveragedJacobian()),
    qspin.SpIN(network=qspin.MLP((8,), jnp.sin), batch_size=np.int64(64), averaging=np.float64(0.1)),
    qspin.Ritz(tolerance=1e-8, max_features=60),
    qspin.SampledRitz(steps=3, widths=(8, 9)),
    qspin.SampledRitz(n_features=30, normal_coordinates=False),
    qspin.Grid(points=(40, 41), scheme=qspin.elements(6)),
    qspin.Grid(points=50, scheme=qspin.differences(4)),
    qspin.ProductBasis(max_functions=300),
]


@pytest.mark.parametrize("method", METHODS_OF_MANY_KINDS)
def test_there_and_back(method: Method) -> None:
    table = describe_method(method, {})
    assert build_method(table) == method
    assert "np." not in repr(table)


@pytest.mark.parametrize("name", list(METHODS))
def test_a_name_alone_stands_for_the_defaults(name: str) -> None:
    assert build_method({"name": name}) == METHODS[name]()
    assert describe_method(METHODS[name](), {})["name"] == name


def test_what_no_table_can_hold_comes_from_the_preset() -> None:
    preset = qspin.presets.spin_paper_hydrogen(steps=5)
    table = describe_method(preset, {})
    assert table["optimizer"] is None
    settings = {key: value for key, value in table.items() if value is not None}
    assert build_method({**settings, "steps": 6}, preset) == qspin.presets.spin_paper_hydrogen(6).__class__(
        **{**vars(preset), "steps": 6}
    )


def test_an_optimizer_by_name_is_recorded_as_it_was_given() -> None:
    given = {"name": "adam", "learning_rate": 1e-3}
    method = build_method({"name": "spin", "optimizer": given})
    assert isinstance(method.optimizer, optax.GradientTransformation)  # type: ignore[attr-defined]
    assert describe_method(method, {"optimizer": given})["optimizer"] == given


@dataclass(frozen=True)
class Cubic(qspin.MLP):
    """A network of somebody else's."""


@dataclass(frozen=True)
class Exact(DirectMethod):
    """A method of somebody else's."""

    shift: float = 0.0
    name = "exact"

    def solve(self, problem: qspin.Problem, n_states: int, seed: int = 0) -> qspin.Spectrum:
        raise NotImplementedError


def test_methods_and_parts_of_others_are_named_by_their_place() -> None:
    table = describe_method(Exact(2.0), {})
    assert table == {"name": f"{__name__}:Exact", "shift": 2.0} and build_method(table) == Exact(2.0)
    with pytest.raises(ValueError, match="Exact has no setting 'steps'; it has: shift"):
        build_method({**table, "steps": 3})
    table = describe_method(qspin.SpIN(network=Cubic((8,))), {})
    assert table["network"]["name"] == f"{__name__}:Cubic" and build_method(table).network == Cubic((8,))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"name": "magic"}, "unknown method 'magic'; known are spin, ritz, sampled-ritz, grid, product-basis"),
        ({"name": "qspin.nowhere:Magic"}, "'qspin.nowhere:Magic' cannot be imported: No module"),
        ({"name": "qspin.problem.domain:Box"}, "Box is no method: expected a dataclass"),
        ({"name": "spin", "stepz": 3}, "spin has no setting 'stepz'; it has: steps, batch_size"),
        ({"name": "ritz", "steps": 3}, "ritz has no setting 'steps'; it has: tolerance"),
        ({"name": "ritz", "tolerance": "small"}, "ritz: tolerance must be a number, got 'small'"),
        ({"name": "ritz", "max_features": 1.5}, "ritz: max_features must be a whole number, got 1.5"),
        ({"name": "ritz", "train": 1}, "ritz: train must be true or false, got 1"),
        ({"name": "sampled-ritz", "widths": [8, 0.5]}, "widths must be a list, each a whole number"),
        ({"name": "spin", "steps": -1}, "SpIN: steps must be"),
        ({"name": "spin", "network": "Transformer"}, "SpIN: network must be a Network"),
        ({"name": "spin", "network": {"name": "Transformer"}}, "unknown name 'Transformer'; expected a class"),
        ({"name": "spin", "network": {"name": "MLP", "width": 3}}, r"\(MLP\) has no setting 'width'; it has: hidden"),
        ({"name": "spin", "network": {"name": "MLP", "activation": "__doc__"}}, "unknown activation"),
        ({"name": "spin", "estimator": "Uniform"}, "SpIN: estimator must be an Estimator"),
        ({"name": "spin", "optimizer": {"name": "exec"}}, "unknown optimizer 'exec'; expected one of optax"),
        ({"name": "spin", "optimizer": {"name": "adam", "speed": 1}}, "speed"),
    ],
)  # fmt: skip
def test_what_is_no_setting_is_refused_with_what_is(table: dict[str, object], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        build_method(table)
