"""What a method must offer: either it solves at once (`DirectMethod`), or it trains, by `init`, `advance` and `finish` for the
one loop in `solve` (`IterativeMethod`)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qspin.numerics.registry import Registry
from qspin.problem.domain import Box
from qspin.problem.hamiltonian import without_local_form
from qspin.problem.problem import Problem
from qspin.spectrum.spectrum import Spectrum

__all__ = [
    "METHODS",
    "DirectMethod",
    "IterativeMethod",
    "Method",
    "Run",
    "all_bound",
    "check_plain_hamiltonian",
]

METHODS = Registry("method", "qspin.methods")  # names for the command and for settings files


@dataclass(frozen=True)
class all_bound:
    """For `n_states` of `solve`: every state below the continuum, of a potential in `Space` of up to three dimensions.

    `solve` raises ValueError where they are none, infinitely many, or too weakly bound to be counted.

    >>> all_bound()
    all_bound()
    """


def check_plain_hamiltonian(method: str, problem: Problem, *domains: type) -> None:
    """Raise ValueError, naming what is not supported, unless the problem asks for the lowest states of -Σ c_i ∂²/∂x_i² + V in
    one of these kinds of domain."""
    foreign = without_local_form(problem.hamiltonian, problem.dim)
    if foreign and all(part.is_local for part in foreign) and isinstance(problem.domain, domains):
        raise ValueError(
            f"{method}: {', '.join(type(part).__name__ for part in foreign)} has no local form (Operator.local_form gives "
            f"None), and {method} reads nothing else of a Hamiltonian; use qspin.SpIN()."
        )
    if problem.local_form is None or problem.largest or not isinstance(problem.domain, domains):
        kinds = " or ".join(kind.__name__ for kind in domains)
        raise ValueError(
            f"{method}: solves for the lowest states of a Hamiltonian in a {kinds}; for kernels, matrices and "
            "largest eigenvalues use qspin.SpIN()."
        )
    form = problem.local
    wrong = {
        "a vector potential": form.vector_potential is not None,
        "a volume weight": form.weight is not None,
        "a mass that depends on x": callable(form.inverse_mass),
        "a matrix of masses": not callable(form.inverse_mass) and form.inverse_mass.ndim == 2,
    }
    if any(wrong.values()):
        named = " and ".join(name for name, there in wrong.items() if there)
        raise ValueError(f"{method}: does not serve {named} yet; use qspin.SpIN().")


class Method(ABC):
    """A way to solve: a frozen dataclass whose fields are its settings. `name` labels tables and files.

    `METHODS.register("lanczos", MyMethod)` lets the command and settings files find it by that name; without one they take
    "module:MyMethod".

    `probes`: what the method takes from elsewhere in qspin, so that another one which takes it too is not independent of it.
    """

    name: str
    probes: tuple[str, ...] = ()

    def check(self, problem: Problem, n_states: int) -> None:
        """Raise ValueError at once where this method cannot do this problem."""
        del problem, n_states

    def check_boxed(self, problem: Problem) -> None:
        """Raise ValueError for anything but the lowest states of a Hamiltonian in a box."""
        check_plain_hamiltonian(type(self).__name__, problem, Box)

    def for_problem(self, problem: Problem) -> "Method":
        """The method that solves this problem when this one is chosen: itself, unless another one serves its dimensions."""
        del problem
        return self

    def spectrum(self, problem: Problem, provenance: Mapping[str, Any], **solved: Any) -> Spectrum:
        """The `Spectrum` with the given fields, and with what the problem and this method say of it themselves."""
        return Spectrum(
            domain=problem.domain,
            name=problem.name,
            units=problem.units,
            method=self.name,
            provenance={"method": repr(self), "precision": "float64", **provenance},
            potential=problem.potential_values,
            **solved,
        )


class DirectMethod(Method):
    """A method without training."""

    @abstractmethod
    def solve(self, problem: Problem, n_states: int, seed: int = 0) -> Spectrum:
        """Return the lowest `n_states` states. `seed` sets all random numbers."""


@dataclass(frozen=True)
class Run:
    """A method bound to a problem and compiled; the loop in `solve` runs it.

    `init(seed)` -> state, a pytree of arrays with a counter `state.step`. `advance(state)` -> (state, info)
    does one chunk of compiled steps, fewer at the end of `steps`; `advance(state, until)` stops at step
    `until`. `info` maps names to arrays with one row a step, and `info["ok"]` is False from the step on at which
    numbers stopped being finite. `finish(state, history)` -> Spectrum evaluates on fresh points. Training ends before
    `steps` where `enough(info)` of the last chunk is true.
    """

    init: Callable[[int], Any]
    advance: Callable[..., tuple[Any, Mapping[str, np.ndarray]]]
    finish: Callable[[Any, Mapping[str, np.ndarray]], Spectrum]
    steps: int
    enough: Callable[[Mapping[str, np.ndarray]], bool] = lambda info: False


class IterativeMethod(Method):
    """A method that trains."""

    @abstractmethod
    def bind(self, problem: Problem, n_states: int) -> Run:
        """Bind this method to a problem."""
