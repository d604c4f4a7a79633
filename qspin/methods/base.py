"""What a method that solves must offer: either everything at once, or `init`, `advance` and `finish` for the
one loop in `solve`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qspin.problem.problem import Problem
from qspin.spectrum.spectrum import Spectrum

__all__ = ["DirectMethod", "IterativeMethod", "Method", "Run"]


class Method(ABC):
    """Frozen settings of a way to solve. `name` labels tables and files."""

    name: str

    def check(self, problem: Problem, n_states: int) -> None:
        """Raise ValueError at once where this method cannot do this problem."""
        del problem, n_states

    def check_boxed(self, problem: Problem) -> None:
        """Raise ValueError for anything but the lowest states of a Hamiltonian in a box."""
        if not problem.is_boxed_hamiltonian:
            raise ValueError(
                f"{type(self).__name__}: solves for the lowest states of a Hamiltonian in a Box; for kernels, matrices and "
                "largest eigenvalues use qspin.SpIN()."
            )

    def for_problem(self, problem: Problem) -> "Method":
        """The method that does this problem under this one's name: itself, where it has no other for other dimensions."""
        del problem
        return self


class DirectMethod(Method):
    """A method without training."""

    @abstractmethod
    def solve(self, problem: Problem, n_states: int, seed: int = 0) -> Spectrum:
        """The lowest `n_states` states; `seed` where anything is random."""


@dataclass(frozen=True)
class Run:
    """A method bound to a problem, compiled: what the loop in `solve` drives.

    `init(seed)` -> state, a pytree of arrays with a counter `state.step`. `advance(state)` -> (state, info)
    does one chunk of compiled steps, fewer at the end of `steps`, and `advance(state, until)` none beyond step
    `until`. `info` maps names to arrays with one row a step, and `info["ok"]` is False from the step on at which
    numbers stopped being finite. `finish(state, history)` -> Spectrum evaluates afresh. `enough(info)` of the last chunk
    ends training before `steps`.
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
        """This method on this problem."""
