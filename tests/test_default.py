"""`solve` without a method: which one answers, what checks it, and what is said where two disagree or one takes over."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.run.default import solve_by_default
from tests.toy import spectrum_of


def problem(text: str, *box: float, mass: float = 1.0, dim: int = 1) -> qspin.Problem:
    domain = qspin.Box([box[0]] * dim, [box[1]] * dim)
    return qspin.Problem(
        qspin.Kinetic(mass) + qspin.Potential(qspin.expression(text, dim=dim)), domain, name=text
    )


@pytest.mark.parametrize(
    ("case", "n_states", "level", "truth"),
    [
        (problem("x**4", -9, 9, mass=0.5), 50, 0, 1.0603620904841829),
        (problem("100*(1 - exp(x))**2", -20, 10, mass=0.5), 10, 9, 99.75),
        (problem("0.5*x**2", -20, 20), 100, 99, 99.5),
        (problem("0", -1, 1), 100, 99, (100 * np.pi / 2) ** 2 / 2),
    ],
    ids=["x⁴", "Morse", "oscillator", "flat"],
)
def test_smooth_potentials_in_one_dimension(
    case: qspin.Problem, n_states: int, level: int, truth: float
) -> None:
    """Many states, steep walls: where features took a minute, were off by up to 2.3, or failed."""
    spectrum = qspin.solve(case, n_states)
    assert spectrum.method == "grid" and spectrum.converged.all()
    shift = spectrum.wall_shifts[
        level
    ]  # of Morse's tenth level, which reaches the wall; free space has the truth
    walls = 2 * shift if np.isfinite(shift) else 0
    assert abs(spectrum.energies[level] - truth) <= max(3 * spectrum.errors[level], 1e-9 * truth) + walls
    (check,) = spectrum.provenance["checked_by"]
    assert "Elements(degree=16" in check["method"]
    off = np.abs(spectrum.energies - check["energies"])
    assert (off <= 1e-6 * spectrum.energies[-1]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "n_states"),
    [
        (problem("-600*exp(-2*r**2)", -4, 4, dim=2), 60),
        (problem("0.5*r**2 + 0.1118*(x**2*y - y**3/3)", -9, 9, dim=2), 100),
        (
            problem("-4*exp(-(x - 1.5)**2 - y**2 - z**2) - 4*exp(-(x + 1.5)**2 - y**2 - z**2)", -7, 7, dim=3),
            2,
        ),
    ],
    ids=["deep well", "Hénon-Heiles", "two wells"],
)
def test_smooth_potentials_in_more_dimensions(case: qspin.Problem, n_states: int) -> None:
    spectrum = qspin.solve(case, n_states)
    assert spectrum.method == "grid" and spectrum.converged.all()
    if case.dim == 3:
        assert abs(spectrum.energies[0] + 0.84909143) < 1e-6


# --- the rule, with methods that solve nothing


class Scripted:
    """Answers by kind of method: an energy and an error, or an exception."""

    def __init__(self, **answers: object) -> None:
        self.answers, self.asked = answers, []  # type: ignore[var-annotated]

    def __call__(self, method: qspin.DirectMethod) -> qspin.Spectrum:
        kind = "check" if getattr(method, "scheme", None) is not None else method.name
        self.asked.append(kind)
        answer = self.answers[kind]
        if isinstance(answer, Exception):
            raise answer
        energy, error = answer  # type: ignore[misc]
        spectrum = dataclasses.replace(spectrum_of(float(energy), {}), method=method.name)
        return dataclasses.replace(spectrum, errors=np.full(2, error), provenance={"method": kind})


SMOOTH = problem("0.5*x**2", -8, 8)
DISK = qspin.Problem(qspin.Kinetic(), qspin.shapes.disk(1.0))
STEP = problem("where(abs(x) < 1, 0, 10)", -6, 6)


THREE = ["ritz", "grid", "check"]
OUTVOTED = ["handed over", "differs"]


@pytest.mark.parametrize(
    ("case", "answers", "asked", "method", "converged", "kinds"),
    [
        (SMOOTH, {"grid": (1.0, 1e-9), "check": (1.0, 1e-7)}, ["grid", "check"], "grid", True, []),
        (SMOOTH, {"grid": (1.0, 1e-9), "check": (1.1, 1e-7)}, ["grid", "check"], "grid", False, ["differs"]),
        (SMOOTH, {"grid": (1.0, 1e-9), "check": ValueError("no")}, ["grid", "check"], "grid", True, []),
        (SMOOTH, {"grid": (1.0, 1e-2), "ritz": (1.0, 1e-9)}, ["grid", "ritz"], "ritz", True, ["handed over"]),
        (SMOOTH, {"grid": (1.0, 1e-3), "ritz": (1.0, 1e-2)}, ["grid", "ritz"], "grid", False, ["tolerance"]),
        (DISK, {"grid": (1.0, 1e-2)}, ["grid"], "grid", True, []),
        (STEP, {"ritz": (1.0, 1e-9), "grid": (1.0, 1e-2)}, ["ritz", "grid"], "ritz", True, []),
        (STEP, {"ritz": (1.0, 1e-9), "grid": (1.2, 1e-2), "check": (1.1, 1e-2)}, THREE, "ritz", False, ["differs"] * 2),
        (STEP, {"ritz": (1.0, 1e-3), "grid": (1.2, 1e-2), "check": (1.2, 1e-2)}, THREE, "grid", False, OUTVOTED),
        (STEP, {"ritz": (1.0, 1e-2), "grid": (1.0, 1e-9)}, ["ritz", "grid"], "grid", True, ["handed over"]),
        (STEP, {"ritz": MemoryError(""), "grid": (1, 1e-9), "check": (1, 1e-9)}, ["ritz", "grid", "check"], "grid", True, []),
        (STEP, {"ritz": (1.0, 1e-3), "grid": (1.0, 1e-2)}, ["ritz", "grid"], "ritz", False, ["tolerance"]),
    ],
)  # fmt: skip
def test_the_rule(
    case: qspin.Problem, answers: dict, asked: list[str], method: str, converged: bool, kinds: list[str]
) -> None:
    script = Scripted(**answers)
    spectrum = solve_by_default(case, 2, script)
    assert script.asked == asked
    assert spectrum.method == method and (spectrum.converged == converged).all()
    assert [note.kind for note in spectrum.notes] == kinds
    if "differs" in kinds:
        assert "energies up to" in spectrum.status
        assert (spectrum.errors >= 0.1 - 1e-12).all() == (method != "grid" or case is SMOOTH)


def test_what_every_method_refuses_is_said_as_the_first_one_says_it() -> None:
    with pytest.raises(ValueError, match="first"):
        solve_by_default(SMOOTH, 2, Scripted(grid=ValueError("first"), ritz=ValueError("second")))


def test_many_states_are_never_trained_for() -> None:
    """More than features serve for: a grid that misses the tolerance is not followed by minutes of SpIN."""
    script = Scripted(grid=(1.0, 1e-2), check=(1.0, 1e-2))
    assert not solve_by_default(SMOOTH, 500, script).converged.any()
    assert script.asked == ["grid", "check"]


def test_a_method_that_is_given_stays() -> None:
    spectrum = qspin.solve(SMOOTH, 2, qspin.Grid())
    assert "checked_by" not in spectrum.provenance
    assert jnp.isfinite(spectrum.energies).all()
