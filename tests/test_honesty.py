"""The references of benchmarks/honesty.py against closed forms, and what it counts as wrong."""

import numpy as np
import pytest

import qspin
from qspin.methods.locate.survey import survey
from tests.benchmark import benchmark

honesty = benchmark("honesty")


def test_the_levels_of_a_line() -> None:
    """An oscillator, and a step in a ring with a wave vector, whose levels Kronig and Penney gave."""
    levels, off = honesty.line(honesty.formula("0.5*x**2", 1), -9.0, 9.0, 0.5, 5, widest=1.0)
    np.testing.assert_allclose(levels, np.arange(5) + 0.5, atol=1e-10)
    assert off.max() < 1e-9
    (level,), _ = honesty.line(
        honesty.formula("where(x < 0.5, 1, 0)", 1), 0.0, 1.0, 0.5, 1, breaks=[0.5], wave_vector=1.0
    )
    p, q = np.sqrt(2 * level), np.emath.sqrt(2 * (level - 1))
    both = np.cos(p / 2) * np.cos(q / 2) - (p**2 + q**2) / (2 * p * q) * np.sin(p / 2) * np.sin(q / 2)
    assert np.real(both) == pytest.approx(np.cos(1.0), abs=1e-10)


def test_the_levels_about_a_centre() -> None:
    """Hydrogen in three dimensions, -1/2n², and c/x² at a wall with a bowl: 2n + 1 + √(1/4 + 2c)."""
    v = honesty.formula("-1/x", 1)
    levels, _ = honesty.central(v, 3, 60.0, 0.5, 5, narrow=[(0.0, 0.3)], widest=4.0, below=-0.6)
    np.testing.assert_allclose(levels, [-0.5, -0.125, -0.125, -0.125, -0.125], atol=1e-10)
    s = 0.5 + np.sqrt(0.25 + 2 * 0.7)
    levels, _ = honesty.line(honesty.formula("0.5*x**2", 1), 0.0, 10.0, 0.5, 3, power=2 * s)
    np.testing.assert_allclose(levels, 2 * np.arange(3) + 0.5 + s, atol=1e-10)


def test_the_levels_of_a_plane_and_sums() -> None:
    box = [-6.0, -6.0], [6.0, 6.0]
    levels, _ = honesty.plane(honesty.formula("0.5*(x**2 + y**2)", 2), *box, 0.5, 3)
    np.testing.assert_allclose(levels, [1, 2, 2], atol=1e-8)
    part = (np.arange(3) + 0.5, np.full(3, 1e-12))
    np.testing.assert_allclose(honesty.sums([part, part], 4)[0], [1, 2, 2, 3])


def test_a_state_is_wrong_where_it_is_converged_and_five_errors_off() -> None:
    record = {
        "status": "solved",
        "energies": [1.0, 2.0, 3.0],
        "errors": [1e-3, 1e-3, 1e-3],
        "converged": [True, True, False],
        "reference": [1.0, 2.1, 3.1],
        "reference_error": [1e-9] * 3,
    }
    assert honesty.wrong_states(record).tolist() == [1]
    assert not len(honesty.wrong_states(record | {"status": "ValueError: no"}))
    assert "converged and wrong" not in "\n".join(
        honesty.table([record | {"seconds": 1.0}], lambda r: "Grid")
    )


def test_every_kind_makes_problems_that_can_be_repeated() -> None:
    for name in honesty.KINDS:
        case = honesty.case_of(name, 0, 3)
        assert case.described() == honesty.case_of(name, 0, 3).described()
        assert len(case.lower) == int(name[-2])


@pytest.mark.parametrize(("strength", "exponent"), [(-0.125, 0.5), (-0.1, 0.5 + np.sqrt(0.05)), (1.0, 2.0)])
def test_the_exponent_at_a_singular_wall(strength: float, exponent: float) -> None:
    """ψ begins as x^s with s(s - 1) = 2g: at the critical g = -1/8 rounding of g must not reach s through the square root."""
    v = qspin.Potential(lambda x: strength / x[0] ** 2 + 0.1172 * x[0] ** 2)
    (pole,) = survey(qspin.Problem(qspin.Kinetic() + v, qspin.Box([0.0], [9.286543]))).poles
    assert pole.exponent == pytest.approx(exponent, abs=1e-9)
