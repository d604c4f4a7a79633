"""`Spectrum`: energies with errors, residuals, eigenfunctions, by any method; `Comparison` of two."""

from __future__ import annotations

import json
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qspin import shapes
from qspin.domain import Box, Domain, Gaussian, Nodes
from qspin.hamiltonian import Operator
from qspin.region import Region
from qspin.spectral import principal_angles

__all__ = ["Comparison", "Eigenfunctions", "Spectrum"]

FORMAT_VERSION = 1


class Eigenfunctions(ABC):
    """Orthonormal functions on a domain, with a rule to integrate them by."""

    @property
    @abstractmethod
    def n_states(self) -> int:
        """Number of functions, N."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of coordinates."""

    @abstractmethod
    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at points (P, dim) -> (P, N), float64."""

    @abstractmethod
    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Points (P, dim) and weights (P,) with Σ_p w_p f(x_p) ≈ ∫ f dx for products of these functions."""

    @abstractmethod
    def image(self, operator: Operator) -> np.ndarray:
        """(operator ψ_n)(x_p) at the points of `quadrature`, (P, N)."""

    @abstractmethod
    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON-able settings (with a key "kind") and arrays: what `qspin.load` makes the functions from."""


@dataclass(frozen=True)
class Spectrum:
    """The lowest N states of a Hamiltonian, or the first N of another operator.

    Attributes:
        energies: (N,) ascending, in the Hamiltonian's own units; descending where the largest were asked for.
        errors: (N,) claimed error of each energy, same units. `SpIN`: √(statistical² + variational²), one
            sigma of the fresh evaluation and the fall of the energy in a larger space; `Grid`: what its
            resolutions leave open. Walls belong to the problem: their shift is not in the
            error.
        residuals: (N,) ‖Hψ - Eψ‖ with ‖ψ‖ = 1: an eigenvalue lies within this distance of E. For a
            grid: of the matrix eigenproblem.
        converged: (N,) bool; status: one message, which says what to try where something is not.
        eigenfunctions: orthonormal; `spectrum(x)` evaluates them.
        history: what training reported, by name; arrays with one row a record.
        provenance: method, settings, seed, precision, device, versions, seconds.
        potential: V at points (P, dim) -> (P,), for plots, where it is known.
    """

    energies: np.ndarray
    errors: np.ndarray
    residuals: np.ndarray
    converged: np.ndarray
    status: str
    eigenfunctions: Eigenfunctions
    domain: Domain
    name: str = "problem"
    units: str = ""
    method: str = ""
    history: Mapping[str, np.ndarray] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    exact: np.ndarray | None = None
    potential: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def n_states(self) -> int:
        """How many states, N."""
        return len(self.energies)

    def __call__(self, x: Any) -> np.ndarray:
        """Orthonormal eigenfunctions at points x (..., dim) -> (..., N), float64 (with a Bloch wave
        vector complex); zero outside hard walls."""
        points = np.asarray(x, dtype=float)
        dim = self.domain.dim
        if points.ndim == 0 or points.shape[-1] != dim:
            raise ValueError(f"Spectrum: points must have shape (..., {dim}), got {points.shape}.")
        values = self.eigenfunctions(points.reshape(-1, dim))
        return values.reshape(*points.shape[:-1], self.n_states)

    def groups(self, tolerance: float | None = None) -> list[list[int]]:
        """Index groups of levels that are degenerate as far as their errors can tell.

        Neighbours belong together where they differ by no more than three combined errors (or `tolerance`, in
        energy units), so unresolved levels count as degenerate. Warns where `n_states` cuts a degenerate
        level of the closed form; without a closed form a last group is not known to be whole.
        """
        groups = _groups(self.energies, self.errors, tolerance)
        if _cuts_a_level(self, self.n_states):
            warnings.warn(
                f"n_states = {self.n_states} cuts a degenerate level of the closed form: "
                "ask for more states.",
                stacklevel=2,
            )
        return groups

    def expect(self, observable: Operator | Callable[..., Any]) -> np.ndarray:
        """⟨ψ_n|A|ψ_n⟩ (N,), for an operator, or a function of a point x (dim,) -> scalar in jax.numpy."""
        return np.diagonal(self.matrix_element(observable)).copy()

    def matrix_element(self, observable: Operator | Callable[..., Any]) -> np.ndarray:
        """⟨ψ_m|A|ψ_n⟩ (N, N) by the eigenfunctions' own quadrature, with their norms on it divided out."""
        from qspin.hamiltonian import Potential

        operator = observable if isinstance(observable, Operator) else Potential(observable)
        operator.check(self.domain)
        points, weights = self.eigenfunctions.quadrature()
        psi = self.eigenfunctions(points)
        norms = np.sqrt(weights @ np.abs(psi) ** 2)
        element = (psi.conj() * weights[:, None]).T @ self.eigenfunctions.image(operator)
        return element / norms[:, None] / norms

    def compare(self, reference: Spectrum) -> Comparison:
        """Energy differences, and angles between the degenerate subspaces; see `Comparison`."""
        return compare(self, reference)

    def plot_orbitals(self, ax: Any = None, **options: Any) -> Any:
        """Draw the eigenfunctions: over V at their energies in 1D, panels in 2D, slices in 3D."""
        from qspin import plot

        return plot.orbitals(self, ax=ax, **options)

    def plot_levels(self, ax: Any = None, reference: Any = None, **options: Any) -> Any:
        """Draw the level diagram, beside a reference spectrum or exact energies. Returns the axes."""
        from qspin import plot

        return plot.levels(self, ax=ax, reference=reference, **options)

    def plot_marginals(self, **options: Any) -> Any:
        """Draw densities along one coordinate or two, the others integrated over: for many dimensions. Returns the axes."""
        from qspin import plot_marginals

        return plot_marginals.marginals(self, **options)

    def plot_history(self, ax: Any = None, reference: Any = None, **options: Any) -> Any:
        """Draw the energies during training against reference lines. Returns the axes."""
        from qspin import plot

        return plot.history(self, ax=ax, reference=reference, **options)

    def __str__(self) -> str:
        units = f" [{self.units}]" if self.units else ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            group_of = {level: g for g, group in enumerate(self.groups()) for level in group}
        labels = self.provenance.get("labels", [""] * self.n_states)
        lines = [
            f"{self.name}: {self.n_states} states by {self.method}{units}",
            f"{'level':>5}  {'energy':>16}  {'± error':>9}  {'residual':>9}  {'group':>5}  converged"
            + ("  quanta" if any(labels) else ""),
        ]
        for k in range(self.n_states):
            digits = _digits(self.errors[k])
            lines.append(
                f"{k:>5}  {self.energies[k]:>16.{digits}f}  {self.errors[k]:>9.1e}  {self.residuals[k]:>9.1e}"
                f"  {group_of[k]:>5}  {'yes' if self.converged[k] else 'NO':<9}  {labels[k]}".rstrip()
            )
        return "\n".join([*lines, self.status])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write an .npz file that `qspin.load` reads, numbers and JSON, and replace `path` in one step."""
        settings, arrays = self.eigenfunctions.record()
        sampled = _sampled_potential(self)
        meta = {
            "format": FORMAT_VERSION,
            "name": self.name,
            "units": self.units,
            "method": self.method,
            "status": self.status,
            "provenance": dict(self.provenance),
            "domain": describe_domain(self.domain),
            "eigenfunctions": settings,
        }
        contents = {
            "meta": np.array(json.dumps(meta, default=str)),
            "energies": self.energies,
            "errors": self.errors,
            "residuals": self.residuals,
            "converged": self.converged,
            **{f"history/{key}": np.asarray(value) for key, value in self.history.items()},
            **{f"eigenfunctions/{key}": np.asarray(value) for key, value in arrays.items()},
            **({} if self.exact is None else {"exact": self.exact}),
            **({"domain/features": self.domain.features} if isinstance(self.domain, Nodes) else {}),
            **({} if sampled is None else {"potential": sampled}),
        }
        return write_npz(path, contents)


def npz_path(path: str | os.PathLike[str]) -> Path:
    """The path with the ending .npz, appended where it is missing."""
    target = Path(path)
    return target if target.suffix == ".npz" else target.with_name(target.name + ".npz")


def write_npz(path: str | os.PathLike[str], contents: Mapping[str, np.ndarray]) -> Path:
    """Write arrays to `path` by way of a temporary file beside it, so that a reader never sees half."""
    target = npz_path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            np.savez(file, **contents)  # type: ignore[arg-type, unused-ignore]
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def describe_domain(domain: Domain) -> dict[str, Any]:
    """A domain as JSON: of a box corners, periodic axes, and its mask by class name; of a region also its shape, if it is one
    of ours (a function of the user's own cannot be written). The features of nodes are not
    in it; a spectrum's file holds them as an array."""
    if isinstance(domain, Gaussian):
        return {"kind": "Gaussian", "mean": domain.mean, "deviation": domain.deviation}
    if not isinstance(domain, Box):
        return {"kind": type(domain).__name__}
    box = {
        "lower": domain.lower,
        "upper": domain.upper,
        "periodic": domain.periodic,
        "mask": type(domain.mask).__name__,
        **({"wave_vector": domain.wave_vector} if any(domain.wave_vector) else {}),
    }
    if not isinstance(domain, Region):
        return box
    inside = None
    if isinstance(domain.inside, shapes.Disk | shapes.Ring | shapes.Polygon):
        inside = {"class": type(domain.inside).__name__, "settings": asdict(domain.inside)}
    return {"kind": "Region", **box, "corners": domain.corners, "inside": inside}


def _sampled_potential(spectrum: Spectrum) -> np.ndarray | None:
    """V on 1001 points of a one-dimensional box, so that a loaded spectrum can still be drawn over it."""
    if spectrum.potential is None or spectrum.domain.dim != 1 or not isinstance(spectrum.domain, Box):
        return None
    low, high = spectrum.domain.lower[0], spectrum.domain.upper[0]
    x = np.linspace(low, high, 1001)
    inner = np.clip(x, low + 1e-9 * (high - low), high - 1e-9 * (high - low))
    return np.stack([x, spectrum.potential(inner[:, None])])


def energy_scale(energies: np.ndarray) -> float:
    """What an error is small against: the energies' range, or their size where they are all (nearly) one level."""
    size = float(np.abs(energies).max())
    spread = float(np.ptp(energies))
    return spread if spread > 1e-3 * size else size


def _digits(error: float) -> int:
    """Decimals to print, so that the claimed error shows in the last two."""
    return int(np.clip(1 - np.floor(np.log10(max(abs(error), 1e-12))), 1, 12)) if np.isfinite(error) else 6


def _cuts_a_level(spectrum: Spectrum, n: int) -> bool:
    """Whether levels n - 1 and n are known to be degenerate: by the closed form, or by their energies."""
    exact = spectrum.exact
    if exact is not None and len(exact) > n:
        return bool(np.isclose(exact[n], exact[n - 1], rtol=1e-9, atol=1e-12))
    if spectrum.n_states == n:
        return False
    pair = slice(n - 1, n + 1)
    return len(_groups(spectrum.energies[pair], spectrum.errors[pair], None)) == 1


def _groups(energies: np.ndarray, errors: np.ndarray, tolerance: float | None) -> list[list[int]]:
    floor = 1e-9 * np.abs(energies).max(initial=0.0)  # rounding
    groups: list[list[int]] = [[0]]
    for k in range(1, len(energies)):
        allowed = tolerance if tolerance is not None else max(3 * np.hypot(errors[k - 1], errors[k]), floor)
        if abs(energies[k] - energies[k - 1]) <= allowed:
            groups[-1].append(k)
        else:
            groups.append([k])
    return groups


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
        own, ref = self.labels
        exact = self.exact
        group_of = {level: g for g, group in enumerate(self.groups) for level in group}
        head = f"{'level':>5}  {own + ' energy':>16}  {'± error':>8}  {ref + ' energy':>16}  {'± error':>8}"
        head += f"  {'difference':>10}"
        if exact is not None:
            head += f"  {'exact':>13}  {own + ' off by':>11}"
        lines = [head + f"  {'group':>5}  {'angle':>7}  verdict"]
        own_errors = self.errors if self.own_errors is None else self.own_errors
        ref_errors = self.errors if self.reference_errors is None else self.reference_errors
        for k, difference in enumerate(self.differences):
            angle = self.angles[group_of[k]]
            line = (
                f"{k:>5}  {self.energies[k]:>16.8g}  {own_errors[k]:>8.1e}"
                f"  {self.reference_energies[k]:>16.8g}  {ref_errors[k]:>8.1e}  {difference:>+10.1e}"
            )
            if exact is not None:
                line += f"  {exact[k]:>13.8g}  {self.energies[k] - exact[k]:>+11.1e}"
            with np.errstate(divide="ignore"):  # an error of zero
                off = abs(difference) / self.errors[k]
            verdict = "agrees" if self.agrees[k] else f"DIFFERS by {off:.1f} errors"
            lines.append(
                line + f"  {group_of[k]:>5}  {'-' if np.isnan(angle) else f'{angle:.1e}':>7}  {verdict}"
            )
        agreeing = int(self.agrees.sum())
        lines.append(f"{agreeing} of {len(self.agrees)} levels agree within three combined errors.")
        return "\n".join(lines)


def _place(domain: Domain) -> Any:
    """What two domains must share; the mask of a box is how a method meets its walls."""
    if not isinstance(domain, Box):
        return domain
    return (domain.lower, domain.upper, domain.periodic, domain.wave_vector)


def compare(spectrum: Spectrum, reference: Spectrum) -> Comparison:
    """Compare two spectra of one problem.

    Eigenspaces are compared on the reference's quadrature: each group's functions are orthonormalised there,
    and the largest principal angle between the spans is reported. Cost: evaluating both at those points.
    Raises ValueError where the domains differ.
    """
    if _place(spectrum.domain) != _place(reference.domain):
        raise ValueError(
            f"compare: the spectra live on different domains, {spectrum.domain!r} and {reference.domain!r}."
        )
    n = min(spectrum.n_states, reference.n_states)
    own, ref = spectrum.errors[:n], reference.errors[:n]
    # A level is in a group where either spectrum cannot tell it from its neighbour.
    gaps = np.minimum(*(np.abs(np.diff(s.energies[:n])) for s in (spectrum, reference)))
    width = 3 * np.maximum(np.hypot(own[1:], own[:-1]), np.hypot(ref[1:], ref[:-1]))
    if spectrum.exact is not None:
        gaps = np.where(np.isclose(np.diff(spectrum.exact[:n]), 0, atol=1e-9), 0.0, gaps)
    breaks = np.flatnonzero(gaps > np.maximum(width, 1e-9 * np.abs(reference.energies[:n]).max())) + 1
    groups = [[int(level) for level in group] for group in np.split(np.arange(n), breaks)]

    points, weights = reference.eigenfunctions.quadrature()
    root = np.sqrt(weights)[:, None]
    a, b = root * spectrum.eigenfunctions(points)[:, :n], root * reference.eigenfunctions(points)[:, :n]
    angles = np.array(
        [principal_angles(np.linalg.qr(a[:, g])[0].conj().T @ np.linalg.qr(b[:, g])[0])[-1] for g in groups]
    )
    if _cuts_a_level(spectrum, n) or _cuts_a_level(reference, n):
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
