"""Wrong input by hypothesis: each public constructor works, or says in a ValueError or TypeError what to write.

The arguments are drawn by benchmarks/fuzz.py, which counts ten thousand and more."""

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin import exact, symmetry
from tests.benchmark import benchmark

fuzz = benchmark("fuzz")
QUICK = 3  # inputs for each constructor


@pytest.mark.parametrize("name", fuzz.KINDS)
def test_random_input_works_or_is_refused_in_words(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes that do not fit may also be named by the run-time check of annotations, which only tests have."""
    owned = fuzz.owned
    monkeypatch.setattr(fuzz, "owned", lambda name, said: owned(name, said) or "Type-check error" in said)
    counts, wrong = fuzz.examples(name, QUICK, seeded=1)
    assert not wrong and counts.total() == QUICK, "\n".join(wrong)


OSCILLATOR = qspin.Problem(qspin.Kinetic() + qspin.Potential(lambda x: 0.5 * x[0] ** 2), qspin.Box(-6.0, 6.0))


def problem(v, dim: int = 1):  # type: ignore[no-untyped-def]
    return qspin.Problem(qspin.Kinetic() + qspin.Potential(v), qspin.Box.cube(3.0, dim=dim))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: problem(lambda x, y: x + y, 2),
            TypeError,
            r"of a point x.*one of \(x, y\) came.*x\[0\], x\[1\]",
        ),
        (lambda: qspin.Kinetic() + (lambda x: x[0]), TypeError, r"Operator: .*write Potential\(V\)"),
        (lambda: qspin.Kinetic() - 1.0, TypeError, r"write Potential\(V\).*Potential\(lambda x: c\)"),
        (lambda: np.array([1.0, 2.0]) * qspin.Kinetic(), TypeError, "factor must be a real number, got"),
        (lambda: np.nan * qspin.Kinetic(), ValueError, "factor must be finite, got nan"),
        (
            lambda: qspin.Kinetic(mass=lambda x: 1 + x[0] ** 2),
            TypeError,
            "mass must be .* depends on x needs an",
        ),
        (lambda: qspin.Kinetic(mass="1"), TypeError, "Kinetic: mass must be a real number, got '1'"),
        (
            lambda: 0.5 * symmetry.angular_momentum(),
            TypeError,
            r"L_z: a symmetry is no part of a Hamiltonian",
        ),
        (lambda: qspin.Kinetic() + symmetry.parity(), TypeError, "an operator was expected"),
        (lambda: problem(lambda x: 1j * x[0]), TypeError, r"real number, got a complex one.*jnp\.real"),
        (lambda: problem(lambda x: "V"), TypeError, "must return one real number, got 'V'"),
        (lambda: problem(lambda x: (x[0], 1.0)), TypeError, "must return one real number"),
        (
            lambda: problem(lambda x: x @ jnp.ones(7), 2),
            (TypeError, ValueError),
            "fails at a point of 2 coord",
        ),
        (lambda: problem(lambda x: {}["V"]), ValueError, "Potential: V.x. fails at a point of 1 .*KeyError"),
        (
            lambda: qspin.solve(problem(lambda x: jnp.where(abs(x[0]) < 1, 0.0, jnp.inf)), 1, qspin.Grid()),
            ValueError,
            "V is inf at x = .*make walls high but finite",
        ),
        (lambda: qspin.solve(OSCILLATOR, 10**400), ValueError, "n_states must be at most 100,000, got 1000"),
        (lambda: qspin.solve(OSCILLATOR, 2**31), ValueError, "n_states must be at most 100,000"),
        (lambda: qspin.solve(OSCILLATOR, "3"), ValueError, "n_states must be an integer"),
        (
            lambda: qspin.Space(2**31),
            ValueError,
            "dimension must be an integer from 1 to 1000, got 2147483648",
        ),
        (lambda: qspin.Box.cube(1.0, dim=10**5000), ValueError, "from 1 to 1000, got a value of type int"),
        (lambda: qspin.slowness(2**31), ValueError, "10,000,000 in all at most"),
        (lambda: qspin.graph_laplacian(2**31, [(0, 1)]), ValueError, "n_nodes must be an integer from 1 to"),
        (lambda: qspin.Nodes(2**31), ValueError, "features must be an integer from 1 to 10000"),
        (lambda: qspin.Nodes([["1", "2"]]), TypeError, "features must hold numbers"),
        (lambda: qspin.MatrixOperator([["1"]]), TypeError, "matrix must hold numbers"),
        (lambda: qspin.finite_difference("0.1"), TypeError, "step must be a real number, got '0.1'"),
        (lambda: exact.harmonic(1.0)(10**400), ValueError, "n must be an integer from 1 to 10000000"),
        (lambda: exact.harmonic(1.0, dim=2**31), ValueError, "dim must be an integer from 1 to 1000"),
        (lambda: exact.box(10**400), ValueError, "lengths must be positive, got 1000"),
    ],
)
def test_what_users_wrote_is_answered_by_what_to_write(make, error, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    "form", [lambda n: np.ones(1), lambda n: {}[n], lambda n: [None] * n, lambda n: ["1"] * n]
)
def test_a_closed_form_that_fails_is_refused_before_anything_is_solved(form) -> None:  # type: ignore[no-untyped-def]
    wrong = qspin.Problem(OSCILLATOR.hamiltonian, OSCILLATOR.domain, exact=form)
    with pytest.raises((ValueError, TypeError), match=r"Problem: exact\([34]\) must"):
        qspin.solve(wrong, 3, qspin.Grid())
    few = qspin.Problem(OSCILLATOR.hamiltonian, OSCILLATOR.domain, exact=exact.poschl_teller(2))
    assert few.exact_energies(3) is None and few.exact_energies(2) is not None
