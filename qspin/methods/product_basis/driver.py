"""`ProductBasis`: one to eight dimensions, for polynomial V: products of oscillator functions, sparse matrices.

In normal coordinates y of the best Gaussian, -Σ rates² ∂² + Σ rates² y² is diagonal in products of Hermite functions, and
the rest of V, a polynomial, moves no quantum number by more than its power: matrix elements are exact, the matrix is sparse,
energies are upper bounds. H maps the basis into a finite larger set, so residuals are exact too, and show which functions to
add: the basis is selected, not cut at a number of quanta; see `basis`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from qspin.methods.base import DirectMethod, check_plain_hamiltonian
from qspin.methods.locate.walls import wall_shifts
from qspin.methods.locate.wells import Well, gaussian_wells
from qspin.methods.product_basis.basis import (
    DOUBT,
    SelectedStates,
    Window,
    fit_polynomial,
    select_states,
    window,
)
from qspin.numerics.checks import real_number, whole
from qspin.numerics.errors import energy_scale
from qspin.numerics.laplacian import Function
from qspin.numerics.points import golden_lattice
from qspin.numerics.precision import double_precision, evaluated
from qspin.numerics.separable import hermite_functions
from qspin.problem.domain import Box, Domain, Space
from qspin.problem.hamiltonian import Operator
from qspin.problem.problem import Problem
from qspin.problem.region import Region
from qspin.spectrum.eigenfunctions import Eigenfunctions, check_shapes
from qspin.spectrum.notes import Note, note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["ProductBasis", "ProductBasisFunctions"]

_MOST_DIM = 8
_USEFUL = {1: 160, 2: 1500}  # functions beyond which only rounding grows
_ROUNDING = 1e-12  # of the largest energy
_NEGLIGIBLE = 1e-13  # coefficients that eigenfunctions are evaluated without
_POINTS = 8192  # of the quadrature
_HELD = 8_000_000  # numbers held at a time while evaluating
_WIDENING = 1.15  # of the sample's deviations over the states' own, so that weights stay bounded in the tails
_SHAPES = {
    "centre": "dim", "axes": "dim dim", "quanta": "functions dim", "coefficients": "functions states", "spread": "dim",
}  # fmt: skip
_MOST_QUANTA = 10_000  # more than any basis has; a file that says more would only fill memory


@dataclass(frozen=True)
class ProductBasis(DirectMethod):
    """Products of oscillator functions in normal coordinates, for polynomial V in one to eight dimensions: exact linear
    algebra.

    Args:
        max_functions: products used, at most.
        degree: of V as a polynomial, at most.
        tolerance: relative error at which a state counts as converged. A thousandth of it ends the growth of the basis.

    The basis begins with the products of fewest quanta and trades those that matter least for those, among all that H leads
    to, that matter most, by their coefficients to first order; then it grows, threefold a time.

    Energies are upper bounds in all of space: the walls of a box play no part but in the error. `errors` are twice the
    second-order estimate Σ_k |⟨k|H|ψ⟩|²/(H_kk - E) over all functions k outside the basis, times the factor by which the same
    estimate fell short on a basis a third as large, plus V's misfit, plus the shift that the walls would make. `residuals`
    are those in all of space.

    Time and memory for M functions: O(M · shifts), the shifts being the changes of quanta that V makes, of which those that
    lead below zero cost nothing: for quartic V in six dimensions about 140 entries a function; and block Davidson steps of
    O(M · n_states · (shifts + n_states)).
    Raises ValueError where V is no polynomial, or holds no state in the well, for more than eight dimensions, singular points,
    periodic axes, or n_states of a fourth of the basis or more; MemoryError where the matrix would exceed 6 GB.
    """

    max_functions: int = 20_000
    degree: int = 6
    tolerance: float = 1e-6
    name = "product-basis"

    def __post_init__(self) -> None:
        for setting, least in (("max_functions", 20), ("degree", 2)):
            whole(f"ProductBasis: {setting}", getattr(self, setting), least)
        real_number("ProductBasis: tolerance", self.tolerance, least=1e-14, most=1)

    def check(self, problem: Problem, n_states: int) -> None:
        check_plain_hamiltonian("ProductBasis", problem, Box, Space)
        most, periodic = self._most(problem), any(getattr(problem.domain, "periodic", ()))
        region = isinstance(problem.domain, Region)
        for refused, why in (
            (region, "solves in a Box whose walls are out of reach; for regions use qspin.Grid()."),
            (problem.dim > _MOST_DIM, f"serves 1 to {_MOST_DIM} dimensions, got {problem.dim}."),
            (problem.hamiltonian.singularities, "V must be a polynomial, and it is declared singular."),
            (periodic, "oscillator functions are not periodic; use qspin.Grid()."),
            (
                not 1 <= n_states < most / 4,
                f"n_states must be at least 1 and less than a fourth of the {most} functions, got {n_states}.",
            ),
        ):
            if refused:
                raise ValueError(f"ProductBasis: {why}")

    def _most(self, problem: Problem) -> int:
        return min(int(self.max_functions), _USEFUL.get(problem.dim, int(self.max_functions)))

    @double_precision()
    def solve(self, problem: Problem, n_states: int, seed: int = 0) -> Spectrum:
        well = _frame(problem, seed)
        v, misfit = fit_polynomial(problem, well, self.degree)
        around = window(v, well.rates)
        most = self._most(problem)
        states, ratio = select_states(v, well.rates, n_states, most, self.tolerance, around.distance)
        energies = states.energies[:n_states]
        if energies[0] >= around.barrier:
            raise ValueError(
                f"ProductBasis: V of {problem.name} falls without bound far out, behind a barrier of {around.barrier:.6g}: no "
                f"state stays in the well, the lowest is at {energies[0]:.6g}. Use a method that knows the walls of a Box: "
                "qspin.Grid() or qspin.Ritz()."
            )
        functions = _functions(problem, well, states, n_states)
        left_out = DOUBT * ratio * states.left_out[:n_states]
        boxed = isinstance(problem.domain, Box)
        raised = wall_shifts(problem, functions, energies) if boxed else np.zeros(n_states)
        scale = max(np.abs(energies).max(), energy_scale(energies))
        spacing = 2 * float((well.rates**2).max())
        errors = left_out + misfit + raised + _ROUNDING * scale + spacing * around.leaving(energies)
        errors = np.where(energies < around.barrier, errors, np.inf)
        converged = errors <= self.tolerance * np.maximum(np.abs(energies), 1e-2 * scale)
        provenance = {
            "functions": len(states.products.quanta),
            "most_quanta": states.products.quanta.max(axis=0).tolist(),
            "degree": int(v.powers.sum(axis=1).max(initial=0)),
            "terms": len(v.powers),
            "misfit": misfit,
            "left_out": states.left_out[:n_states].tolist(),
            "second_order_fell_short_by": ratio.tolist(),
            "widths": np.linalg.norm(well.axes, axis=0).tolist(),
        }
        return self.spectrum(
            problem,
            provenance,
            energies=energies,
            errors=errors,
            residuals=states.residuals[:n_states],
            converged=converged,
            notes=_notes(converged, raised, left_out, self.max_functions, around, energies),
            wall_shifts=raised,
            eigenfunctions=functions,
        )


def _frame(problem: Problem, seed: int) -> Well:
    """The best Gaussian's coordinates; with several wells about their middle, each axis wider as they lie apart on it.

    In widths D apart from the middle, a single well asks for functions as wide as it is, and filling the phase space between
    them for functions (1 + 2D²)^(1/4) times as wide: the geometric mean of both was the best of those tried.
    """
    wells = gaussian_wells(problem, seed)
    lowest = wells[0]
    low = [well for well in wells if well.energy < lowest.energy + 4 * np.sum(lowest.rates**2)]
    centre = np.mean([well.centre for well in low], axis=0)
    apart = np.stack([np.linalg.solve(lowest.axes, well.centre - centre) for well in low])
    wider = (1 + 2 * np.mean(apart**2, axis=0)) ** (1 / 8)
    return Well(centre, lowest.axes * wider, lowest.rates / wider, lowest.energy)


def _functions(problem: Problem, well: Well, states: SelectedStates, n: int) -> ProductBasisFunctions:
    quanta, c = states.products.quanta, states.vectors[:, :n]
    spread = np.zeros(problem.dim)
    for i, unit in enumerate(np.eye(problem.dim, dtype=np.int64)):
        square = (quanta[:, i] + 0.5) @ c**2
        above = states.products.find((quanta + 2 * unit) @ states.products.strides)
        pairs = above >= 0
        root = np.sqrt((quanta[pairs, i] + 1) * (quanta[pairs, i] + 2))
        spread[i] = np.sqrt(np.mean(square + root @ (c[pairs] * c[above[pairs]])))
    kept = np.abs(c).max(axis=1) > _NEGLIGIBLE
    return ProductBasisFunctions(well.centre, well.axes, quanta[kept], c[kept], spread, problem.domain)


def _notes(
    converged: np.ndarray,
    raised: np.ndarray,
    left_out: np.ndarray,
    max_functions: int,
    around: Window,
    energies: np.ndarray,
) -> tuple[Note, ...]:
    short = ~converged & (left_out > raised)
    above, enlarge = (
        "the claimed error is above the tolerance",
        "enlarge the box, or use qspin.Grid() where walls are meant",
    )
    held = "the basis holds the state to the tolerance, and its error comes from walls or from V's misfit"
    free = f"the energy is that of free space; walls would raise it by up to {raised.max():.1e}, which the error allows for"
    falls = (
        f"V falls without bound far out, behind a barrier of {around.barrier:.6g} at {around.distance:.3g} widths of the well: "
        "there is no lowest state, and these are levels of the well, from functions that end before the barrier"
    )
    return (
        *note("tolerance", short, above, f"raise max_functions (now {max_functions}), or the tolerance"),
        *note("tolerance", ~converged & ~short, held),
        *([Note("falls", (), falls)] if np.isfinite(around.barrier) else []),
        *note(
            "falls",
            energies >= around.barrier,
            "the energy is above the barrier, over which the state leaves",
        ),
        *note("walls", raised > np.maximum(left_out, 1e-12), free, enlarge),
    )


@dataclass(frozen=True, eq=False)
class ProductBasisFunctions(Eigenfunctions):
    """ψ(x) = |det axes|^(-1/2) Σ_k coefficients_k ∏_i h_{quanta_ki}(y_i), x = centre + axes·y.

    h_n are Hermite functions, orthonormal in y; `quanta` (M, dim) integers, `coefficients` (M, N). `spread` (dim,): root mean
    square of y_i over the states, which `quadrature` samples by. Functions of all space: the walls of a box play no part.

    Time a point O(M·N), three times dim as much for an image under a Laplacian.
    """

    centre: np.ndarray
    axes: np.ndarray
    quanta: np.ndarray
    coefficients: np.ndarray
    spread: np.ndarray
    domain: Domain

    @property
    def n_states(self) -> int:
        return self.coefficients.shape[1]

    @property
    def dim(self) -> int:
        return len(self.centre)

    @cached_property
    def _psi(self) -> Function:
        inverse, most = np.linalg.inv(self.axes), int(self.quanta.max())
        c = self.coefficients * np.abs(np.linalg.det(self.axes)) ** -0.5
        middle, halves = (self.dim + 1) // 2, []  # two factors a function, not dim
        for axes in (range(middle), range(middle, self.dim))[: self.dim]:
            different, place = np.unique(self.quanta[:, axes], axis=0, return_inverse=True)
            halves.append((axes, different, place.ravel()))

        def psi(x: Any) -> Any:
            h = hermite_functions(jnp.asarray(inverse) @ (x - self.centre), most)
            parts = [[h[n[:, j], i] for j, i in enumerate(axes)] for axes, n, _ in halves]
            factors = [
                prod(part[1:], start=part[0])[half[2]] for part, half in zip(parts, halves, strict=True)
            ]
            return prod(factors[1:], start=factors[0]) @ jnp.asarray(c)

        return psi

    def _values(self, function: Function, points: np.ndarray, copies: int) -> np.ndarray:
        """A function of one point at points, where `copies` of all products are held for each."""
        return evaluated(function, points, max(_HELD // (copies * len(self.quanta)), 1))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return self._values(self._psi, points, 2)

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Quasi-random, normal in y: an integral of a product of two states is met to about a per cent."""
        u = ndtri(golden_lattice(_POINTS, self.dim))
        deviations = _WIDENING * self.spread
        volume = np.abs(np.linalg.det(self.axes)) * np.prod(deviations) * (2 * np.pi) ** (self.dim / 2)
        weights = volume * np.exp(np.sum(u**2, axis=1) / 2) / _POINTS
        return self.centre + (u * deviations) @ self.axes.T, weights

    def image(self, operator: Operator) -> np.ndarray:
        return self._values(operator.exact()(self._psi), self.quadrature()[0], 6 * self.dim)

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        return replace(self, coefficients=self.coefficients * factors)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {name: np.asarray(getattr(self, name)) for name in _SHAPES}

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> ProductBasisFunctions:
        """What `record` gave, read back."""
        del settings
        check_shapes(arrays, _SHAPES, dim=domain.dim)
        if arrays["quanta"].dtype.kind != "i" or not 0 <= arrays["quanta"].max(initial=0) <= _MOST_QUANTA:
            raise ValueError(f"the entry 'quanta' must be integers from 0 to {_MOST_QUANTA}.")
        return cls(**{name: arrays[name] for name in _SHAPES}, domain=domain)
