"""`Problem`: what is to be solved, and nothing about how."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qspin.numerics.checks import check_function, check_kind, shown, table
from qspin.numerics.precision import evaluated, rounds_to_single
from qspin.problem.domain import Box, Centre, Domain, Space
from qspin.problem.hamiltonian import LocalForm, Operator, without_local_form

__all__ = ["Problem"]


@dataclass(frozen=True)
class Problem:
    """A Hamiltonian, or another symmetric operator, on a domain.

    Args:
        hamiltonian: an operator bounded below, e.g. `Kinetic() + Potential(V)`.
        domain: a `Box`, or `Space` without walls; `Gaussian` and `Nodes` for integral operators and matrices.
        exact: optional closed form: exact(n) -> the first n energies, degenerate ones repeated.
        name: for titles and files.
        units: of the energies, for tables and axes, such as "hartree" or "cm⁻¹"; any string is a label, and
            `Spectrum.energies_in` converts from those it knows.
        largest: False for the lowest eigenvalues, ascending; True for the largest, descending (of an operator
            bounded above, such as a kernel).

    Methods read `local_form`, the weak form of the Hamiltonian (see `LocalForm`), and nothing else of it; only `SpIN` also
    solves operators that have none.

    Raises:
        TypeError, ValueError: at once, where an operator does not fit the domain, or V cannot be used (see
            `Potential`).
    """

    hamiltonian: Operator
    domain: Domain
    exact: Callable[[int], np.ndarray] | None = None
    name: str = "problem"
    units: str = ""
    largest: bool = False

    def __post_init__(self) -> None:
        operator = "an operator such as Kinetic() + Potential(V)"
        check_kind("Problem: hamiltonian", self.hamiltonian, Operator, operator)
        check_kind("Problem: domain", self.domain, Domain, "a Box or Space (or Gaussian, or Nodes)")
        check_kind("Problem: largest", self.largest, bool, "True or False")
        check_kind("Problem: name", self.name, str, "a text")
        check_kind("Problem: units", self.units, str, 'a text such as "hartree"')
        if self.exact is not None:
            check_function("Problem: exact", self.exact, "n -> (n,) energies")
        self.hamiltonian.check(self.domain)
        form = self.local_form
        plain = form is not None and form.is_plain and isinstance(self.domain, Box | Space)
        if plain and not (self.sign * self.local.coefficients > 0).all():
            raise ValueError(
                "Problem: the Hamiltonian needs a positive kinetic energy on every axis. Add Kinetic()."
            )
        for point in self.hamiltonian.singularities:
            if form is None:
                raise ValueError(
                    f"Problem: singularity {point} is declared, and {self._without_local_form()} has no local form, from "
                    "which the strength of a centre could be read. Leave singularities out."
                )
            if isinstance(self.domain, Box) and not self.domain.contains(np.asarray(point)):
                raise ValueError(f"Problem: singularity {point} lies outside {self.domain!r}.")

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return self.domain.dim

    @cached_property
    def local_form(self) -> LocalForm | None:
        """What methods read of the Hamiltonian: kinetic energy and V in the weak form that `LocalForm` writes out.

        None for an operator that is not of that form, such as an integral or a matrix.
        """
        return self.hamiltonian.local_form(self.dim)

    @property
    def local(self) -> LocalForm:
        """The local form; ValueError, naming the operator, where there is none."""
        if self.local_form is None:
            raise ValueError(
                f"Problem: {self._without_local_form()} has no local form (Operator.local_form), so V and the kinetic energy "
                "cannot be told apart; only qspin.SpIN() solves it."
            )
        return self.local_form

    def _without_local_form(self) -> str:
        parts = without_local_form(self.hamiltonian, self.dim)
        return ", ".join(type(part).__name__ for part in parts)

    @cached_property
    def in_single_precision(self) -> bool:
        """Whether V is known to seven digits only: a table in single precision, or a function that computes in it."""
        form = self.local_form
        if form is None:
            return False
        tables = [getattr(part, "function", None) for _, part in getattr(form.potential, "parts", ())]
        return any(getattr(table, "single", False) for table in tables) or rounds_to_single(
            form.potential, self.dim
        )

    @property
    def is_boxed_hamiltonian(self) -> bool:
        """Whether the lowest states of a Hamiltonian with a local form in a box are wanted."""
        return isinstance(self.domain, Box) and self.local_form is not None and not self.largest

    @property
    def minimised(self) -> Operator:
        """The operator whose lowest eigenvalues are wanted: H, or -H where its largest are."""
        return -self.hamiltonian if self.largest else self.hamiltonian

    @property
    def sign(self) -> float:
        """Eigenvalues of the problem are this times those of `minimised`."""
        return -1.0 if self.largest else 1.0

    def exact_energies(self, n_states: int) -> np.ndarray | None:
        """The first levels of `exact`, one more than asked where it has one more; None without `exact`."""
        if self.exact is None:
            return None
        for n in (n_states + 1, n_states):
            try:
                given = self.exact(n)
            except ValueError:  # a well that holds only so many bound states
                continue
            except Exception as error:
                kind = type(error).__name__
                raise ValueError(
                    f"Problem: exact({n}) must return {n} energies, it raised {kind}: {error}"
                ) from error
            energies = table(f"Problem: exact({n})", given)
            if energies.shape == (n,) and not np.iscomplexobj(energies) and np.isfinite(energies).all():
                return energies
            if n == n_states:
                raise ValueError(f"Problem: exact({n}) must return {n} finite energies, got {shown(given)}.")
        return None

    def potential_values(self, points: np.ndarray) -> np.ndarray:
        """V at points (P, dim), float64 (P,). ValueError, naming the first point where V is not finite."""
        values = evaluated(self.local.potential, points)
        if not np.isfinite(values).all():
            first = np.flatnonzero(~np.isfinite(values))[0]
            where = ", ".join(f"{c:.6g}" for c in points[first])
            raise ValueError(
                f"Potential: V is {values[first]} at x = ({where}); it must be finite at every sampled "
                "point of the domain. Declare a Coulomb-like centre in Potential(V, singularities=[...]), "
                "make walls high but finite, or shrink the box."
            )
        return values

    @cached_property
    def centres(self) -> tuple[Centre, ...]:
        """The declared singularities with their strength, length and cusp, read off V close to each.

        V ≈ -Z/r at a centre, with kinetic energy -c ∇², makes ψ ∝ 1 - (Z / (c (dim - 1))) r (Kato 1957; in
        one dimension an attractive -Z/|x| has none and ψ vanishes there, so only its length is used).
        """
        return tuple(self._centre(point) for point in self.hamiltonian.singularities)

    def _centre(self, point: tuple[float, ...]) -> Centre:
        assert isinstance(self.domain, Box)
        coefficients = self.local.coefficients
        extent = min(self.domain.lengths)
        radius = 1e-7 * extent
        directions = np.random.default_rng(0).normal(size=(32, self.dim))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        near, far = (self.potential_values(point + r * directions).mean() for r in (radius, 2 * radius))
        strength = float((far - near) * 2 * radius)  # V = -Z/r + constant: other centres drop out
        isotropic = np.ptp(coefficients) <= 1e-12 * coefficients.max()
        slope = strength / (coefficients.mean() * max(self.dim - 1, 1))
        # The length is held between what a mesh of the box can see and the box itself.
        length = float(np.clip(1 / max(abs(slope), 1e-300), 1e-5 * extent, 0.05 * extent))
        known = isotropic and self.dim > 1 and abs(slope) > 1e-3 / extent
        return Centre(point, strength, length, float(-slope) if known else 0.0)
