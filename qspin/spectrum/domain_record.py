"""Domains as JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from qspin.problem import shapes
from qspin.problem.domain import Box, Domain, Gaussian, Mask, Nodes, PolynomialMask, SquareRootMask
from qspin.problem.region import Region

__all__ = ["describe_domain", "known", "restored_domain"]

_SHAPES: dict[str, type] = {"Disk": shapes.Disk, "Ring": shapes.Ring, "Polygon": shapes.Polygon}
_MASKS: dict[str, type] = {"SquareRootMask": SquareRootMask, "PolynomialMask": PolynomialMask}


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


def restored_domain(record: Mapping[str, Any], features: np.ndarray | None) -> Domain:
    """The inverse of `describe_domain`, with the features of nodes. Raises ValueError for what qspin does not know."""
    kind = record.get("kind", "Box")
    if kind == "Gaussian":
        return Gaussian(record["mean"], record["deviation"])
    if kind == "Nodes" and features is not None:
        return Nodes(features)
    if kind not in ("Box", "Region"):
        raise ValueError(f"load: unknown domain {kind!r}; known are Box, Region, Gaussian, Nodes.")
    mask: Mask = known(_MASKS, record["mask"], "mask")()
    box = Box(record["lower"], record["upper"], record["periodic"], mask, record.get("wave_vector", 0.0))
    if kind == "Box" or record["inside"] is None:
        return box  # mesh functions vanish outside the region by themselves
    shape = known(_SHAPES, record["inside"]["class"], "shape")
    settings = {name: _tuples(value) for name, value in record["inside"]["settings"].items()}
    return Region(shape(**settings), box, record["corners"])


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def known(table: Mapping[str, type], name: str, what: str) -> type:
    """The class of that name. Raises ValueError."""
    if name not in table:
        raise ValueError(f"load: unknown {what} {name!r}; known are {', '.join(table)}.")
    return table[name]
