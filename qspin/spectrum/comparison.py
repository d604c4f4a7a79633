"""`Comparison` of two spectra of one problem: energies level by level, eigenspaces group by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["Comparison", "agreement"]

Levels = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Comparison:
    """Two spectra of one problem, level by level, and their eigenspaces group by group; or a spectrum and a closed form.

    A level agrees where its difference is within three combined errors. `print(comparison)` prints a table, notebooks show it.

    Attributes:
        energies, reference_energies: (n,) n is the smaller number of states.
        own_errors, reference_errors: (n,) what either claims; a closed form claims none.
        groups: level indices of each degenerate group (levels that either spectrum cannot resolve).
        angles: for each group the largest angle (radians) between the two eigenspaces; nan where it is not known: for the
            last group, if the closed form or the longer spectrum says that it is cut, and beside a closed form.
        labels: the two methods.
        exact: (n,) the closed form's energies, where the problem has one.
        wall_shifts: (n,) how far walls raise the energies above the reference's, where the reference has no walls; not finite
            where they are meant.
    """

    energies: Levels
    own_errors: Levels
    reference_energies: Levels
    reference_errors: Levels
    groups: list[list[int]]
    angles: Float[np.ndarray, " groups"]
    labels: tuple[str, str]
    exact: Levels | None = None
    wall_shifts: Levels | None = None
    units: str = ""

    @property
    def differences(self) -> Levels:
        """(n,) energies minus reference energies."""
        return self.energies - self.reference_energies

    @property
    def errors(self) -> Levels:
        """(n,) √(error² + reference error²)."""
        return np.hypot(self.own_errors, self.reference_errors)

    @property
    def deviations(self) -> Levels:
        """(n,) |difference| in combined errors; infinite beside errors of zero, or nan where the difference is zero, too."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(self.differences) / self.errors

    @property
    def agrees(self) -> Bool[np.ndarray, " n"]:
        """(n,) bool: whether the difference is within three combined errors."""
        return np.abs(self.differences) <= 3 * self.errors

    @property
    def raised_by_walls(self) -> Bool[np.ndarray, " n"]:
        """(n,) bool: levels that differ, but by no more than walls explain."""
        if self.wall_shifts is None:
            return np.zeros(len(self.energies), bool)
        allowed = 3 * self.errors + 2 * self.wall_shifts
        explained = (self.differences > 0) & (self.differences <= allowed) & np.isfinite(allowed)
        return ~self.agrees & explained

    @property
    def exact_differences(self) -> Levels | None:
        """(n,) energies minus the closed form's."""
        return None if self.exact is None else self.energies - self.exact

    @property
    def verdicts(self) -> tuple[str, ...]:
        """A few words on each level: "agrees", "DIFFERS by 4.0 errors", or that walls raise it."""
        words = [f"DIFFERS by {deviation:.1f} errors" for deviation in self.deviations]
        for k in np.flatnonzero(self.agrees):
            words[k] = "agrees"
        if self.wall_shifts is not None:
            for k in np.flatnonzero(self.raised_by_walls):
                shift = self.wall_shifts[k]
                words[k] = f"WALLS raise it by about {shift:.1e} over free space: enlarge the box"
        return tuple(words)

    @property
    def summary(self) -> str:
        """How many levels agree, in one sentence."""
        return agreement(self.agrees)

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers, words and lists, for JSON; infinite and undefined numbers become None."""

        def plain(values: np.ndarray | None) -> list[float | None] | None:
            return None if values is None else [float(v) if np.isfinite(v) else None for v in values]

        numbers = {
            "energies": self.energies,
            "errors": self.own_errors,
            "reference_energies": self.reference_energies,
            "reference_errors": self.reference_errors,
            "differences": self.differences,
            "combined_errors": self.errors,
            "exact": self.exact,
            "exact_differences": self.exact_differences,
            "angles": self.angles,
        }
        return {
            "labels": list(self.labels),
            "units": self.units,
            **{name: plain(values) for name, values in numbers.items()},
            "agrees": self.agrees.tolist(),
            "verdicts": list(self.verdicts),
            "summary": self.summary,
            "groups": self.groups,
        }

    def __str__(self) -> str:
        from qspin.spectrum import tables

        return tables.comparison_text(self)

    def _repr_html_(self) -> str:
        from qspin.spectrum import tables

        return tables.comparison_html(self)


def agreement(agrees: Bool[np.ndarray, " n"]) -> str:
    """ "3 of 4 levels agree within three combined errors." """
    return f"{int(agrees.sum())} of {len(agrees)} levels agree within three combined errors."
