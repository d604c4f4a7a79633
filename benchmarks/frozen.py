"""The numbers that a rebuilding of the code must not change: energies, errors, residuals, groups of shipped problems × methods.

    python benchmarks/frozen.py write [FILE]      solve and store the cases that the file lacks (benchmarks/results/frozen.json)
    python benchmarks/frozen.py compare [--quick] [--only TEXT] [FILE]

`compare` solves the same cases again and fails where an energy moves by more than the smaller of the two claimed errors, where
states, groups or convergence differ, where a claimed error or residual moves by more than a factor of two, or, without
--quick, where a case takes more than 1.2 times as long (and over a second more). --quick solves the cheap cases only: a few
of each method, for continuous integration.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import qspin

STORED = Path(__file__).parent / "results" / "frozen.json"
PROBLEMS = Path(__file__).parents[1] / "problems"


def shipped(name: str) -> Callable[[], qspin.Problem]:
    def load() -> qspin.Problem:
        module: dict[str, object] = {"__file__": str(PROBLEMS / f"{name}.py"), "__name__": name}
        exec(compile((PROBLEMS / f"{name}.py").read_text(), name, "exec"), module)
        problem = module["problem"]
        assert isinstance(problem, qspin.Problem)
        return problem

    return load


def formula(text: str, *box: float, mass: float = 1.0, dim: int = 1) -> Callable[[], qspin.Problem]:
    """A problem from V as text in a cube; without one, in space."""
    domain = qspin.Box([box[0]] * dim, [box[1]] * dim) if box else qspin.Space(dim)
    potential = qspin.Potential(qspin.expression(text, dim=dim))
    return lambda: qspin.Problem(qspin.Kinetic(mass=mass) + potential, domain, name=text)


def bloch() -> qspin.Problem:
    box = qspin.Box([0.0], [1.0], periodic=True, wave_vector=1.0)
    return qspin.Problem(
        qspin.Kinetic() + qspin.Potential(lambda x: 3 * jnp.cos(2 * jnp.pi * x[0])), box, name="bloch"
    )


def path_graph() -> qspin.Problem:
    edges = [(i, i + 1) for i in range(11)]
    return qspin.Problem(qspin.graph_laplacian(12, edges), qspin.Nodes(np.linspace(-1, 1, 12)), name="path")


@dataclass(frozen=True)
class Case:
    """A problem, a method as Python writes it, a number of states; `quick` ones run in continuous integration."""

    problem: Callable[[], qspin.Problem]
    method: str
    n_states: int
    quick: bool = False

    def key(self, problem: qspin.Problem) -> str:
        return f"{problem.name} | {self.method} | {self.n_states}"


SPIN = "qspin.SpIN(steps=400, batch_size=128)"
CASES = [
    Case(shipped("harmonic_1d"), "qspin.Grid()", 5, quick=True),
    Case(shipped("harmonic_1d"), "qspin.Ritz()", 5),
    Case(formula("x**4", -5, 5, mass=0.5), "qspin.Grid()", 6),
    Case(formula("x**4", -5, 5, mass=0.5), "qspin.Ritz()", 6, quick=True),
    Case(formula("x**4", -5, 5, mass=0.5), "qspin.ProductBasis()", 4, quick=True),
    Case(formula("x**4", -5, 5, mass=0.5), SPIN, 3),
    Case(formula("0.5*x**2 + 0.1*x**4"), "qspin.Ritz()", 4),
    Case(formula("where(abs(x) < 1, 0, 10)", -6, 6), "qspin.Ritz()", 4),
    Case(formula("where(abs(x) < 1, 0, 10)", -6, 6), "qspin.Grid()", 4),
    Case(bloch, "qspin.Grid()", 3, quick=True),
    Case(bloch, "qspin.Ritz()", 3),
    Case(path_graph, "qspin.SpIN(steps=400)", 3, quick=True),
    Case(shipped("double_well_1d"), "qspin.Ritz()", 4),
    Case(shipped("double_well_1d"), "qspin.Grid()", 4, quick=True),
    Case(shipped("box_2d"), "qspin.Ritz()", 6),
    Case(shipped("box_2d"), "qspin.Grid()", 6),
    Case(shipped("harmonic_2d"), "qspin.Ritz()", 6),
    Case(shipped("harmonic_2d"), SPIN, 6),
    Case(shipped("henon_heiles_2d"), "qspin.Ritz()", 6),
    Case(shipped("henon_heiles_2d"), "qspin.Grid()", 6),
    Case(formula("0.5*(x**2 + y**2) + 0.1*x**2*y**2", -6, 6, dim=2), "qspin.ProductBasis()", 6),
    Case(shipped("l_shaped_membrane"), "qspin.Grid()", 6),
    Case(formula("0", -1, 1, dim=2), "qspin.Grid(scheme=qspin.differences(2), points=61)", 4),
    Case(shipped("hydrogen_2d"), "qspin.Ritz()", 9),
    Case(shipped("hydrogen_2d"), "qspin.Grid()", 9),
    Case(shipped("hydrogen_2d"), SPIN, 4),
    Case(shipped("hydrogen_3d"), "qspin.Ritz()", 5),
    Case(shipped("chlorine_dioxide"), "qspin.Ritz()", 6),
    Case(shipped("chlorine_dioxide"), "qspin.Grid()", 6),
    Case(shipped("coupled_oscillators"), "qspin.SampledRitz()", 8),
    Case(shipped("coupled_oscillators"), "qspin.ProductBasis()", 8),
    Case(shipped("anharmonic_chain"), "qspin.SampledRitz(steps=60, evaluation_points=100_000)", 4),
    Case(shipped("anharmonic_chain"), "qspin.ProductBasis(max_functions=4000)", 4),
    Case(shipped("box_5d"), "qspin.SampledRitz()", 4),
    Case(shipped("moshinsky"), "qspin.SampledRitz()", 4),
]  # fmt: skip


def solved(case: Case, problem: qspin.Problem) -> dict[str, object]:
    started = time.perf_counter()
    spectrum = qspin.solve(problem, case.n_states, eval(case.method), progress=False)
    return {
        "energies": spectrum.energies.tolist(),
        "errors": spectrum.errors.tolist(),
        "residuals": spectrum.residuals.tolist(),
        "converged": spectrum.converged.tolist(),
        "groups": spectrum.groups(),
        "seconds": round(time.perf_counter() - started, 2),
    }


def apart(old: dict, new: dict, timed: bool) -> list[str]:
    """What differs by more than it may."""
    said = []
    errors = np.minimum(old["errors"], new["errors"])
    off = np.abs(np.subtract(old["energies"], new["energies"]))
    rounding = 1e-10 * np.abs(old["energies"]).max()
    if not (off <= errors + rounding).all():
        said.append(f"energies moved by {off.max():.1e}, claimed {errors[off.argmax()]:.1e}")
    for name, floor in (("errors", 1e-10), ("residuals", 1e-7)):
        a, b = (np.maximum(values[name], floor * np.abs(old["energies"]).max()) for values in (old, new))
        if not ((a <= 2 * b) & (b <= 2 * a)).all():
            said.append(f"{name} changed from {max(old[name]):.1e} to {max(new[name]):.1e}")
    said += [f"{name} changed" for name in ("converged", "groups") if old[name] != new[name]]
    if timed and new["seconds"] > 1.2 * old["seconds"] + 1:
        said.append(f"took {new['seconds']} s instead of {old['seconds']} s")
    return said


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["write", "compare"])
    parser.add_argument("file", nargs="?", type=Path, default=STORED)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    asked = parser.parse_args()
    stored = json.loads(asked.file.read_text()) if asked.file.exists() else {}
    failed = 0
    for case in CASES:
        problem = case.problem()
        key = case.key(problem)
        known = asked.what == "write" and key in stored
        if known or (asked.quick and not case.quick) or asked.only not in key:
            continue
        found = solved(case, problem)
        if asked.what == "write":
            stored[key] = found
            asked.file.write_text(json.dumps(stored, indent=1) + "\n")
            print(f"{found['seconds']:7.1f} s  {key}", flush=True)
            continue
        said = apart(stored[key], found, not asked.quick)
        same = found["energies"] == stored[key]["energies"]
        failed += bool(said)
        print(
            f"{found['seconds']:7.1f} s ({stored[key]['seconds']:.1f})  {key}: "
            + ("; ".join(said) or ("same to the last bit" if same else "agrees")),
            flush=True,
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
