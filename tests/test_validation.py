"""Validation: three columns, a verdict on each state, and whose fault a difference is."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin import exact


def oscillator(half_width: float, closed_form: float = 1.0) -> qspin.Problem:
    return qspin.Problem(
        qspin.Kinetic() + qspin.Potential(lambda x: 0.5 * x[0] ** 2),
        qspin.Box.cube(half_width, dim=1),
        exact=exact.harmonic((closed_form,)),
        name="oscillator",
    )


def test_a_sound_problem_agrees_in_all_columns() -> None:
    judged = qspin.validate(oscillator(9.0), 3, qspin.ProductBasis(max_functions=40), progress=False)
    assert judged.ok and judged.outcomes == ["agrees"] * 3
    assert [s.method for s in judged.spectra] == ["product-basis", "grid"]
    assert all(verdict.startswith("agrees") for verdict in judged.verdicts)
    record = json.loads(json.dumps(judged.to_dict()))
    assert record["all_agree"] is True
    assert len(record["grid"]["energies"]) == len(record["product-basis"]["errors"]) == 3
    table = str(judged)
    assert "product-basis energy" in table and "grid energy" in table and "exact" in table
    assert "3 of 3 levels agree" in table


def test_bars_that_are_too_wide_to_tell_are_no_agreement() -> None:
    judged = qspin.validate(oscillator(9.0), 2, qspin.Grid(points=40, scheme=qspin.differences(2)))
    assert not judged.ok and judged.outcomes == ["cannot tell"] * 2
    assert all("grid - exact CANNOT TELL: the error is" in verdict for verdict in judged.verdicts)
    assert "0 of 2 levels agree within three combined errors, of 2 nothing can be told." in str(judged)


def test_walls_are_told_from_the_solvers_error() -> None:
    judged = qspin.validate(oscillator(3.5), 3, qspin.Grid())
    assert not judged.ok
    assert judged.grid is None
    assert all(verdict.startswith("WALLS raise it") for verdict in judged.verdicts)
    assert "grid: States 0–2: the walls raise the energy" in str(judged)
    assert (judged.wall_shifts > 1e-5).all()


def test_a_wrong_closed_form_is_not_blamed_on_walls() -> None:
    judged = qspin.validate(oscillator(9.0, 1.1), 2, qspin.Grid())
    assert all(verdict.startswith("grid - exact DIFFERS by ") for verdict in judged.verdicts)
    assert not judged.agrees.any()


def test_past_three_dimensions_only_the_closed_form_serves() -> None:
    problem = qspin.Problem(
        qspin.Kinetic() + qspin.Potential(lambda x: 0.5 * jnp.sum(x**2)),
        qspin.Box.cube(6.0, dim=4),
        exact=exact.harmonic((1.0,) * 4),
    )
    judged = qspin.validate(problem, 1, qspin.ProductBasis())
    assert judged.grid is None
    assert (judged.wall_shifts < judged.spectrum.errors).all()
    assert "grid energy" not in str(judged)


def test_nothing_to_compare_with_is_said() -> None:
    problem = qspin.Problem(qspin.MatrixOperator(np.eye(4)), qspin.Nodes(4))
    with pytest.raises(ValueError, match="nothing to validate against"):
        qspin.validate(problem, 2)
