"""`load`: a spectrum back from its .npz file. Reads numbers and JSON only; no code in a file is ever run."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspin.methods.grid.mesh import GridFunctions
from qspin.methods.locate.survey import Jump
from qspin.methods.product_basis.product_basis_functions import restored_product_basis
from qspin.methods.ritz.features import Coordinates, Frame, Neurons
from qspin.methods.ritz.ritz_functions import RitzFunctions
from qspin.methods.sampled.sampled_functions import restored
from qspin.methods.spin import networks
from qspin.methods.spin.evaluate import VariationalFunctions
from qspin.methods.spin.wavefunction import Wavefunction
from qspin.numerics.precision import double_precision
from qspin.problem import sampling
from qspin.problem.domain import Box, Centre, Cloud, Domain
from qspin.problem.region import Region
from qspin.spectrum.domain_record import known, restored_domain
from qspin.spectrum.eigenfunctions import Eigenfunctions
from qspin.spectrum.notes import Note
from qspin.spectrum.potential_samples import PotentialSamples
from qspin.spectrum.rotation import Rotated
from qspin.spectrum.spectrum import FORMAT_VERSION, Spectrum

__all__ = ["load"]

_NETWORKS: dict[str, type] = {
    c.__name__: c for c in (networks.MLP, networks.BlockSparseMLP, networks.SeparateMLPs)
}
_SAMPLERS: dict[str, type] = {
    c.__name__: c for c in (sampling.Uniform, sampling.Stratified, sampling.QuasiRandom, sampling.Clustered)
}


def load(path: str | os.PathLike[str]) -> Spectrum:
    """The spectrum that `Spectrum.save` wrote.

    Raises FileNotFoundError; ValueError for a file that is not a qspin spectrum, is of a newer format, or holds a network
    of a class or activation that qspin does not know.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"load: there is no file {path}.")
    try:
        # NumPy leaves open what it opened itself, where that is half a file.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            contents = {name: file[name] for name in file.files}
        meta = json.loads(str(contents["meta"]))
    except Exception as error:
        raise ValueError(f"load: {path} is not a qspin spectrum ({error}).") from error
    if meta["format"] > FORMAT_VERSION:
        raise ValueError(
            f"load: {path} has format {meta['format']}, this qspin reads up to {FORMAT_VERSION}: update qspin."
        )
    domain = restored_domain(meta["domain"], contents.get("domain/features"))
    return Spectrum(
        **{name: contents[name] for name in ("energies", "errors", "residuals", "converged")},
        notes=tuple(Note.from_dict(record) for record in meta["notes"]),
        labels=tuple(meta["labels"]),
        wall_shifts=contents.get("wall_shifts"),
        eigenfunctions=_eigenfunctions(meta["eigenfunctions"], _under("eigenfunctions/", contents), domain),
        domain=domain,
        name=meta["name"],
        units=meta["units"],
        method=meta["method"],
        history=_under("history/", contents),
        provenance=meta["provenance"],
        exact=contents.get("exact"),
        potential=_potential(_under("potential/", contents)),
    )


def _under(prefix: str, contents: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in contents.items() if name.startswith(prefix)}


def _potential(arrays: dict[str, np.ndarray]) -> PotentialSamples | None:
    return PotentialSamples.restored(arrays) if arrays else None


def _activation(name: str) -> Callable[..., Any]:
    found = getattr(networks, name, None) or getattr(jnp, name, None) or getattr(jax.nn, name, None)
    if found is None:
        raise ValueError(f"load: unknown activation {name!r}; it must be a function of jax.numpy or jax.nn.")
    return found


def _sampler(record: Mapping[str, Any]) -> sampling.Sampler:
    settings = {k: _sampler(v) if isinstance(v, dict) else v for k, v in record["settings"].items()}
    return known(_SAMPLERS, record["class"], "sampler")(**settings)


def _eigenfunctions(
    settings: Mapping[str, Any], arrays: dict[str, np.ndarray], domain: Domain
) -> Eigenfunctions:
    if settings["kind"] == "rotated":
        inner = _eigenfunctions(settings["functions"], _under("functions/", arrays), domain)
        return Rotated(inner, arrays["matrix"])
    if settings["kind"] == "sampled":
        return restored(settings, arrays, domain)
    if settings["kind"] == "product basis":
        return restored_product_basis(settings, arrays, domain)
    if settings["kind"] == "grid":
        return GridFunctions.from_record(settings, arrays, domain)
    centres = tuple(Centre(tuple(row[:-3]), *row[-3:]) for row in settings["centres"])
    if settings.get("domain", {}).get("kind") == "Region" and not isinstance(domain, Region):
        raise ValueError(
            "load: these wavefunctions end at a region's walls, and its function, the user's own, is not in the file; "
            "use a shape of qspin.shapes, or solve again."
        )
    if settings["kind"] == "ritz":
        assert isinstance(domain, Box)
        return RitzFunctions(
            Coordinates(domain, centres, tuple(Jump(*jump) for jump in settings.get("jumps", ()))),
            Frame(arrays["mean"], arrays["whiten"], arrays["decay"], arrays["lengths"]),
            Neurons(arrays["hidden"], arrays["biases"]),
            arrays["combination"],
            arrays["points"],
            arrays["weights"],
        )
    network = known(_NETWORKS, settings["network"]["class"], "network")(
        tuple(settings["network"]["hidden"]), _activation(settings["network"]["activation"])
    )
    rotation = arrays["rotation"]
    cloud = settings["cloud"] and Cloud(
        tuple(settings["cloud"]["mean"]), tuple(map(tuple, settings["cloud"]["covariance"]))
    )
    wavefunction = Wavefunction(network, domain, len(rotation), centres, cloud, settings["input_range"])
    with double_precision():
        shape = jax.eval_shape(wavefunction.init, jax.random.key(0))
    params = jax.tree.unflatten(
        jax.tree.structure(shape), [arrays[f"params/{i}"] for i in range(len(jax.tree.leaves(shape)))]
    )
    sampler = _sampler(settings["sampler"])
    return VariationalFunctions(wavefunction, params, rotation, sampler, settings["seed"])
