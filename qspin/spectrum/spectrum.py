"""`Spectrum`: energies with errors, residuals, eigenfunctions, by any method."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Inexact

from qspin.numerics.checks import real_number, shown, table
from qspin.numerics.errors import cuts_a_level, degenerate_groups
from qspin.numerics.pencil import principal_angles
from qspin.numerics.registry import Registry
from qspin.problem import units
from qspin.problem.domain import Box, Domain
from qspin.problem.hamiltonian import Operator, Potential
from qspin.spectrum.comparison import Comparison
from qspin.spectrum.eigenfunctions import Eigenfunctions, GridValues, tensor_axes, tensor_points
from qspin.spectrum.notes import Note, rendered

__all__ = ["VIEWS", "Spectrum", "shared_groups"]

# What draws a `Spectrum`: the functions behind its methods `plot_…`, `animate` and `report`, by the name of the method. They
# live in layers above this one, which register them; none is imported before it is called.
VIEWS = Registry("picture", "qspin.views")


class View:
    """A method of `Spectrum` that is the function of the same name in `VIEWS`, with its documentation."""

    def __init__(self, what: str) -> None:
        self.__doc__ = what

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, spectrum: Any, owner: type) -> Any:
        return VIEWS[self.name] if spectrum is None else MethodType(VIEWS[self.name], spectrum)


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
    | agreement with another spectrum; with the closed form | `compare`; `compare_with_exact` |
    | tables for pandas, xarray | `to_dataframe`, `to_xarray` |
    | overlaps, with another spectrum | `overlap`, `plot_overlap` |
    | pictures of states; a film | `plot_orbitals`, `plot_isosurfaces`, `plot_marginals`; `animate` |
    | pictures of energies | `plot_levels`, `plot_history`, `plot_errors` |
    | a page to hand on | `report` |
    | a file, which `qspin.load` reads | `save` |

    Eigenfunctions are orthonormal, ∫ ψ_m* ψ_n dx = δ_mn, and their signs are the same by every method: ∫ ψ|ψ| g dx > 0, for a
    g that grows along every axis, so that the outermost lobe towards large coordinates is positive (complex functions: real
    and positive on the whole). `qspin.spectrum.rotation` has g. In a degenerate level any orthonormal basis is as good;
    `rotate` chooses one.

    Attributes:
        energies: (N,) ascending, in the Hamiltonian's own units; descending where the largest were asked for. After `rotate`
            the states of one degenerate group are in the order of their quantum numbers instead.
        errors: (N,) claimed error of each energy, same units. `SpIN`: √(statistical² + variational²), one
            sigma of the fresh evaluation and the fall of the energy in a larger space; `Grid`: what its
            resolutions leave open. Walls belong to the problem: their shift is not in the
            error.
        residuals: (N,) ‖Hψ - Eψ‖ with ‖ψ‖ = 1. `Ritz`, `SampledRitz` and `SpIN` evaluate it on points that they did not solve
            on: up to these points' noise an eigenvalue of H lies within this distance of E. `ProductBasis` has it exactly, for
            the polynomial that stands for V. Those of `Grid` are residuals of its matrix: an eigenvalue of the *matrix* lies
            that near; what the mesh leaves out is in `errors` alone.
        converged: (N,) bool.
        notes: what the method says beside the numbers, as data (`Note`); `status` is one message made of them.
        eigenfunctions: orthonormal; `spectrum(x)` evaluates them.
        domain: of the points x. Where a problem was posed in `Space`, the box that was found for it.
        units: of the energies, as the problem declares them; `energies_in` understands "hartree", "eV", "cm⁻¹" and others.
        method: name of the method, for tables.
        history: what training reported, by name; arrays with one row a record.
        provenance: method, settings, seed, precision, device, versions, seconds; versions of libraries.
        labels: (N,) quantum numbers as text, where states have them; else empty.
        wall_shifts: (N,) how far hard walls raise each energy over that of free space, about, in energy units; infinite where
            the walls hold the state; None where the method does not tell.
        exact: the closed form's energies, one more than N where it has one more; None without a closed form.
        potential: V at points (P, dim) -> (P,), for plots, where it is known; from a file, interpolated between samples.
    """

    energies: Float[np.ndarray, " states"]
    errors: Float[np.ndarray, " states"]
    residuals: Float[np.ndarray, " states"]
    converged: Bool[np.ndarray, " states"]
    eigenfunctions: Eigenfunctions
    domain: Domain
    notes: tuple[Note, ...] = ()
    name: str = "problem"
    units: str = ""
    method: str = ""
    history: Mapping[str, np.ndarray] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    exact: Float[np.ndarray, " levels"] | None = None
    potential: Callable[[np.ndarray], np.ndarray] | None = None
    labels: tuple[str, ...] = ()
    wall_shifts: Float[np.ndarray, " states"] | None = None

    @property
    def n_states(self) -> int:
        """How many states, N."""
        return len(self.energies)

    @property
    def status(self) -> str:
        """One message: whether all states converged, and each note with what to try."""
        return rendered(self.notes, self.converged)

    def __call__(self, x: Any) -> Inexact[np.ndarray, "*points states"]:
        """Orthonormal eigenfunctions at points x (..., dim) -> (..., N), float64 (with a Bloch wave vector, or of good angular
        momentum, complex); zero outside hard walls. Raises ValueError for points of another dim."""
        points, dim = table("Spectrum: x", x), self.domain.dim
        if points.ndim == 0 or points.shape[-1] != dim or np.iscomplexobj(points):
            raise ValueError(
                f"Spectrum: points must have shape (..., {dim}), got {points.shape} of {points.dtype}."
            )
        values = self.eigenfunctions(points.reshape(-1, dim))
        return values.reshape(*points.shape[:-1], self.n_states)

    def density(self, x: Any, weights: Any = None) -> Float[np.ndarray, "..."]:
        """|ψ_n|² at points x (..., dim) -> (..., N); with occupations `weights` (N,), their sum Σ_n weights_n |ψ_n|² (...).

        In 1/units of x^dim: each integrates to one. Costs what `spectrum(x)` does. Raises ValueError for points of another dim,
        or weights that are not N finite numbers.
        """
        density = np.abs(self(x)) ** 2
        if weights is None:
            return density
        occupations = table("Spectrum.density: weights", weights)
        if occupations.shape != (self.n_states,) or not np.isfinite(occupations).all():
            raise ValueError(
                f"Spectrum.density: weights must be {self.n_states} finite numbers, got {shown(weights)}."
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
        axes = tensor_axes(self.domain, points, self.n_states)
        return GridValues(axes, self(tensor_points(axes)))

    def energies_in(self, unit: Any) -> Float[np.ndarray, " states"]:
        """The energies (N,) in another unit: "hartree", "rydberg", "eV", "meV", "cm⁻¹" (also "cm^-1", "cm-1"), "J", "kJ/mol",
        "kcal/mol", "K", "GHz", "THz" and more, `qspin.units.known_units()`.

        Raises ValueError for a unit that is not known, or where the problem declared none (`Problem(..., units="hartree")`).
        """
        return self.energies * self._factor("energies_in", unit)

    def errors_in(self, unit: Any) -> Float[np.ndarray, " states"]:
        """The errors (N,) in another unit; see `energies_in`."""
        return self.errors * self._factor("errors_in", unit)

    def _factor(self, caller: str, unit: Any) -> float:
        if not self.units:
            raise ValueError(
                f"Spectrum.{caller}: the energies of {self.name!r} have no declared unit; give it to the problem, as "
                'Problem(..., units="hartree"), or to the spectrum, as dataclasses.replace(spectrum, units="hartree").'
            )
        return units.factor(self.units, unit)

    def groups(self, tolerance: Any = None) -> list[list[int]]:
        """Index groups of levels that are degenerate as far as their errors can tell.

        Neighbours belong together where they differ by no more than three combined errors (or `tolerance`, in
        energy units), so unresolved levels count as degenerate. Warns where `n_states` cuts a degenerate
        level of the closed form; without a closed form a last group is not known to be whole. Raises TypeError for a
        tolerance that is no number, ValueError for a negative one.
        """
        if tolerance is not None:
            tolerance = real_number("Spectrum.groups: tolerance", tolerance, least=0)
        groups = degenerate_groups(self.energies, self.errors, tolerance)
        if cuts_a_level(self.n_states, self.energies, self.errors, self.exact):
            warnings.warn(
                f"n_states = {self.n_states} cuts a degenerate level of the closed form: "
                "ask for more states.",
                stacklevel=2,
            )
        return groups

    def expect(self, observable: Operator | Callable[..., Any]) -> Inexact[np.ndarray, " states"]:
        """⟨ψ_n|A|ψ_n⟩ (N,), for an operator, or a function of a point x (dim,) -> scalar in jax.numpy."""
        return np.diagonal(self.matrix_element(observable)).copy()

    def matrix_element(
        self, observable: Operator | Callable[..., Any]
    ) -> Inexact[np.ndarray, "states states"]:
        """⟨ψ_m|A|ψ_n⟩ (N, N) by the eigenfunctions' own quadrature, with their norms on it divided out."""
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

        States of a group are sorted by quantum number, ascending. Tables print the numbers, which `labels` holds
        as text, and provenance as numbers in "quantum_numbers", with the norm that left each group in "leaving". Energies
        of the new states are the old ones' weighted means, errors the largest of them. Functions of good angular momentum
        are complex.

        Warns where the operator leads states out of their group: then it does not commute with H, or `n_states` cuts the
        group, and their numbers are not good. Costs the states on their quadrature, once more for each symmetry. Raises
        TypeError or ValueError for what is none of these, or does not fit the domain.

        Example: `spectrum.rotate(by=[qspin.symmetry.parity(), qspin.symmetry.angular_momentum()])` for an atom.
        """
        from qspin.spectrum import rotation

        return rotation.rotated(self, by, groups, tolerance)

    def to_dataframe(self) -> Any:
        """A pandas.DataFrame, one row a level: energy, error, residual, converged, group, and exact and quanta where known.

        Its `attrs` hold name, method, units and status. Raises ImportError without pandas, saying what to install.
        """
        from qspin.spectrum import tables

        return tables.dataframe(self)

    def to_xarray(self, points: Any = None) -> Any:
        """An xarray.Dataset along `level`: energy, error, residual, converged, group, and exact and quanta where known.

        With `points`, as `on_grid` takes them, also the eigenfunctions `psi` along x0, x1, …, level. Its attributes are name,
        method, units and status. Raises ImportError without xarray, saying what to install; ValueError as `on_grid`.
        """
        from qspin.spectrum import tables

        return tables.dataset(self, points)

    def overlap(self, reference: Spectrum) -> Inexact[np.ndarray, "others states"]:
        """⟨reference ψ_m|ψ_n⟩ (M, N) by the reference's quadrature, with the norms on it divided out.

        Inside a degenerate level it is any unitary matrix. Cost: evaluating both at those points. Raises ValueError where the
        domains differ.
        """
        own, other = self._beside("Spectrum.overlap", reference)
        norms = np.linalg.norm(other, axis=0)[:, None] * np.linalg.norm(own, axis=0)
        return other.conj().T @ own / norms

    def compare(self, reference: Spectrum) -> Comparison:
        """Energy differences, and angles between the degenerate subspaces; see `Comparison`.

        Eigenspaces are compared on the reference's quadrature: each group's functions are orthonormalised there, and the
        largest principal angle between the spans is reported. Cost: evaluating both at those points. Raises TypeError for what
        is no spectrum, ValueError where the domains differ.
        """
        own, other = self._beside("Spectrum.compare", reference)
        groups, whole = shared_groups(self, reference)
        n = min(self.n_states, reference.n_states)
        angles = np.full(len(groups), np.nan)
        for i, group in enumerate(groups if whole else groups[:-1]):
            if np.isfinite(own[:, group]).all() and np.isfinite(other[:, group]).all():
                first, second = (np.linalg.qr(functions[:, group])[0] for functions in (own, other))
                angles[i] = principal_angles(first.conj().T @ second)[-1]
        return Comparison(
            energies=self.energies[:n],
            own_errors=self.errors[:n],
            reference_energies=reference.energies[:n],
            reference_errors=reference.errors[:n],
            groups=groups,
            angles=angles,
            labels=(self.method, reference.method),
            exact=None if self.exact is None else self.exact[:n],
            units=self.units,
            shared=_shared(self, reference),
        )

    def compare_with_exact(self, wall_shifts: Float[np.ndarray, " states"] | None = None) -> Comparison:
        """Energies beside those of the closed form, which is taken to be of free space: `wall_shifts` (N,), by default the
        spectrum's own, say how far walls raise them. Raises ValueError where there is no closed form of as many states."""
        n = self.n_states
        if self.exact is None or len(self.exact) < n:
            raise ValueError(f"compare: {self.name!r} has no closed form of {n} states.")
        groups = degenerate_groups(self.energies, self.errors)
        return Comparison(
            energies=self.energies,
            own_errors=self.errors,
            reference_energies=self.exact[:n],
            reference_errors=np.zeros(n),
            groups=groups,
            angles=np.full(len(groups), np.nan),
            labels=(self.method, "exact"),
            wall_shifts=self.wall_shifts if wall_shifts is None else wall_shifts,
            units=self.units,
        )

    def bounds(self, problem: Any = None, width: float = 1e-9) -> Any:
        """Intervals [lower_k, upper_k] that contain the N lowest levels of the Hamiltonian, with their index: a `Bounds`.

        For smooth V in a box with walls, of one or two dimensions, whatever method solved: upper bounds by Rayleigh-Ritz, lower
        bounds by Lehmann's method, with functions of their own. `problem` is needed for a spectrum from a file; `width` is the
        width that is aimed at, relative to the energies. The intervals hold up to margins for rounding errors in double
        precision, which they include and `rounding` states. Takes seconds to minutes. Raises ValueError for what it does not
        serve, by name.
        """
        return VIEWS["bounds"](self, problem, width)

    def _beside(
        self, caller: str, reference: Spectrum
    ) -> tuple[Inexact[np.ndarray, "points states"], Inexact[np.ndarray, "points others"]]:
        """The functions of both on the reference's quadrature, times the roots of its weights."""
        if not isinstance(reference, Spectrum):
            raise TypeError(f"{caller}: reference must be a qspin.Spectrum, got {shown(reference)}.")
        if _place(self.domain) != _place(reference.domain):
            raise ValueError(
                f"{caller}: the spectra live on different domains, {self.domain!r} and {reference.domain!r}."
            )
        points, weights = reference.eigenfunctions.quadrature()
        root = np.sqrt(weights)[:, None]
        return root * self.eigenfunctions(points), root * reference.eigenfunctions(points)

    plot_orbitals = View("over V at their energies in 1D, on panels in 2D, on planes in 3D")
    plot_isosurfaces = View("in 3D, as surfaces, red where positive and blue where negative")
    plot_marginals = View("densities along one coordinate or two, the others integrated over")
    plot_levels = View("the level diagram, beside a reference spectrum or exact energies")
    plot_history = View("the energies during training, against reference lines")
    plot_errors = View("how far the energies during training were from known ones")
    plot_overlap = View("|⟨reference ψ_m|ψ_n⟩|², degenerate levels framed")
    animate = View("Σ c_n exp(-i E_n t) ψ_n in time, as a film, .gif or .mp4")
    report = View("one HTML page with table, pictures, settings and provenance, that opens offline")

    def __str__(self) -> str:
        from qspin.spectrum import tables

        table = tables.spectrum_table(self)
        return "\n".join([table.title, *table.lines(), table.foot])

    def _repr_html_(self) -> str:
        from qspin.spectrum import tables

        return tables.spectrum_table(self, with_exact=True).html()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write an .npz file that `qspin.load` reads, numbers and JSON, and replace `path` in one step.

        Of V it holds samples, up to three dimensions, so that the file can be drawn: half a megabyte at most. Raises
        ValueError, before anything is written, where the class of the eigenfunctions is not registered.
        """
        from qspin.spectrum import store

        return store.save(self, path)


def _place(domain: Domain) -> Any:
    """What two domains must share; the mask of a box is how a method meets its walls."""
    if not isinstance(domain, Box):
        return domain
    return (domain.lower, domain.upper, domain.periodic, domain.wave_vector)


def _shared(spectrum: Spectrum, reference: Spectrum) -> str:
    """A sentence on what two spectra have in common, that both may be wrong by; empty where nothing is known."""
    if spectrum.method == reference.method:
        return f"Both are by {spectrum.method or 'one method'}: what it misses, both miss."
    own, others = (s.provenance.get("probes", []) for s in (spectrum, reference))
    common = [probe for probe in own if probe in others]
    named = " and ".join(common)
    return f"They are not independent: both take {named}, and what that misses, both miss." if common else ""


def shared_groups(spectrum: Spectrum, reference: Spectrum) -> tuple[list[list[int]], bool]:
    """Groups of levels that either spectrum cannot tell apart, and whether the last one is not known to be cut."""
    n = min(spectrum.n_states, reference.n_states)
    own, ref = spectrum.errors[:n], reference.errors[:n]
    gaps = np.minimum(*(np.abs(np.diff(s.energies[:n])) for s in (spectrum, reference)))
    width = 3 * np.maximum(np.hypot(own[1:], own[:-1]), np.hypot(ref[1:], ref[:-1]))
    if spectrum.exact is not None:
        gaps = np.where(
            np.isclose(np.diff(spectrum.exact[:n]), 0, atol=1e-9 * np.abs(spectrum.exact[:n]).max()),
            0.0,
            gaps,
        )
    breaks = np.flatnonzero(gaps > np.maximum(width, 1e-9 * np.abs(reference.energies[:n]).max())) + 1
    groups = [[int(level) for level in group] for group in np.split(np.arange(n), breaks)]
    return groups, not any(cuts_a_level(n, s.energies, s.errors, s.exact) for s in (spectrum, reference))
