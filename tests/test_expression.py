"""Expressions: they are the functions they name, and nothing but formulas is read."""

import contextlib
import pickle
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.problem.expression import Expression, ExpressionError, expression

E = np.e


@pytest.mark.parametrize(
    ("text", "dim", "expected"),
    [
        ("0.5*x**2 + 0.1*x**4", 1, lambda x: 0.5 * x[0] ** 2 + 0.1 * x[0] ** 4),
        ("x - y - z/2/3 + 2*3*x", 3, lambda x: x[0] - x[1] - x[2] / 6 + 6 * x[0]),
        ("-x**2 + (-x)**3 + +y", 2, lambda x: -(x[0] ** 2) - x[0] ** 3 + x[1]),
        ("2**-x + x**-2 + abs(x)**1.5", 1, lambda x: 2 ** -x[0] + x[0] ** -2.0 + abs(x[0]) ** 1.5),
        ("r + r**2 + r**-4 - 1/r", 3, lambda x: (s := np.linalg.norm(x)) + s**2 + s**-4 - 1 / s),
        ("x0*x[1] + x4**2", 5, lambda x: x[0] * x[1] + x[4] ** 2),
        (
            "sqrt(abs(x)) + exp(-y) + log(2 + y**2)",
            2,
            lambda x: np.sqrt(abs(x[0])) + np.exp(-x[1]) + np.log(2 + x[1] ** 2),
        ),
        ("sin(x) + cos(x) + tan(x)", 1, lambda x: np.sin(x[0]) + np.cos(x[0]) + np.tan(x[0])),
        ("tanh(x) + sinh(x) + cosh(x)", 1, lambda x: np.tanh(x[0]) + np.sinh(x[0]) + np.cosh(x[0])),
        ("minimum(x, y) - maximum(x, 0.1)", 2, lambda x: min(x[0], x[1]) - max(x[0], 0.1)),
        (
            "where(0 < x <= 1 and y > 0 or x < -1, x, -2*y)",
            2,
            lambda x: x[0] if (0 < x[0] <= 1 and x[1] > 0) or x[0] < -1 else -2 * x[1],
        ),
        ("where(x == y, 1, where(x != 0, pi, e))", 2, lambda x: np.pi if x[0] else E),
        ("2*pi + e**2 - sqrt(4)", 2, lambda x: 2 * np.pi + E**2 - 2),
        ("x**(4/2) + x**1e0", 1, lambda x: x[0] ** 2 + x[0]),
    ],
)
def test_it_is_the_function_it_names(text, dim, expected, x64, strict_promotion):
    points = np.random.default_rng(1).normal(size=(20, dim))
    values = jax.vmap(expression(text, dim))(jnp.asarray(points))
    assert values.dtype == jnp.float64
    np.testing.assert_allclose(values, [expected(p) for p in points], rtol=1e-13, atol=1e-14)


def test_derivatives_are_those_of_the_formula(x64):
    """r² is smooth at the origin, where √(Σx²) is not; negative bases keep whole powers."""
    V = expression("r**2 + x**3*y", 2)
    np.testing.assert_allclose(jax.hessian(V)(jnp.zeros(2)), 2 * np.eye(2))
    np.testing.assert_allclose(jax.grad(V)(jnp.array([-1.0, 2.0])), [-2 + 6, 4 - 1])


def test_single_precision_stays_single(strict_promotion):
    assert expression("0.5*x**2 + pi")(jnp.ones(1, jnp.float32)).dtype == jnp.float32
    assert expression("3", dim=2)(jnp.ones(2, jnp.float32)).dtype == jnp.float32


@pytest.mark.parametrize(
    ("text", "dim"), [("x", 1), ("y", 2), ("x + z", 3), ("x1", 2), ("x[6] + x0", 7), ("r*x2", 3)]
)
def test_the_dimension_is_that_of_the_names(text, dim):
    assert expression(text).dim == dim


def test_it_compares_hashes_pickles_and_shows_itself():
    potential = expression("0.5*x**2\n  + y", dim=2)
    assert potential == expression("0.5*x**2 + y") and hash(potential) == hash(expression("0.5*x**2 + y"))
    assert potential != expression("0.5*x**2 + y", dim=3)
    assert pickle.loads(pickle.dumps(potential)) == potential
    assert repr(potential) == "expression('0.5*x**2 + y', dim=2)" and eval(repr(potential)) == potential
    assert qspin.expression is expression


def test_a_problem_made_of_it_has_its_levels():
    problem = qspin.Problem(
        qspin.Kinetic() + qspin.Potential(qspin.expression("x**2/2")), qspin.Box([-8.0], [8.0])
    )
    np.testing.assert_allclose(qspin.solve(problem, 3, qspin.Grid()).energies, [0.5, 1.5, 2.5], atol=1e-9)
    with pytest.raises(ValueError, match=r"points of shape \(1,\), got \(2,\)"):
        qspin.Problem(
            qspin.Kinetic() + qspin.Potential(qspin.expression("x**2/2")), qspin.Box.cube(8.0, dim=2)
        )


@pytest.mark.parametrize(
    ("text", "said", "place"),
    [
        ("0.5*q**2", "'q' is not known", "q"),
        ("x^2", r"powers are written \*\*", "^"),
        ("2x", "no formula", "2"),
        ("3 + x y", "no formula", "y"),
        ("(x", "never closed", "("),
        ("x² + 1", r"powers are written \*\*", "²"),
        ("2·x", r"multiplication is written \*", "·"),
        ("x + 2(x)", "perhaps a \\* is missing", "2"),
        ("x(x + 1)", "not a function; perhaps", "x"),
        ("1 + np.exp(x)", "without a prefix", "np.exp"),
        ("exp + x", "exp is a function", "exp"),
        ("exp(x, 2)", "takes 1 argument, got 2", "exp(x, 2)"),
        ("exp(x=2)", "a name with =", "exp(x=2)"),
        ("1 + (x > 0)", "where", "x > 0"),
        ("where(x, 1, 2)", "expected a comparison", "x"),
        ("where(x in y, 1, 2)", "expected a comparison", "x in y"),
        ("x/(1 - 1)", "division by zero", "1 - 1"),
        ("x + sqrt(-1)", "nan, not a finite", "sqrt(-1)"),
        ("9**9**9", "inf, not a finite", "9**9**9"),
        ("x + 1e999", "inf, not a finite", "1e999"),
        ("x**(9**9)", "whole powers go up to 64", "9**9"),
        ("x**-65", "up to 64, got -65", "-65"),
        ("9" * 400, "too large", "9" * 90),
        ("1j*x", "expected a number", "1j"),
        ("x + True", "expected a number", "True"),
        ("x[y]", "takes an index", "x[y]"),
        ("x[-1]", "takes an index", "x[-1]"),
        ("x + y[0]", "only x takes", "y[0]"),
        ("x[5000]", "from 0 to 999", "x[5000]"),
        ("x if x else 1", "not part of a formula", "x if x else 1"),
        ("x // 2", "not part of a formula", "x // 2"),
        ("().__class__", "without a prefix", "().__class__"),
        ("x.__class__", "without a prefix", "x.__class__"),
        ("[x][0]", "takes an index", "[x][0]"),
        ("exp(*x)", "not part of a formula", "*x"),
        ("__import__", "not known", "__import__"),
        ("'x'", "no meaning", "'"),
        ("lambda: x", "no meaning", ":"),
        ("x\\x00", "no meaning", "\\"),
    ],
)
def test_what_is_no_formula_is_refused_at_its_place(text, said, place):
    with pytest.raises(ExpressionError, match=said) as caught:
        expression(text)
    reason, shown, carets = str(caught.value).splitlines()
    assert reason.endswith(".")
    where = slice(len(carets) - len(carets.lstrip()), len(carets))
    assert shown[where] == place and set(carets[where]) == {"^"}


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9**9**9*x",
        "x**9**9**9",
        "(" * 5000 + "x" + ")" * 4000,
        "-" * 9000 + "x",
        "x**" * 60 + "x",
        "exp(" * 60 + "x" + ")" * 60,
        "x" * 10_001,
        "9" * 5000,
    ],
)
def test_nothing_hangs(text):
    started = time.process_time()
    with pytest.raises(ExpressionError) as caught:
        expression(text)
    assert time.process_time() - started < 1
    assert len(str(caught.value)) < 1000


def test_the_longest_sum_is_read_or_refused():
    """How long a sum Python's own parser takes depends on its version."""
    started = time.process_time()
    with contextlib.suppress(ExpressionError):
        expression("x+" * 4999 + "x")
    assert time.process_time() - started < 1


def test_long_sums_are_read(x64):
    """A force field has hundreds of terms: a sum is no nesting."""
    text = " + ".join(f"{k}*x**{k % 5}" for k in range(300))
    assert float(expression(text)(jnp.ones(1))) == sum(range(300))


def test_a_long_text_is_shown_about_the_place():
    with pytest.raises(ExpressionError) as caught:
        expression(" + ".join(["x"] * 60) + " + q + " + " + ".join(["x"] * 60))
    _, shown, carets = str(caught.value).splitlines()
    assert len(shown) < 100 and shown[len(carets) - 1] == "q" and shown.count("…") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("y", 1), "coordinate number 2 in 1 dimension:?"),
        (("x[3]", 3), "coordinate number 4 in 3 dimensions"),
        (("x**2 + x3", 4), r"in 4 write x0, … x3"),
        (("r**2",), "give dim"),
        (("1",), "give dim"),
        (("  ",), "empty"),
        (("x", 0), "dim must be an integer from 1 to 1000, got 0"),
        (("x", 1.0), "dim must be an integer"),
    ],
)
def test_dimensions_that_cannot_be_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        expression(*arguments)


def test_it_takes_text():
    with pytest.raises(TypeError, match="expected a text"):
        expression(3.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"points of shape \(1,\)"):
        Expression("x", 1)(jnp.ones(2))
