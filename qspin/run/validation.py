"""`validate`: the same states by every independent way there is, and a verdict on each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qspin.methods.base import Method
from qspin.methods.grid.driver import Grid
from qspin.problem.hamiltonian import without_local_form
from qspin.problem.problem import Problem
from qspin.run.default import variational_method
from qspin.run.solve import boxed, check_arguments, solve
from qspin.spectrum.comparison import AGREES, CANNOT_TELL, DIFFERS, Comparison, agreement
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Validation", "validate"]


@dataclass(frozen=True, eq=False)
class Validation:
    """N states by one method, by the grid and by a closed form, as far as there are.

    Attributes:
        spectrum: what is judged; grid: the referee's (None past three dimensions, or where it is what is judged).
        exact: (N,) the closed form, or None.
        wall_shifts: (N,) how far the grid finds that walls raise each level over free space; nan where they are meant.
    """

    spectrum: Spectrum
    grid: Spectrum | None
    exact: np.ndarray | None
    wall_shifts: np.ndarray

    @property
    def spectra(self) -> tuple[Spectrum, ...]:
        """All that were solved."""
        return (self.spectrum,) if self.grid is None else (self.spectrum, self.grid)

    @cached_property
    def comparison(self) -> Comparison | None:
        """The two solved spectra, with the angles between their eigenspaces."""
        return None if self.grid is None else self.spectrum.compare(self.grid)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Each pair there is: the method against the grid, and each of the two against the closed form."""
        pairs = () if self.comparison is None else (self.comparison,)
        exact = self.spectra if self.exact is not None else ()
        return (*pairs, *(s.compare_with_exact(self.wall_shifts) for s in exact))

    @property
    def outcomes(self) -> list[str]:
        """Of each state the worst of all pairs: "differs", "cannot tell" or "agrees"; see `Comparison`."""
        each = zip(*(pair.outcomes for pair in self.comparisons), strict=True)
        return [next(word for word in (DIFFERS, CANNOT_TELL, AGREES) if word in words) for words in each]

    @property
    def agrees(self) -> np.ndarray:
        """(N,) bool: whether all pairs agree."""
        return np.array([outcome == AGREES for outcome in self.outcomes])

    @property
    def ok(self) -> bool:
        """Whether all states agree."""
        return bool(self.agrees.all())

    @property
    def verdicts(self) -> list[str]:
        """Of each state: "agrees", or which pairs do not, by how much, and whether walls explain it."""
        pairs, verdicts = self.comparisons, []
        for k in range(self.spectrum.n_states):
            apart = [pair for pair in pairs if not pair.agrees[k]]
            if not apart:
                loose = [s.method for s in self.spectra if not s.converged[k]]
                verdicts.append("agrees" + (f" ({' and '.join(loose)} not converged)" if loose else ""))
            elif all(pair.raised_by_walls[k] for pair in apart):
                verdicts.append(apart[0].verdicts[k])
            else:
                verdicts.append("; ".join(f"{' - '.join(pair.labels)} {pair.verdicts[k]}" for pair in apart))
        return verdicts

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists, for JSON."""
        record: dict[str, Any] = {
            "problem": self.spectrum.name,
            "units": self.spectrum.units,
            "all_agree": self.ok,
            "agrees": self.agrees.tolist(),
            "outcomes": self.outcomes,
            "verdicts": self.verdicts,
            "exact": None if self.exact is None else self.exact.tolist(),
            "wall_shifts": _plain(self.wall_shifts),
        }
        for s in self.spectra:
            record[s.method] = {
                "energies": s.energies.tolist(),
                "errors": _plain(s.errors),
                "converged": s.converged.tolist(),
                "status": s.status,
            }
        if self.comparison is not None:
            record |= {name: self.comparison.to_dict()[name] for name in ("groups", "angles")}
        return record

    def __str__(self) -> str:
        units = f" [{self.spectrum.units}]" if self.spectrum.units else ""
        head = f"{'level':>5}" + "".join(f"  {s.method + ' energy':>17} {'± error':>8}" for s in self.spectra)
        head += f"  {'exact':>17}" if self.exact is not None else ""
        lines = [f"{self.spectrum.name}: {self.spectrum.n_states} states{units}", head + "  verdict"]
        for k, verdict in enumerate(self.verdicts):
            line = f"{k:>5}" + "".join(f"  {s.energies[k]:>17.11g} {s.errors[k]:>8.1e}" for s in self.spectra)
            line += f"  {self.exact[k]:>17.11g}" if self.exact is not None else ""
            lines.append(f"{line}  {verdict}")
        if self.comparison is not None and np.isfinite(self.comparison.angles).any():
            lines.append(f"largest angle between eigenspaces: {np.nanmax(self.comparison.angles):.1e}")
        lines += [f"{s.method}: {note}" for s in self.spectra for note in s.notes if note.kind == "walls"]
        return "\n".join([*lines, agreement(self.outcomes)])


def _plain(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def validate(
    problem: Problem,
    n_states: int,
    method: Method | None = None,
    *,
    grid: Grid | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Validation:
    """Solve by `method` (by default `Ritz()`, or another variational method where that does not serve) and, up to three
    dimensions, by `grid`; set the closed form beside.

    Costs both solves. Raises ValueError where there is nothing to compare with: no grid and no closed form.
    """
    check_arguments(problem, n_states, method, seed)
    problem = boxed(problem, n_states)
    judged_by_grid = problem.is_boxed_hamiltonian and problem.dim <= 3 and not isinstance(method, Grid)
    if not judged_by_grid and problem.exact is None:
        foreign = [type(part).__name__ for part in without_local_form(problem.hamiltonian, problem.dim)]
        why = f" ({', '.join(foreign)} has no local form)" if foreign else ""
        raise ValueError(
            f"validate: there is nothing to validate against: no grid serves{why}, and no closed form is known."
        )
    reference = solve(problem, n_states, grid or Grid(), seed=seed) if judged_by_grid else None
    method = method or variational_method(problem, n_states)  # `solve`'s own choice may be a grid, too
    spectrum = solve(problem, n_states, method, seed=seed, progress=progress)
    on_grid = spectrum if reference is None else reference
    shifts = np.full(n_states, np.nan) if on_grid.wall_shifts is None else on_grid.wall_shifts
    return Validation(
        spectrum,
        reference,
        None if spectrum.exact is None else spectrum.exact[:n_states],
        np.where(np.isfinite(shifts), shifts, np.nan),
    )
