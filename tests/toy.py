"""Methods that solve nothing, at no cost: what the loop in `solve` is tested with."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import qspin
from qspin.methods.base import DirectMethod, IterativeMethod, Run
from qspin.spectrum.eigenfunctions import Eigenfunctions
from qspin.spectrum.spectrum import Spectrum

BOX = qspin.Problem(qspin.Kinetic(), qspin.Box([0.0], [1.0]), exact=qspin.exact.box([1.0]), name="box")


class Sines(Eigenfunctions):
    n_states = 2
    dim = 1

    def __call__(self, points):
        return np.sqrt(2) * np.sin(np.pi * points * np.arange(1, 3))

    def quadrature(self):
        x = (np.arange(8)[:, None] + 0.5) / 8
        return x, np.full(8, 1 / 8)

    def image(self, operator):
        raise NotImplementedError

    def record(self):
        return {"kind": "sines"}, {}


def spectrum_of(value, history):
    return Spectrum(
        energies=np.array([value, value + 1]),
        errors=np.full(2, 0.1),
        residuals=np.full(2, 0.1),
        converged=np.ones(2, bool),
        eigenfunctions=Sines(),
        domain=BOX.domain,
        history=history,
        provenance={"toy": True},
    )


class ToyState(NamedTuple):
    total: Any
    step: Any


@dataclass(frozen=True)
class Toy(IterativeMethod):
    """Adds up seed + 1, …, seed + steps, in chunks of 7."""

    steps: int = 20
    breaks_at: int = -1
    unusable: bool = False
    settles: bool = False  # energies 1 + 1/step instead
    advances: list = field(default_factory=list, compare=False, repr=False)
    name = "toy"

    def bind(self, problem, n_states):
        def init(seed):
            return ToyState(jnp.asarray(float(seed)), jnp.asarray(0))

        def advance(state, until=None):
            end = self.steps if until is None else until
            first, count = int(state.step), min(7, end - int(state.step))
            self.advances.append(first)
            steps = first + np.arange(count)
            total = float(state.total) + np.cumsum(steps + 1)
            energy = 1 + 1 / (steps + 1) if self.settles else total
            info = {
                "energies": np.stack([energy, energy + 1], 1),
                "ok": (steps < self.breaks_at) | (self.breaks_at < 0),
            }
            last = total[-1] if count else float(state.total)
            return ToyState(jnp.asarray(last), jnp.asarray(first + count)), info

        def finish(state, history):
            if self.unusable:
                raise ValueError("toy: dependent.")
            return spectrum_of(float(state.total), history)

        return Run(init, advance, finish, self.steps)


@dataclass(frozen=True)
class ToyDirect(DirectMethod):
    name = "direct"

    def solve(self, problem, n_states, seed=0):
        return spectrum_of(1.0, {})


class Stop(Exception):
    """The end of a run, thrown by a callback."""


def stop_after(steps):
    def callback(step, state, info):
        if step > steps:
            raise Stop

    return callback
