"""Spectra of the methods that take long to compile, as files: `python tests/stored_spectra.py` writes them again.

They were solved once, so that tests of what comes afterwards (pictures, files) need not solve; and a file that an earlier
version of qspin wrote has to be read for good.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qspin
from qspin.methods.spin.networks import MLP, NETWORKS

FOLDER = Path(__file__).parent / "baseline"


@NETWORKS("one layer")
@dataclass(frozen=True)
class OneLayer(MLP):
    """A network of the user's own."""

    hidden: Any = (3,)
    scale: float = 1.0


def stored(method: str) -> qspin.Spectrum:
    """Two states of an oscillator by "ritz" or "spin"; three of four oscillators by "sampled-ritz"."""
    return qspin.load(FOLDER / f"{method}.npz")


def solved(method: str) -> qspin.Spectrum:
    """The spectrum that `stored` reads."""
    frequencies = (1.0, 1.2, 1.5, 2.0) if method == "sampled-ritz" else (1.0,)
    potential = qspin.Potential(qspin.potentials.harmonic(frequencies))
    box = qspin.Box.cube(6.0, dim=len(frequencies))
    problem = qspin.Problem(qspin.Kinetic() + potential, box, name="oscillators")
    if method == "sampled-ritz":
        return qspin.solve(problem, 3, qspin.SampledRitz(steps=0, evaluation_points=4096))
    if method == "ritz":
        return qspin.solve(problem, 2, qspin.Ritz(max_features=24, tolerance=1e-2))
    sampler = qspin.Clustered(qspin.Uniform(), fill=0.5)
    network = OneLayer(scale=2.0)
    settings = qspin.SpIN(steps=0, batch_size=16, evaluation_points=1024, network=network, sampler=sampler)
    return qspin.solve(problem, 2, settings)


if __name__ == "__main__":
    for method in ("ritz", "spin", "sampled-ritz"):
        print(solved(method).save(FOLDER / f"{method}.npz"))
