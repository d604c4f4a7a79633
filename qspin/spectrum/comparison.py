"""`Comparison` of two spectra of one problem: energies level by level, eigenspaces group by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["AGREES", "CANNOT_TELL", "DIFFERS", "Comparison", "agreement"]

Levels = Float[np.ndarray, " n"]

AGREES, DIFFERS, CANNOT_TELL = "agrees", "differs", "cannot tell"
_FINE = 1e-3  # share of the level spacing, and of |E|, up to which an error leaves something to agree on
_APART = np.pi / 4  # angle beyond which two eigenspaces are not the same one


@dataclass(frozen=True)
class Comparison:
    """Two spectra of one problem, level by level, and their eigenspaces group by group; or a spectrum and a closed form.

    `print(comparison)` prints a table, notebooks show it. Of each level `outcomes` holds one of three words:

    - "differs": the energies are more than three combined errors apart.
    - "cannot tell": they are not, but that says little: the combined error is over a thousandth of the distance to the next
      level or of |E|, or is not known, or the two eigenspaces do not match (an angle over π/4).
    - "agrees": all else.

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
        shared: a sentence on what the two have in common, so that agreement proves less; empty where nothing is known.
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
    shared: str = ""

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

    @cached_property
    def _doubts(self) -> list[str]:
        """Why nothing can be said of each level whose energies are within three errors; "" where nothing speaks against it."""
        means, doubts = [float(self.reference_energies[group].mean()) for group in self.groups], []
        for number, group in enumerate(self.groups):
            gaps = [abs(means[number] - mean) for i, mean in enumerate(means) if i != number]
            spacing, angle = min(gaps, default=np.inf), self.angles[number]
            for k in group:
                error, size = (
                    self.errors[k],
                    abs(self.reference_energies[k]),
                )  # a size of zero is a matter of where zero is
                if not np.isfinite(error):
                    doubts.append("no error is known")
                elif error > _FINE * spacing:
                    doubts.append(f"the error is {error / spacing:.1g} of the level spacing")
                elif error > _FINE * size > 0 and (size > _FINE * spacing or np.isinf(spacing)):
                    doubts.append(f"the error is {error / size:.1g} of the energy")
                else:
                    doubts.append(f"the eigenspaces are {angle:.2f} apart" if angle > _APART else "")
        return doubts

    @cached_property
    def outcomes(self) -> tuple[str, ...]:
        """Of each level "agrees", "differs" or "cannot tell"."""
        apart = np.abs(self.differences) > 3 * self.errors
        return tuple(
            DIFFERS if far else CANNOT_TELL if doubt else AGREES
            for far, doubt in zip(apart, self._doubts, strict=True)
        )

    @property
    def agrees(self) -> Bool[np.ndarray, " n"]:
        """(n,) bool: whether the outcome is "agrees"."""
        return np.array([outcome == AGREES for outcome in self.outcomes])

    @property
    def all_agree(self) -> bool:
        """Whether every level agrees: what the commands `validate` and `compare` end with status 0 for."""
        return bool(self.agrees.all())

    @property
    def raised_by_walls(self) -> Bool[np.ndarray, " n"]:
        """(n,) bool: levels that differ, but by no more than walls explain."""
        if self.wall_shifts is None:
            return np.zeros(len(self.energies), bool)
        allowed = 3 * self.errors + 2 * self.wall_shifts
        explained = (self.differences > 3 * self.errors) & (self.differences <= allowed)
        return explained & np.isfinite(allowed)

    @property
    def exact_differences(self) -> Levels | None:
        """(n,) energies minus the closed form's."""
        return None if self.exact is None else self.energies - self.exact

    @property
    def verdicts(self) -> tuple[str, ...]:
        """A few words on each level: "agrees", "DIFFERS by 4.0 errors", "CANNOT TELL: …", or that walls raise it."""
        words = []
        for k, outcome in enumerate(self.outcomes):
            if self.wall_shifts is not None and self.raised_by_walls[k]:
                shift = self.wall_shifts[k]
                words.append(f"WALLS raise it by about {shift:.1e} over free space: enlarge the box")
            elif outcome == DIFFERS:
                words.append(f"DIFFERS by {self.deviations[k]:.1f} errors")
            else:
                words.append(outcome if outcome == AGREES else f"CANNOT TELL: {self._doubts[k]}")
        return tuple(words)

    @property
    def summary(self) -> str:
        """How many levels agree, differ, or leave the question open; and what the two have in common."""
        return f"{agreement(self.outcomes)} {self.shared}".rstrip()

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers, words and lists, for JSON; infinite and undefined numbers become None."""
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
        plain = {
            name: None if values is None else [float(v) if np.isfinite(v) else None for v in values]
            for name, values in numbers.items()
        }
        return {
            "labels": list(self.labels),
            "units": self.units,
            **plain,
            "agrees": self.agrees.tolist(),
            "outcomes": list(self.outcomes),
            "verdicts": list(self.verdicts),
            "summary": self.summary,
            "shared": self.shared,
            "groups": self.groups,
        }

    def __str__(self) -> str:
        from qspin.spectrum import tables

        table = tables.comparison_table(self)
        return "\n".join([*table.lines(), table.foot])

    def _repr_html_(self) -> str:
        from qspin.spectrum import tables

        return tables.comparison_table(self).html()


def agreement(outcomes: Sequence[str]) -> str:
    """ "3 of 4 levels agree within three combined errors, 1 differs." """
    n = len(outcomes)
    differ, open_ = outcomes.count(DIFFERS), outcomes.count(CANNOT_TELL)
    said = [f"{n - differ - open_} of {n} levels agree within three combined errors"]
    said += [f"{differ} differ{'s' if differ == 1 else ''}"] if differ else []
    said += [f"of {open_} nothing can be told"] if open_ else []
    return f"{', '.join(said)}."
