"""Eigenfunctions known at the points of a mesh, as functions of any point."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from qspin.methods.grid.mesh import Mesh
from qspin.problem.domain import Box
from qspin.problem.hamiltonian import Operator
from qspin.problem.region import Region
from qspin.spectrum.domain_record import describe_domain
from qspin.spectrum.eigenfunctions import Eigenfunctions

__all__ = ["GridFunctions"]

_CHUNK = 4_000_000  # numbers held at a time while interpolating


@dataclass(frozen=True, eq=False)
class GridFunctions(Eigenfunctions):
    """Mesh values (P, N), interpolated as the scheme has them: the polynomials of elements, the series of a DVR, and for
    differences of some order the polynomials through order + 2 points on each axis.

    Cost a point: N (order + 2)^dim, (degree + 1)^dim, or of a DVR all points of the mesh.
    """

    mesh: Mesh
    values: np.ndarray
    domain: Box

    @property
    def n_states(self) -> int:
        return self.values.shape[1]

    @property
    def dim(self) -> int:
        return self.mesh.dim

    @cached_property
    def _everywhere(self) -> np.ndarray:
        return self.mesh.spread(self.values)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        if points is self.mesh.points:  # as `quadrature` hands them out: nothing to interpolate
            return self.values
        lower, upper = np.asarray(self.domain.lower), np.asarray(self.domain.upper)
        periodic = np.asarray(self.domain.periodic)
        turns = np.where(periodic, (points - lower) // (upper - lower), 0)
        x = points - turns * (upper - lower)
        inside = self.domain.contains(x) & (periodic | ((x > lower) & (x < upper))).all(axis=-1)
        values = np.zeros((len(x), self.n_states), self.values.dtype)
        if inside.any():
            values[inside] = self._interpolated(x[inside])
        if any(self.domain.wave_vector):
            values = values * np.exp(1j * turns @ np.asarray(self.domain.phases))[:, None]
        return values

    def _interpolated(self, x: np.ndarray) -> np.ndarray:
        widths = [axis.local_basis(x[:1, i])[0].shape[1] for i, axis in enumerate(self.mesh.axes)]
        whole = widths == list(self.mesh.shape)
        held = self.n_states * (np.prod(widths[1:]) if whole else np.prod(widths))
        size = max(int(_CHUNK // held), 1)
        few = self._few_by_series if whole else self._few_by_neighbours
        return np.concatenate([few(x[i : i + size]) for i in range(0, len(x), size)])

    def _few_by_series(self, x: np.ndarray) -> np.ndarray:
        """Every value counts: one axis after the other, (points, what is left of the mesh, N)."""
        values: np.ndarray | None = None
        for i, axis in enumerate(self.mesh.axes):
            _, share = axis.local_basis(x[:, i])
            values = (
                np.tensordot(share, self._everywhere, axes=(1, 0))
                if values is None
                else np.einsum("pj,pj...->p...", share, values)
            )
        assert values is not None
        return values

    def _few_by_neighbours(self, x: np.ndarray) -> np.ndarray:
        places, shares = np.zeros((len(x), 1), int), np.ones((len(x), 1))
        for i, axis in enumerate(self.mesh.axes):
            index, share = axis.local_basis(x[:, i])
            places = (places[:, :, None] * len(axis.points) + index[:, None, :]).reshape(len(x), -1)
            shares = (shares[:, :, None] * share[:, None, :]).reshape(len(x), -1)
        return np.einsum("pj,pjn->pn", shares, self._everywhere.reshape(-1, self.n_states)[places])

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        return self.mesh.points, self.mesh.weights

    def image(self, operator: Operator) -> np.ndarray:
        root = np.sqrt(self.mesh.weights)[:, None]
        form = operator.local_form(self.mesh.dim)
        if form is None:
            raise TypeError(
                f"GridFunctions: {type(operator).__name__} has no local form (Operator.local_form is None), so it cannot act "
                "on functions that are known on a mesh only; use the states of another method."
            )
        return self.mesh.matrix(form) @ (root * self.values) / root

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        return replace(self, values=self.values * factors)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings = {
            "kind": "grid",
            "domain": describe_domain(self.domain),
            "axes": [axis.record() for axis in self.mesh.axes],
            "centres": [[*c.position, c.strength, c.length, c.cusp] for c in self.mesh.centres],
        }
        arrays = {"values": self.values}
        if isinstance(self.domain, Region):
            assert self.mesh.kept is not None
            arrays["kept"] = self.mesh.kept
            if self.mesh.cuts is not None:
                arrays["cuts"] = self.mesh.cuts
        return settings, arrays
