"""Eigenfunctions of `ProductBasis`: sums of products of Hermite functions, evaluated anywhere, saved and loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from qspin.numerics.hermite import hermite_functions
from qspin.numerics.laplacian import Function
from qspin.numerics.points import golden_lattice
from qspin.numerics.precision import double_precision
from qspin.problem.domain import Domain
from qspin.problem.hamiltonian import Operator
from qspin.spectrum.eigenfunctions import Eigenfunctions, check_shapes

__all__ = ["ProductBasisFunctions"]

_POINTS = 8192  # of the quadrature
_HELD = 8_000_000  # numbers held at a time while evaluating
_WIDENING = 1.15  # of the sample's deviations over the states' own, so that weights stay bounded in the tails
_SHAPES = {
    "centre": "dim", "axes": "dim dim", "quanta": "functions dim", "coefficients": "functions states", "spread": "dim",
}  # fmt: skip
_MOST_QUANTA = 10_000  # more than any basis has; a file that says more would only fill memory


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
    def _halves(self) -> list[tuple[range, np.ndarray, np.ndarray]]:
        """Axes, the different products over them, and which of these each function has: two factors a function, not dim."""
        middle = (self.dim + 1) // 2
        found = []
        for axes in (range(middle), range(middle, self.dim)):
            different, place = np.unique(self.quanta[:, axes], axis=0, return_inverse=True)
            found.append((axes, different, place.ravel()))
        return found if self.dim > 1 else found[:1]

    def _psi(self) -> Function:
        inverse, most = np.linalg.inv(self.axes), int(self.quanta.max())
        norm = np.abs(np.linalg.det(self.axes)) ** -0.5

        def psi(x: Any) -> Any:
            h = hermite_functions(jnp.asarray(inverse) @ (x - self.centre), most)
            product: Any = norm
            for axes, different, place in self._halves:
                factors = jnp.prod(jnp.stack([h[different[:, j], i] for j, i in enumerate(axes)]), axis=0)
                product = product * factors[place]
            return product @ jnp.asarray(self.coefficients)

        return psi

    def _mapped(self, function: Function, points: np.ndarray, copies: int) -> np.ndarray:
        """At points (P, dim), in batches; `copies` of all products are held for each point."""
        if len(points) == 0:
            shape = jax.eval_shape(function, jax.ShapeDtypeStruct(points.shape[1:], float)).shape
            return np.zeros((0, *shape))
        size = int(np.clip(_HELD // (copies * len(self.quanta)), 1, len(points)))
        compiled = jax.jit(lambda x: jax.lax.map(function, x, batch_size=size))
        return np.asarray(compiled(jnp.asarray(points, float)))

    @double_precision()
    def __call__(self, points: np.ndarray) -> np.ndarray:
        return self._mapped(self._psi(), points, 2)

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Quasi-random, normal in y: an integral of a product of two states is met to about a per cent."""
        u = ndtri(golden_lattice(_POINTS, self.dim))
        deviations = _WIDENING * self.spread
        volume = np.abs(np.linalg.det(self.axes)) * np.prod(deviations) * (2 * np.pi) ** (self.dim / 2)
        weights = volume * np.exp(np.sum(u**2, axis=1) / 2) / _POINTS
        return self.centre + (u * deviations) @ self.axes.T, weights

    @double_precision()
    def image(self, operator: Operator) -> np.ndarray:
        return self._mapped(operator.exact()(self._psi()), self.quadrature()[0], 6 * self.dim)

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        return replace(self, coefficients=self.coefficients * factors)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {name: np.asarray(getattr(self, name)) for name in _SHAPES}

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> "ProductBasisFunctions":
        """What `record` gave, read back."""
        del settings
        check_shapes(arrays, _SHAPES, dim=domain.dim)
        if arrays["quanta"].dtype.kind != "i" or not 0 <= arrays["quanta"].max(initial=0) <= _MOST_QUANTA:
            raise ValueError(f"the entry 'quanta' must be integers from 0 to {_MOST_QUANTA}.")
        return cls(**{name: arrays[name] for name in _SHAPES}, domain=domain)
