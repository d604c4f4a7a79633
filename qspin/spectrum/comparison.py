"""`Comparison` of two spectra of one problem: energies level by level, eigenspaces group by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qspin.numerics.errors import cuts_a_level, degenerate_groups
from qspin.numerics.pencil import principal_angles
from qspin.problem.domain import Box, Domain
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Comparison", "agreement", "compare", "compare_with_exact", "overlap", "shared_groups"]


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

    energies: np.ndarray
    own_errors: np.ndarray
    reference_energies: np.ndarray
    reference_errors: np.ndarray
    groups: list[list[int]]
    angles: np.ndarray
    labels: tuple[str, str]
    exact: np.ndarray | None = None
    wall_shifts: np.ndarray | None = None
    units: str = ""

    @property
    def differences(self) -> np.ndarray:
        """(n,) energies minus reference energies."""
        return self.energies - self.reference_energies

    @property
    def errors(self) -> np.ndarray:
        """(n,) √(error² + reference error²)."""
        return np.hypot(self.own_errors, self.reference_errors)

    @property
    def deviations(self) -> np.ndarray:
        """(n,) |difference| in combined errors; infinite beside errors of zero, or nan where the difference is zero, too."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(self.differences) / self.errors

    @property
    def agrees(self) -> np.ndarray:
        """(n,) bool: whether the difference is within three combined errors."""
        return np.abs(self.differences) <= 3 * self.errors

    @property
    def raised_by_walls(self) -> np.ndarray:
        """(n,) bool: levels that differ, but by no more than walls explain."""
        if self.wall_shifts is None:
            return np.zeros(len(self.energies), bool)
        allowed = 3 * self.errors + 2 * self.wall_shifts
        explained = (self.differences > 0) & (self.differences <= allowed) & np.isfinite(allowed)
        return ~self.agrees & explained

    @property
    def exact_differences(self) -> np.ndarray | None:
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

        return {
            "labels": list(self.labels),
            "units": self.units,
            "energies": plain(self.energies),
            "errors": plain(self.own_errors),
            "reference_energies": plain(self.reference_energies),
            "reference_errors": plain(self.reference_errors),
            "differences": plain(self.differences),
            "combined_errors": plain(self.errors),
            "agrees": [bool(a) for a in self.agrees],
            "verdicts": list(self.verdicts),
            "summary": self.summary,
            "exact": plain(self.exact),
            "exact_differences": plain(self.exact_differences),
            "groups": self.groups,
            "angles": plain(self.angles),
        }

    def __str__(self) -> str:
        from qspin.spectrum import tables

        return tables.comparison_text(self)

    def _repr_html_(self) -> str:
        from qspin.spectrum import tables

        return tables.comparison_html(self)


def agreement(agrees: np.ndarray) -> str:
    """ "3 of 4 levels agree within three combined errors." """
    return f"{int(agrees.sum())} of {len(agrees)} levels agree within three combined errors."


def _place(domain: Domain) -> Any:
    """What two domains must share; the mask of a box is how a method meets its walls."""
    if not isinstance(domain, Box):
        return domain
    return (domain.lower, domain.upper, domain.periodic, domain.wave_vector)


def _check_same_domain(caller: str, spectrum: Spectrum, reference: Spectrum) -> None:
    if _place(spectrum.domain) != _place(reference.domain):
        raise ValueError(
            f"{caller}: the spectra live on different domains, {spectrum.domain!r} and {reference.domain!r}."
        )


def overlap(spectrum: Spectrum, reference: Spectrum) -> np.ndarray:
    """⟨reference ψ_m|ψ_n⟩ (M, N); see `Spectrum.overlap`."""
    _check_same_domain("overlap", spectrum, reference)
    points, weights = reference.eigenfunctions.quadrature()
    root = np.sqrt(weights)[:, None]
    own, other = (root * s.eigenfunctions(points) for s in (spectrum, reference))
    norms = np.linalg.norm(other, axis=0)[:, None] * np.linalg.norm(own, axis=0)
    return other.conj().T @ own / norms


def shared_groups(spectrum: Spectrum, reference: Spectrum) -> tuple[list[list[int]], bool]:
    """Groups of levels that either spectrum cannot tell apart, and whether the last one is not known to be cut."""
    n = min(spectrum.n_states, reference.n_states)
    own, ref = spectrum.errors[:n], reference.errors[:n]
    gaps = np.minimum(*(np.abs(np.diff(s.energies[:n])) for s in (spectrum, reference)))
    width = 3 * np.maximum(np.hypot(own[1:], own[:-1]), np.hypot(ref[1:], ref[:-1]))
    if spectrum.exact is not None:
        gaps = np.where(np.isclose(np.diff(spectrum.exact[:n]), 0, atol=1e-9), 0.0, gaps)
    breaks = np.flatnonzero(gaps > np.maximum(width, 1e-9 * np.abs(reference.energies[:n]).max())) + 1
    groups = [[int(level) for level in group] for group in np.split(np.arange(n), breaks)]
    return groups, not any(cuts_a_level(n, s.energies, s.errors, s.exact) for s in (spectrum, reference))


def compare(spectrum: Spectrum, reference: Spectrum) -> Comparison:
    """Compare two spectra of one problem.

    Eigenspaces are compared on the reference's quadrature: each group's functions are orthonormalised there,
    and the largest principal angle between the spans is reported. Cost: evaluating both at those points.
    Raises ValueError where the domains differ.
    """
    _check_same_domain("compare", spectrum, reference)
    groups, whole = shared_groups(spectrum, reference)
    n = min(spectrum.n_states, reference.n_states)
    points, weights = reference.eigenfunctions.quadrature()
    root = np.sqrt(weights)[:, None]
    a, b = root * spectrum.eigenfunctions(points)[:, :n], root * reference.eigenfunctions(points)[:, :n]
    angles = np.array(
        [principal_angles(np.linalg.qr(a[:, g])[0].conj().T @ np.linalg.qr(b[:, g])[0])[-1] for g in groups]
    )
    if not whole:
        angles[-1] = np.nan
    return Comparison(
        energies=spectrum.energies[:n],
        own_errors=spectrum.errors[:n],
        reference_energies=reference.energies[:n],
        reference_errors=reference.errors[:n],
        groups=groups,
        angles=angles,
        labels=(spectrum.method, reference.method),
        exact=None if spectrum.exact is None else spectrum.exact[:n],
        units=spectrum.units,
    )


def compare_with_exact(spectrum: Spectrum, wall_shifts: np.ndarray | None = None) -> Comparison:
    """A spectrum beside its closed form, which is taken to be of free space: `wall_shifts` (N,), by default the spectrum's own,
    say how far walls raise it. Raises ValueError where there is no closed form of as many states."""
    n = spectrum.n_states
    if spectrum.exact is None or len(spectrum.exact) < n:
        raise ValueError(f"compare: {spectrum.name!r} has no closed form of {n} states.")
    groups = degenerate_groups(spectrum.energies, spectrum.errors)
    return Comparison(
        energies=spectrum.energies,
        own_errors=spectrum.errors,
        reference_energies=spectrum.exact[:n],
        reference_errors=np.zeros(n),
        groups=groups,
        angles=np.full(len(groups), np.nan),
        labels=(spectrum.method, "exact"),
        wall_shifts=spectrum.wall_shifts if wall_shifts is None else wall_shifts,
        units=spectrum.units,
    )
