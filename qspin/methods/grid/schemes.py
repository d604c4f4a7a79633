"""How the axes of a mesh are discretised: three schemes, their settings and the order at which they converge.

- `differences(order)`: equal spacing, central differences;
- `dvr()`: the same points, the exact derivative of the sine (walls) or Fourier (periodic) series through them;
- `elements(degree)`: spectral elements, which shrink towards declared centres; see `finite_elements`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qspin.methods.grid.axes import STENCILS, Axis, dvr_axis, element_axis, uniform_axis
from qspin.numerics.finite_elements import graded_edges

__all__ = ["DVR", "ORDERS", "Differences", "Elements", "Scheme", "differences", "dvr", "elements"]

ORDERS = tuple(STENCILS)


class Scheme(ABC):
    """How an axis is discretised. Settings only."""

    graded: bool = False
    # Not extrapolated, the error is near step·(step before / step)^caution; measured on random smooth potentials.
    caution: float = 0.0

    @abstractmethod
    def axis(
        self,
        lower: float,
        upper: float,
        periodic: bool,
        n_points: int,
        marks: Sequence[tuple[float, float]],
        phase: float = 0.0,
    ) -> Axis:
        """An axis of about `n_points` unknowns; `marks` = [(position, smallest element), …] of centres; ψ turns by `phase`
        along a periodic one."""

    @property
    @abstractmethod
    def order(self) -> int:
        """Energies converge as spacing to this power, where functions are smooth."""

    @property
    @abstractmethod
    def neighbours(self) -> int:
        """Entries in a row of the derivative matrix, about; 0 for all of them."""


@dataclass(frozen=True)
class Differences(Scheme):
    """See `differences`."""

    accuracy: int = 8

    def __post_init__(self) -> None:
        if self.accuracy not in STENCILS:
            raise ValueError(f"differences: order must be one of {ORDERS}, got {self.accuracy!r}.")

    def axis(
        self,
        lower: float,
        upper: float,
        periodic: bool,
        n_points: int,
        marks: Sequence[tuple[float, float]],
        phase: float = 0.0,
    ) -> Axis:
        return uniform_axis(lower, upper, n_points, self.accuracy, periodic, phase)

    @property
    def order(self) -> int:
        return self.accuracy

    @property
    def neighbours(self) -> int:
        return self.accuracy + 1


@dataclass(frozen=True)
class DVR(Scheme):
    """See `dvr`."""

    caution = -0.3  # spectral: each step is a small part of the one before

    def axis(
        self,
        lower: float,
        upper: float,
        periodic: bool,
        n_points: int,
        marks: Sequence[tuple[float, float]],
        phase: float = 0.0,
    ) -> Axis:
        return dvr_axis(lower, upper, n_points, periodic, phase)

    @property
    def order(self) -> int:
        return 24  # any power; far beyond what three resolutions can tell

    @property
    def neighbours(self) -> int:
        return 0


@dataclass(frozen=True)
class Elements(Scheme):
    """See `elements`."""

    degree: int = 8
    ratio: float = 2.2
    graded = True
    caution = 0.3

    def __post_init__(self) -> None:
        if (
            isinstance(self.degree, bool)
            or not isinstance(self.degree, int | np.integer)
            or not 1 <= self.degree <= 16
        ):
            raise ValueError(f"elements: degree must be an integer from 1 to 16, got {self.degree!r}.")
        if not 1 < self.ratio <= 4:
            raise ValueError(f"elements: ratio must be above 1 and at most 4, got {self.ratio!r}.")

    def axis(
        self,
        lower: float,
        upper: float,
        periodic: bool,
        n_points: int,
        marks: Sequence[tuple[float, float]],
        phase: float = 0.0,
    ) -> Axis:
        if phase:
            raise ValueError("elements: no Bloch wave vector on elements; use dvr() or differences(order).")
        if marks and not periodic:
            return element_axis(
                lower, upper, False, graded_edges(lower, upper, marks, self.ratio), self.degree
            )
        n_elements = max(round((n_points + (0 if periodic else 1)) / self.degree), 2)
        return element_axis(lower, upper, periodic, np.linspace(lower, upper, n_elements + 1), self.degree)

    @property
    def order(self) -> int:
        return 2 * self.degree

    @property
    def neighbours(self) -> int:
        return self.degree + 2


def differences(order: int = 8) -> Differences:
    """Central differences of order 2, 4, 6 or 8 on equally spaced points: sparse, O(h^order) for smooth ψ."""
    return Differences(order)


def dvr() -> DVR:
    """Sine or Fourier collocation (a discrete-variable representation) on equally spaced points: dense along each axis,
    error below any power of h for smooth ψ that is small at the walls (Colbert and Miller 1992)."""
    return DVR()


def elements(degree: int = 8, ratio: float = 2.2) -> Elements:
    """DVR elements of a degree up to 16: O(h^(2 degree)) for smooth ψ, up to the walls. Towards declared centres they
    shrink by about `ratio` from one to the next."""
    return Elements(degree, ratio)
