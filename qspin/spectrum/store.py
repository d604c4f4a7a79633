"""Files of spectra: `save` and `load`, and writing that leaves a whole file at every moment.

A file is an .npz of arrays and one JSON record, "meta". Nothing in it is ever run, and nothing of it is used unchecked.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float

from qspin.numerics.checks import check_kind, shown
from qspin.numerics.errors import degenerate_groups
from qspin.problem import region as shapes
from qspin.problem.domain import Box, Domain, Gaussian, Nodes, PolynomialMask, SquareRootMask
from qspin.problem.region import Region
from qspin.spectrum.eigenfunctions import arrays_under, check_shapes, recorded, restored, tensor_points
from qspin.spectrum.notes import Note, counted
from qspin.spectrum.spectrum import Spectrum

__all__ = [
    "FORMAT_VERSION",
    "PotentialSamples",
    "check_region",
    "describe_domain",
    "load",
    "npz_path",
    "partial_path",
    "restored_domain",
    "sampled_potential",
    "save",
    "whole_file",
    "write_npz",
]

FORMAT_VERSION = 2
_MOST_BYTES = 4 * 2**30  # of all arrays of a file
_MOST_PACKED = 20  # times the bytes of the file: `save` packs nothing, other programs may

# What a file holds. Arrays: the kind of their numbers, and their shape. Of "meta": the type of each entry.
_REAL = ("f", "states")
_REQUIRED = {"energies": _REAL, "errors": _REAL, "residuals": _REAL, "converged": ("b", "states")}
_OPTIONAL = {"wall_shifts": _REAL, "exact": ("f", "levels"), "domain/features": ("f", "nodes features")}
_KINDS = {"f": "real floating-point numbers", "b": "truth values", "biufc": "numbers"}
_TYPES = {
    str: ("name", "units", "method"),
    list: ("notes", "labels"),
    dict: ("provenance", "domain", "eigenfunctions"),
}


def save(spectrum: Spectrum, path: str | os.PathLike[str]) -> Path:
    """What `Spectrum.save` documents."""
    settings, arrays = recorded(spectrum.eigenfunctions)
    potential = sampled_potential(spectrum)
    contents = {
        **{name: getattr(spectrum, name) for name in (*_REQUIRED, "exact", "wall_shifts")},
        **{f"history/{key}": np.asarray(value) for key, value in spectrum.history.items()},
        **{f"eigenfunctions/{key}": value for key, value in arrays.items()},
        "domain/features": spectrum.domain.features if isinstance(spectrum.domain, Nodes) else None,
        **({f"potential/{key}": value for key, value in potential.arrays().items()} if potential else {}),
    }
    contents = {name: array for name, array in contents.items() if array is not None}
    meta = {
        "format": FORMAT_VERSION,
        **{name: getattr(spectrum, name) for name in _TYPES[str]},
        "provenance": dict(spectrum.provenance),
        "notes": [note.to_dict() for note in spectrum.notes],
        "labels": list(spectrum.labels),
        "domain": describe_domain(spectrum.domain),
        "eigenfunctions": settings,
        "digest": _digest(contents),
    }
    with _refused("save"):
        _check(meta, contents)
    return write_npz(path, {"meta": np.array(json.dumps(meta, default=str)), **contents})


def load(path: Any) -> Spectrum:
    """The spectrum that `Spectrum.save` wrote; of a run folder, its spectrum.npz.

    Reads numbers and JSON only; no code in a file is ever run. Raises FileNotFoundError; ValueError, with the file and the
    entry, for a file that is not a qspin spectrum, is of a newer format, has an entry that is missing, was changed or cannot be
    used (of the wrong shape, not numbers, nan in its eigenfunctions), holds a class that is not registered, or would fill more
    than 4 GB of memory, or 20 times its own bytes.
    """
    check_kind("load: path", path, str | os.PathLike, "the path of a file")
    file = Path(path)
    if file.is_dir():
        file = file / "spectrum.npz"
        if not file.exists():
            raise ValueError(
                f"load: {path} is a folder without a spectrum.npz; write the path of a file that save wrote."
            )
    if not file.exists():
        raise FileNotFoundError(f"load: there is no file {file}.")
    with _refused(f"load: {file} is not a qspin spectrum"):
        contents = _read(file)
        meta = json.loads(str(contents.pop("meta")))
        version = int(meta["format"])
    if version > FORMAT_VERSION:
        raise ValueError(
            f"load: {file} has format {version}, this qspin reads up to {FORMAT_VERSION}: update qspin."
        )
    with _refused(f"load: {file}"):
        if version == 1:  # of qspin 0.1, where what a method said was one text
            said = str(meta.pop("status", "")).rstrip(".")
            meta["notes"] = [Note("remark", (), said).to_dict()] if said else []
            meta["labels"] = meta.get("provenance", {}).get("labels", [])
        _check(meta, contents)
    n = len(contents["energies"])
    with _refused(f"load: {file}: the domain cannot be read"):
        domain = restored_domain(meta["domain"], contents.get("domain/features"))
    with _refused(f"load: {file}: the eigenfunctions cannot be read"):
        functions = restored(meta["eigenfunctions"], arrays_under("eigenfunctions/", contents), domain)
        nowhere = np.zeros((0, domain.dim))  # at no points values cost nothing, and still show all shapes
        check_shapes({"values": functions(nowhere)}, {"values": "points states"}, states=n)
    with _refused(f"load: {file}: the notes, labels or potential cannot be read"):
        notes = tuple(Note.from_dict(record) for record in meta["notes"])
        if len(meta["labels"]) not in (0, n) or any(not 0 <= k < n for note in notes for k in note.states):
            raise ValueError(f"labels or notes are not about {counted(n, 'state')}.")
        samples = arrays_under("potential/", contents)
        potential = PotentialSamples.restored(samples, domain.dim) if samples else None
    if meta.get("digest", _digest(contents)) != _digest(contents):
        raise ValueError(f"load: {file}: its arrays are not those that were saved: the digest is another.")
    fields: dict[str, Any] = {name: contents.get(name) for name in (*_REQUIRED, "exact", "wall_shifts")}
    return Spectrum(
        **fields,
        **{name: meta[name] for name in _TYPES[str]},
        eigenfunctions=functions,
        domain=domain,
        notes=notes,
        history=arrays_under("history/", contents),
        provenance=meta["provenance"],
        potential=potential,
        labels=tuple(map(str, meta["labels"])),
    )


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """Whatever a broken entry breaks becomes a ValueError that names the file and the entry."""
    try:
        yield
    except Exception as error:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{what}: {reason}") from error


def _read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, after a look at the sizes that it declares."""
    contents, total = {}, 0
    most = min(_MOST_BYTES, _MOST_PACKED * path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as file:
                major, _ = np.lib.format.read_magic(file)
                read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
                shape, _, dtype = read[major](file)
            total += int(np.prod(shape, dtype=object)) * dtype.itemsize
            if total > most or entry.file_size > most:
                raise ValueError(
                    f"its arrays would fill more than {most} bytes; at most 4 GB are read, and {_MOST_PACKED} times the bytes "
                    "of the file."
                )
            with archive.open(entry) as file:
                name = entry.filename.removesuffix(".npy")
                contents[name] = np.lib.format.read_array(file, allow_pickle=False)
    return contents


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Of the names, types, shapes and numbers of all arrays."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(
            f"{name} {array.dtype.str} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes()
        )
    return digest.hexdigest()


def _check(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError, by name, for an entry that is missing, of the wrong type, of the wrong shape, or of numbers that cannot
    be."""
    for name, kind in ((name, kind) for kind, names in _TYPES.items() for name in names):
        if not isinstance(meta.get(name), kind):
            raise ValueError(
                f"the entry {name!r} of meta must be a {kind.__name__}, got {shown(meta.get(name))}."
            )
    total = sum(array.nbytes for array in arrays.values())
    if total > _MOST_BYTES:
        raise ValueError(f"the arrays of the file would fill {total} bytes; at most {_MOST_BYTES} are read.")
    expected = _REQUIRED | {name: entry for name, entry in _OPTIONAL.items() if name in arrays}
    check_shapes(arrays, {name: shape for name, (_, shape) in expected.items()})
    for name, array in arrays.items():
        kinds, _ = expected.get(
            name, ("f" if name in ("eigenfunctions/points", "eigenfunctions/weights") else "biufc", "")
        )
        if array.dtype.kind not in kinds:
            raise ValueError(f"the entry {name!r} holds {array.dtype}, expected {_KINDS[kinds]}.")
        if array.size == 0 and name == "energies":
            raise ValueError("the entry 'energies' is empty.")
        if (name in ("energies", "exact") or name.startswith("eigenfunctions/")) and not np.isfinite(
            array
        ).all():
            what = "a number" if np.isnan(array).any() else "finite"
            raise ValueError(f"the entry {name!r} is not {what} in places.")
        if name in ("errors", "residuals") and (array < 0).any():
            raise ValueError(f"the entry {name!r} is negative in places.")


# --- domains

_SHAPES = {kind.__name__: kind for kind in (shapes.Disk, shapes.Ring, shapes.Polygon)}
_MASKS = {kind.__name__: kind for kind in (SquareRootMask, PolynomialMask)}


def describe_domain(domain: Domain) -> dict[str, Any]:
    """A domain as JSON: of a box corners, periodic axes, and its mask by class name; of a region also its shape, if it is of
    `qspin.shapes` (a function of the user's own cannot be written). The features of nodes are not in it; a spectrum's file
    holds them as an array."""
    if isinstance(domain, Gaussian):
        return {"kind": "Gaussian", **asdict(domain)}
    if not isinstance(domain, Box):
        return {"kind": type(domain).__name__}
    box: dict[str, Any] = {name: getattr(domain, name) for name in ("lower", "upper", "periodic")}
    box |= {"mask": type(domain.mask).__name__}
    box |= {"wave_vector": domain.wave_vector} if any(domain.wave_vector) else {}
    if not isinstance(domain, Region):
        return box
    inside: Any = domain.inside
    known = isinstance(inside, tuple(_SHAPES.values()))
    shape = {"class": type(inside).__name__, "settings": asdict(inside)} if known else None
    return {"kind": "Region", **box, "corners": domain.corners, "inside": shape}


def restored_domain(record: Mapping[str, Any], features: np.ndarray | None) -> Domain:
    """The inverse of `describe_domain`, with the features of nodes; a region whose function is lost comes back as its box.
    Raises ValueError for a domain that is not known."""
    kind = record.get("kind", "Box")
    if kind == "Gaussian":
        return Gaussian(record["mean"], record["deviation"])
    if kind == "Nodes" and features is not None:
        return Nodes(features)
    if kind not in ("Box", "Region"):
        raise ValueError(f"unknown domain {kind!r}; known are Box, Region, Gaussian, Nodes.")
    mask = _named("mask", record["mask"], _MASKS)()
    box = Box(record["lower"], record["upper"], record["periodic"], mask, record.get("wave_vector", 0.0))
    if kind == "Box" or record["inside"] is None:
        return box  # functions on a mesh vanish outside the region by themselves
    shape = _named("shape", record["inside"]["class"], _SHAPES)
    settings = {name: _tuples(value) for name, value in record["inside"]["settings"].items()}
    return Region(shape(**settings), box, record["corners"])


def check_region(record: Mapping[str, Any], domain: Domain) -> None:
    """Raise ValueError where `record` describes a region, and `domain` is not that, as its function is not in the file."""
    if record.get("kind") == "Region" and not isinstance(domain, Region):
        raise ValueError(
            "these wavefunctions end at a region's walls, and its function, the user's own, is not in the file; "
            "use a shape of qspin.shapes, or solve again."
        )


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _named(what: str, name: str, classes: Mapping[str, type]) -> Any:
    if name not in classes:
        raise ValueError(f"unknown {what} {name!r}; known are {', '.join(classes)}.")
    return classes[name]


# --- V, so that a spectrum that was loaded can still be drawn over it

_NODES = {1: 1001, 2: 256, 3: 40}  # an axis, by dimension: half a megabyte at most
_MOST_POINTS = 20_000  # at which densities are looked at
_EVEN = 0.25  # share of the nodes that is spread evenly over the box


@dataclass(frozen=True, eq=False)
class PotentialSamples:
    """V between the nodes of a tensor grid, linear along each axis, constant beyond.

    Attributes:
        axes: of each coordinate its nodes, (n_i,), ascending.
        values: V there, (n_0, …, n_{dim-1}), in units of energy.
    """

    axes: tuple[Float[np.ndarray, " _"], ...]
    values: Float[np.ndarray, "*shape"]

    def __call__(self, points: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, " points"]:
        """V at points (P, dim) -> (P,)."""
        from scipy.interpolate import RegularGridInterpolator  # takes a third of a second to import

        inside = np.clip(points, *np.transpose([(axis[0], axis[-1]) for axis in self.axes]))
        return RegularGridInterpolator(self.axes, self.values)(inside)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `restored` makes it from."""
        return {"values": self.values, **{f"axis{i}": axis for i, axis in enumerate(self.axes)}}

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], dim: int) -> PotentialSamples:
        """The inverse of `arrays`. Raises ValueError for entries that are missing or do not fit."""
        axes = [f"axis{i}" for i in range(dim)]
        check_shapes(arrays, {**{name: name for name in axes}, "values": " ".join(axes)})
        if not all(array.dtype.kind == "f" and np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("samples of V and their nodes must be finite real numbers.")
        if any(len(arrays[name]) < 2 or (np.diff(arrays[name]) <= 0).any() for name in axes):
            raise ValueError("nodes of V must ascend.")
        return cls(tuple(arrays[name] for name in axes), arrays["values"])


def sampled_potential(spectrum: Spectrum) -> PotentialSamples | None:
    """V at nodes that stand close where the states live, each degenerate level counting as much as another.

    None where V is not known, past three dimensions, and where V is not finite on the grid. Cost: the states at 20,000 points
    of their quadrature, and V at up to 65,536 nodes.
    """
    potential, box = spectrum.potential, spectrum.domain
    if isinstance(potential, PotentialSamples):
        return potential
    if potential is None or not isinstance(box, Box) or box.dim not in _NODES:
        return None
    points, weights = spectrum.eigenfunctions.quadrature()
    some = slice(None, None, -(-len(points) // _MOST_POINTS))
    density = np.abs(weights[some])[:, None] * np.abs(spectrum.eigenfunctions(points[some])) ** 2
    density = np.nan_to_num(density / np.maximum(density.sum(axis=0), 1e-300))  # of what broke down, nothing
    groups = degenerate_groups(spectrum.energies, spectrum.errors)
    share = np.sum([density[:, group].mean(axis=1) for group in groups], axis=0) / len(groups)
    axes = tuple(_nodes(box, axis, points[some][:, axis], share) for axis in range(box.dim))
    edge = 1e-9 * np.asarray(box.lengths)
    at = np.clip(tensor_points(axes), box.lower + edge, box.upper - edge).reshape(-1, box.dim)
    for nudge in (0.0, 1e-6 * np.asarray(box.lengths) / np.sqrt(2)):  # off a centre, where V is not finite
        try:
            values = potential(np.minimum(at + nudge, box.upper - edge))
        except ValueError:
            continue
        return PotentialSamples(axes, np.asarray(values, dtype=float).reshape([len(axis) for axis in axes]))
    return None


def _nodes(box: Box, axis: int, x: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Ascending coordinates from wall to wall, as many to each equal part of the density, and some evenly."""
    low, high = box.lower[axis], box.upper[axis]
    places, which = np.unique(x, return_inverse=True)
    edges = np.concatenate(
        [[low], (places[1:] + places[:-1]) / 2, [high]]
    )  # of the surroundings of each place
    below = np.concatenate([[0.0], np.cumsum(np.bincount(which, share))])
    cumulated = _EVEN * (edges - low) / (high - low) + (1 - _EVEN) * below / max(below[-1], 1e-300)
    nodes = np.interp(np.linspace(0, 1, _NODES[box.dim]), cumulated, edges)
    return np.unique([low, *nodes[1:-1], high])


# --- writing


def npz_path(path: str | os.PathLike[str]) -> Path:
    """The path with the ending .npz, appended where it is missing."""
    target = Path(path)
    return target if target.suffix == ".npz" else target.with_name(target.name + ".npz")


def partial_path(target: Path) -> Path:
    """Where this process writes what is to become `target`."""
    return target.with_name(f".{target.name}.{os.getpid()}.part")


@contextmanager
def whole_file(target: Path, previous: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write into, that takes its place at the end, so that a reader never sees half, not even after a power cut.

    A file that was there is kept as `previous`, where that is given: at every moment one of the two is whole. Where writing
    fails, `target` stays as it was.
    """
    partial = partial_path(target)
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and target.exists():
            os.replace(target, previous)
        os.replace(partial, target)
        with suppress(OSError):  # the names; systems that do not let a folder be opened see to it themselves
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    finally:
        partial.unlink(missing_ok=True)


def write_npz(
    path: str | os.PathLike[str], contents: Mapping[str, np.ndarray], previous: Path | None = None
) -> Path:
    """Write arrays by `whole_file`; returns the path."""
    target = npz_path(path)
    with whole_file(target, previous) as file:
        np.savez(file, **contents)  # type: ignore[arg-type, unused-ignore]
    return target
