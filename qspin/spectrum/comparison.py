"""`Comparison` of two spectra of one problem: energies level by level, eigenspaces group by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qspin.numerics.errors import cuts_a_level
from qspin.numerics.pencil import principal_angles
from qspin.problem.domain import Box, Domain
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Comparison", "compare", "overlap", "shared_groups"]


@dataclass(frozen=True)
class Comparison:
    """Two spectra of one problem, level by level, and their eigenspaces group by group.

    Attributes:
        differences: (n,) energies minus reference energies; n is the smaller number of states.
        errors: (n,) √(error² + reference error²).
        groups: level indices of each degenerate group (levels that either spectrum cannot resolve).
        angles: for each group the largest angle (radians) between the two eigenspaces; nan for the last group
            where it is known to be incomplete: by the closed form, or by the levels of the longer spectrum.
        exact_differences: (n,) energies minus the closed form's, where the problem has one.

    `print(comparison)` prints a table, notebooks show it.
    """

    energies: np.ndarray
    reference_energies: np.ndarray
    errors: np.ndarray
    groups: list[list[int]]
    angles: np.ndarray
    labels: tuple[str, str]
    exact: np.ndarray | None = None
    own_errors: np.ndarray | None = None
    reference_errors: np.ndarray | None = None
    units: str = ""

    @property
    def differences(self) -> np.ndarray:
        """Energies minus reference energies."""
        return self.energies - self.reference_energies

    @property
    def agrees(self) -> np.ndarray:
        """(n,) bool: whether the difference is within three combined errors."""
        return np.abs(self.differences) <= 3 * self.errors

    @property
    def exact_differences(self) -> np.ndarray | None:
        """Energies minus the closed form's."""
        return None if self.exact is None else self.energies - self.exact

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers and lists, for JSON; infinite and undefined numbers become None."""

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
    own, ref = spectrum.errors[:n], reference.errors[:n]
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
        reference_energies=reference.energies[:n],
        errors=np.hypot(own, ref),
        groups=groups,
        angles=angles,
        labels=(spectrum.method, reference.method),
        exact=None if spectrum.exact is None else spectrum.exact[:n],
        own_errors=own,
        reference_errors=ref,
        units=spectrum.units,
    )
