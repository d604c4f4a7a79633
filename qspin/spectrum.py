"""`Spectrum`: energies with errors, residuals, eigenfunctions, by any method; `Comparison` of two."""

from __future__ import annotations

import json
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qspin import shapes
from qspin.domain import Box, Domain, Gaussian, Nodes
from qspin.hamiltonian import Operator
from qspin.region import Region
from qspin.spectral import principal_angles
from qspin.tensor_grid import GridValues, tensor_axes, tensor_points

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
        """Values at points (P, dim) -> (P, N), float64, or complex."""

    @abstractmethod
    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Points (P, dim) and weights (P,) with Σ_p w_p f(x_p) ≈ ∫ f dx for products of these functions."""

    @abstractmethod
    def image(self, operator: Operator) -> np.ndarray:
        """(operator ψ_n)(x_p) at the points of `quadrature`, (P, N)."""

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        """Each function times a number, factors (N,), real or complex. Those that hold coefficients multiply them instead."""
        from qspin.rotation import Rotated

        return Rotated(self, np.diag(factors))

    @abstractmethod
    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON-able settings (with a key "kind") and arrays: what `qspin.load` makes the functions from."""


@dataclass(frozen=True)
class Spectrum:
    """The lowest N states of a Hamiltonian, or the first N of another operator.

    `print(spectrum)` prints a table, notebooks show it: energy ± error, residual, degenerate group, and whether the state
    converged, with the reason why not as far as one is known. Methods evaluate, select or convert; none changes the
    spectrum. `help(qspin.Spectrum.rotate)` and the others say what each costs and raises.

    | asked | by |
    |---|---|
    | ψ_n(x), |ψ_n(x)|² at points; on a tensor grid | `spectrum(x)`, `density`, `on_grid` |
    | energies and errors in another unit | `energies_in`, `errors_in` |
    | ⟨A⟩, ⟨ψ_m|A|ψ_n⟩ | `expect`, `matrix_element` |
    | degenerate levels; states of good quantum number in them | `groups`, `rotate` |
    | agreement with another spectrum | `compare` |
    | tables for pandas, xarray | `to_dataframe`, `to_xarray` |
    | overlaps, with another spectrum | `overlap`, `plot_overlap` |
    | pictures of states; a film | `plot_orbitals`, `plot_isosurfaces`, `plot_marginals`; `animate` |
    | pictures of energies | `plot_levels`, `plot_history`, `plot_errors` |
    | a page to hand on | `report` |
    | a file, which `qspin.load` reads | `save` |

    Eigenfunctions are orthonormal, ∫ ψ_m* ψ_n dx = δ_mn, and their signs are the same by every method: ∫ ψ|ψ| g dx > 0, for a
    g that grows along every axis, so that the outermost lobe towards large coordinates is positive (complex functions: real
    and positive on the whole). `qspin.phases` has g. In a degenerate level any orthonormal basis is as good;
    `rotate` chooses one.

    Attributes:
        energies: (N,) ascending, in the Hamiltonian's own units; descending where the largest were asked for. After `rotate`
            the states of one degenerate group are in the order of their quantum numbers instead.
        errors: (N,) claimed error of each energy, same units. `SpIN`: √(statistical² + variational²), one
            sigma of the fresh evaluation and the fall of the energy in a larger space; `Grid`: what its
            resolutions leave open. Walls belong to the problem: their shift is not in the
            error.
        residuals: (N,) ‖Hψ - Eψ‖ with ‖ψ‖ = 1: an eigenvalue lies within this distance of E. For a
            grid: of the matrix eigenproblem.
        converged: (N,) bool; status: one message, which says what to try where something is not.
        eigenfunctions: orthonormal; `spectrum(x)` evaluates them.
        domain: of the points x. Where a problem was posed in `Space`, the box that was found for it.
        units: of the energies, as the problem declares them; `energies_in` understands "hartree", "eV", "cm⁻¹" and others.
        method: name of the method, for tables.
        history: what training reported, by name; arrays with one row a record.
        provenance: method, settings, seed, precision, device, versions, seconds; "labels", quantum numbers as text, where
            states have them.
        exact: the closed form's energies, one more than N where it has one more; None without a closed form.
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
        """Orthonormal eigenfunctions at points x (..., dim) -> (..., N), float64 (with a Bloch wave vector, or of good angular
        momentum, complex); zero outside hard walls. Raises ValueError for points of another dim."""
        points = np.asarray(x, dtype=float)
        dim = self.domain.dim
        if points.ndim == 0 or points.shape[-1] != dim:
            raise ValueError(f"Spectrum: points must have shape (..., {dim}), got {points.shape}.")
        values = self.eigenfunctions(points.reshape(-1, dim))
        return values.reshape(*points.shape[:-1], self.n_states)

    def density(self, x: Any, weights: Any = None) -> np.ndarray:
        """|ψ_n|² at points x (..., dim) -> (..., N); with occupations `weights` (N,), their sum Σ_n weights_n |ψ_n|² (...).

        In 1/units of x^dim: each integrates to one. Costs what `spectrum(x)` does. Raises ValueError for points of another dim,
        or weights that are not N finite numbers.
        """
        density = np.abs(self(x)) ** 2
        if weights is None:
            return density
        occupations = np.asarray(weights, dtype=float)
        if occupations.shape != (self.n_states,) or not np.isfinite(occupations).all():
            raise ValueError(
                f"Spectrum.density: weights must be {self.n_states} finite numbers, got {weights!r}."
            )
        return density @ occupations

    def on_grid(self, points: Any = 101) -> GridValues:
        """All states on a tensor grid over the box.

        Args:
            points: how many an axis: an integer for all, or one entry an axis, each an integer or an ascending array of
                coordinates. Numbered points are equally spaced over the box, walls included; on periodic axes the end,
                which is the beginning, is left out.

        Returns a frozen `GridValues` with `axes`, a tuple of dim arrays, and `values` of shape (n_0, …, n_{dim-1}, N): axis i
        runs along x_i, the last over the states. Time and memory of all n_0 ⋯ n_{dim-1} points. Raises ValueError for a domain
        that is no Box, or for points that are none of these.
        """
        axes = tensor_axes(self.domain, points)
        return GridValues(axes, self(tensor_points(axes)))

    def energies_in(self, unit: Any) -> np.ndarray:
        """The energies (N,) in another unit: "hartree", "rydberg", "eV", "meV", "cm⁻¹" (also "cm^-1", "cm-1"), "J", "kJ/mol",
        "kcal/mol", "K", "GHz", "THz" and more, `qspin.units.known_units()`.

        Raises ValueError for a unit that is not known, or where the problem declared none (`Problem(..., units="hartree")`).
        """
        return self.energies * self._factor("energies_in", unit)

    def errors_in(self, unit: Any) -> np.ndarray:
        """The errors (N,) in another unit; see `energies_in`."""
        return self.errors * self._factor("errors_in", unit)

    def _factor(self, asker: str, unit: Any) -> float:
        from qspin import units

        if not self.units:
            raise ValueError(
                f"Spectrum.{asker}: the energies of {self.name!r} have no declared unit; give it to the problem, as "
                'Problem(..., units="hartree"), or to the spectrum, as dataclasses.replace(spectrum, units="hartree").'
            )
        return units.factor(self.units, unit)

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

    def rotate(self, by: Any, groups: Any = None, tolerance: Any = 0.1) -> Spectrum:
        """A spectrum whose states have good quantum numbers: within each degenerate group, eigenfunctions of an operator.

        Args:
            by: a symmetry of `qspin.symmetry`, such as `parity()`, `exchange(0, 1)` or `angular_momentum()`; an `Operator`; a
                function of a point x (dim,) -> scalar, which multiplies; or a map of points x -> g(x) (dim,), which acts as
                ψ(x) -> ψ(g(x)). Of several, in a list, each decides where those before it agree: then they should commute.
            groups: lists of states; by default `groups()`. States that are not named stay as they are.
            tolerance: share of the norm that a group may lose before it is warned of.

        States of a group are sorted by quantum number, ascending. Tables print the numbers; provenance holds them as text in
        "labels" and as numbers in "quantum_numbers", with the norm that left each group in "leaving". Energies of the new
        states are the old ones' weighted means, errors the largest of them. Functions of good angular momentum are complex.

        Warns where the operator leads states out of their group: then it does not commute with H, or `n_states` cuts the
        group, and their numbers are not good. Costs the states on their quadrature, once more for each symmetry. Raises
        TypeError or ValueError for what is none of these, or does not fit the domain.

        Example: `spectrum.rotate(by=[qspin.symmetry.parity(), qspin.symmetry.angular_momentum()])` for an atom.
        """
        from qspin import rotation

        return rotation.rotated(self, by, groups, tolerance)

    def to_dataframe(self) -> Any:
        """A pandas.DataFrame, one row a level: energy, error, residual, converged, group, and exact and quanta where known.

        Its `attrs` hold name, method, units and status. Raises ImportError without pandas, saying what to install.
        """
        from qspin import tables

        return tables.dataframe(self)

    def to_xarray(self, points: Any = None) -> Any:
        """An xarray.Dataset along `level`: energy, error, residual, converged, group, and exact and quanta where known.

        With `points`, as `on_grid` takes them, also the eigenfunctions `psi` along x0, x1, …, level. Its attributes are name,
        method, units and status. Raises ImportError without xarray, saying what to install; ValueError as `on_grid`.
        """
        from qspin import tables

        return tables.dataset(self, points)

    def overlap(self, reference: Spectrum) -> np.ndarray:
        """⟨reference ψ_m|ψ_n⟩ (M, N) by the reference's quadrature, with the norms on it divided out.

        Inside a degenerate level it is any unitary matrix. Cost: evaluating both at those points. Raises ValueError where the
        domains differ.
        """
        _check_same_domain("overlap", self, reference)
        points, weights = reference.eigenfunctions.quadrature()
        root = np.sqrt(weights)[:, None]
        own, other = (root * s.eigenfunctions(points) for s in (self, reference))
        norms = np.linalg.norm(other, axis=0)[:, None] * np.linalg.norm(own, axis=0)
        return other.conj().T @ own / norms

    def compare(self, reference: Spectrum) -> Comparison:
        """Energy differences, and angles between the degenerate subspaces; see `Comparison`."""
        return compare(self, reference)

    def plot_orbitals(self, ax: Any = None, **options: Any) -> Any:
        """Draw the eigenfunctions: over V at their energies in 1D, panels in 2D, slices in 3D."""
        from qspin import plot

        return plot.orbitals(self, ax=ax, **options)

    def plot_isosurfaces(self, ax: Any = None, **options: Any) -> Any:
        """Draw the eigenfunctions in 3D as surfaces, red where positive and blue where negative. Returns the axes."""
        from qspin import plot

        return plot.isosurfaces(self, ax=ax, **options)

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

    def plot_errors(self, ax: Any = None, reference: Any = None, **options: Any) -> Any:
        """Draw how far the energies during training were from known ones, on a logarithmic scale. Returns the axes."""
        from qspin import plot

        return plot.history_errors(self, ax=ax, reference=reference, **options)

    def plot_overlap(self, reference: Spectrum, ax: Any = None, **options: Any) -> Any:
        """Draw |⟨reference ψ_m|ψ_n⟩|², degenerate levels framed. Returns the axes."""
        from qspin import plot

        return plot.overlap(self, reference, ax=ax, **options)

    def animate(self, coefficients: Any, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write Σ c_n exp(-i E_n t) ψ_n in time as a film, .gif or .mp4; see `qspin.animation.animate`."""
        from qspin import animation

        return animation.animate(self, coefficients, path, **options)

    def report(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write one HTML page that opens offline, with table, pictures, settings and provenance; see `qspin.report.report`."""
        from qspin import report

        return report.report(self, path, **options)

    def __str__(self) -> str:
        from qspin import tables

        return tables.spectrum_text(self)

    def _repr_html_(self) -> str:
        from qspin import tables

        return tables.spectrum_html(self)

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


def partial_path(target: Path) -> Path:
    """Where this process writes what is to become `target`."""
    return target.with_name(f".{target.name}.{os.getpid()}.part")


def write_npz(
    path: str | os.PathLike[str], contents: Mapping[str, np.ndarray], previous: Path | None = None
) -> Path:
    """Write arrays to `path` by way of a temporary file beside it, so that a reader never sees half, not even after a power
    cut. A file that was there is kept as `previous`, where that is given: at every moment one of the two is whole."""
    target = npz_path(path)
    partial = partial_path(target)
    try:
        with open(partial, "wb") as file:
            np.savez(file, **contents)  # type: ignore[arg-type, unused-ignore]
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and target.exists():
            os.replace(target, previous)
        os.replace(partial, target)
        _sync_folder(target.parent)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _sync_folder(folder: Path) -> None:
    """Force names to disk, where the data are. Systems that do not let a folder be opened for that see to it themselves."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
        from qspin import tables

        return tables.comparison_text(self)

    def _repr_html_(self) -> str:
        from qspin import tables

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
    return groups, not (_cuts_a_level(spectrum, n) or _cuts_a_level(reference, n))


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
