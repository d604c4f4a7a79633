"""`Ritz` with default settings: accuracy, honesty and time, each row a process of its own, worst of several seeds.

    python benchmarks/ritz.py [claims] [honesty] [training] [--seeds 5]

`claims`: closed forms, or the grid where there is none; seconds are wall clock from a cold process, compilation included
(imports not). `honesty`: random smooth potentials in one to three dimensions against a far finer grid. `training`: the same
number of features, trained and not.
"""

import multiprocessing
import sys
import time
from typing import Any

import jax.numpy as jnp
import numpy as np
from grid import oscillator, quartic, random_potential

import qspin
from qspin import exact, potentials
from qspin.run.problem_file import load_problem


def hydrogen(dim: int, half_width: float) -> qspin.Problem:
    mass, closed = (0.5, exact.hydrogen_2d()) if dim == 2 else (1.0, exact.hydrogen_3d())
    coulomb = qspin.Potential(potentials.coulomb(1.0), singularities=[(0.0,) * dim])
    return qspin.Problem(
        qspin.Kinetic(mass=mass) + coulomb, qspin.Box.cube(half_width, dim=dim), exact=closed
    )


def double_well() -> qspin.Problem:
    """Anisotropic and turned by 0.6."""
    c, s = np.cos(0.6), np.sin(0.6)

    def v(x):  # type: ignore[no-untyped-def]
        a, b = c * x[0] + s * x[1], c * x[1] - s * x[0]
        return 0.1 * (a**2 - 4) ** 2 + 0.9 * b**2

    return qspin.Problem(qspin.Kinetic() + qspin.Potential(v), qspin.Box.cube(8.0, dim=2))


def ion() -> qspin.Problem:
    """H₂⁺ at R = 2, electronic energies in hartree."""

    def v(x):  # type: ignore[no-untyped-def]
        here, there = jnp.array([0.0, 0.0, 1.0]), jnp.array([0.0, 0.0, -1.0])
        return -1 / jnp.sqrt(jnp.sum((x - here) ** 2)) - 1 / jnp.sqrt(jnp.sum((x - there) ** 2))

    potential = qspin.Potential(v, singularities=[(0.0, 0.0, 1.0), (0.0, 0.0, -1.0)])
    return qspin.Problem(qspin.Kinetic() + potential, qspin.Box.cube(30.0, dim=3))


def square_well() -> qspin.Problem:
    v = qspin.Potential(lambda x: jnp.where(jnp.abs(x[0]) < 1.0, 0.0, 10.0))
    return qspin.Problem(qspin.Kinetic() + v, qspin.Box.cube(8.0, dim=1))


def square_well_levels() -> np.ndarray:
    """k tan k = κ and -k cot k = κ with k² + κ² = 2·10, a well of half-width 1 (mass 1)."""
    from scipy.optimize import brentq

    top = np.sqrt(20.0)
    places = ((0.0, np.pi / 2), (np.pi, top))
    even = [
        brentq(lambda k: k * np.tan(k) - np.sqrt(top**2 - k**2), low + 1e-9, high - 1e-9)
        for low, high in places
    ]
    odd = [brentq(lambda k: -k / np.tan(k) - np.sqrt(top**2 - k**2), np.pi / 2 + 1e-9, np.pi - 1e-9)]
    return np.sort(np.square([*even, *odd]) / 2)[:3]


MOLECULE = [-1.1026342144949, -0.667534392202, -0.428771819896, -0.428771819896]
ROWS: dict[str, tuple[Any, int, Any]] = {
    "2D hydrogen, walls at 100": (lambda: hydrogen(2, 100.0), 9, None),
    "2D hydrogen, walls at 150": (lambda: hydrogen(2, 150.0), 16, None),
    "3D hydrogen, walls at 60": (lambda: hydrogen(3, 60.0), 5, None),
    "3D hydrogen, walls at 100": (lambda: hydrogen(3, 100.0), 14, None),
    "Hénon–Heiles": (lambda: load_problem("henon_heiles_2d").problem, 10, "grid"),
    "−u″ + x⁴": (quartic, 6, "grid"),
    "2D box": (lambda: load_problem("box_2d").problem, 10, None),
    "2D oscillator −∇² + r²": (lambda: oscillator(2), 10, None),
    "3D oscillator −∇² + r²": (lambda: oscillator(3), 10, None),
    "turned double well": (double_well, 10, "grid"),
    "H₂⁺, R = 2": (ion, 4, MOLECULE),
    "chlorine dioxide": (lambda: load_problem("chlorine_dioxide").problem, 20, "grid"),
    "square well": (square_well, 3, "levels"),
}


def one(name: str, seed: int, pipe: Any) -> None:
    build, n_states, _ = ROWS[name]
    started = time.perf_counter()
    spectrum = qspin.solve(build(), n_states, qspin.Ritz(), seed=seed)
    pipe.send(
        (spectrum.energies, spectrum.errors, time.perf_counter() - started, spectrum.provenance["stages"][-1])
    )


def claims(seeds: int, names: list[str]) -> None:
    print("| problem | states | s | worst off | relative | worst claimed | off/claimed | features | points |")
    print("|---|---|---|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for name in names or ROWS:
        build, n_states, known = ROWS[name]
        problem = build()
        closed = problem.exact_energies(n_states)
        if known == "grid":
            truth = qspin.solve(problem, n_states, qspin.Grid()).energies
        elif known == "levels":
            truth = square_well_levels()
        else:
            truth = np.array(known) if known else np.asarray(closed)[:n_states]
        seconds, off, relative, claimed, ratio, last = 0.0, 0.0, 0.0, 0.0, 0.0, {}
        for seed in range(seeds):
            mine, theirs = context.Pipe()
            process = context.Process(target=one, args=(name, seed, theirs))
            process.start()
            theirs.close()
            energies, errors, taken, last = mine.recv()
            process.join()
            apart = np.abs(energies - truth)
            seconds, off = max(seconds, taken), max(off, apart.max())
            relative = max(relative, (apart / np.abs(truth)).max())
            claimed, ratio = max(claimed, errors.max()), max(ratio, (apart / errors).max())
        print(
            f"| {name} | {n_states} | {seconds:.1f} | {off:.1e} | {relative:.1e} | {claimed:.1e} | {ratio:.2f} "
            f"| {last['features']} | {last['points']} |",
            flush=True,
        )


def honesty() -> None:
    held, wide, missed, off_by = [], [], 0, []
    for dim, count in ((1, 30), (2, 24), (3, 6)):
        for seed in range(200, 200 + count):
            problem = random_potential(dim, seed)
            truth = qspin.solve(problem, 6, qspin.Grid())
            spectrum = qspin.solve(problem, 6, qspin.Ritz())
            off = np.abs(spectrum.energies - truth.energies)
            held.extend((off <= spectrum.errors + truth.errors).tolist())
            off_by.extend((off / np.abs(truth.energies)).tolist())
            known = off > 10 * truth.errors
            wide.extend((spectrum.errors / off)[known].tolist())
            missed += int((off > 0.1 * np.diff(truth.energies).max()).any())
            print(
                f"{problem.name}: off/claimed {(off / spectrum.errors).max():.2f}, off {off.max():.1e}, "
                f"{spectrum.provenance['seconds']} s",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    print("60 random potentials (30 in 1D, 24 in 2D, 6 in 3D), 6 states each\n")
    print(
        "| inside the claimed error | claimed/true, median | 95 % | relative error, median | largest | state missed |"
    )
    print("|---|---|---|---|---|---|")
    print(
        f"| {np.mean(held):.1%} | {np.median(wide):.1f} | {np.quantile(wide, 0.95):.0f} | {np.median(off_by):.1e} "
        f"| {np.max(off_by):.1e} | {missed} |"
    )


def training() -> None:
    print("| problem | features | untrained: off, s | trained: off, s | off/off |")
    print("|---|---|---|---|---|")
    for name in (
        "2D hydrogen, walls at 100",
        "3D hydrogen, walls at 60",
        "Hénon–Heiles",
        "−u″ + x⁴",
        "2D box",
        "turned double well",
    ):
        build, n_states, known = ROWS[name]
        problem = build()
        truth = (
            qspin.solve(problem, n_states, qspin.Grid()).energies
            if known == "grid"
            else np.asarray(problem.exact_energies(n_states))[:n_states]
        )
        for features in (50, 100, 200):
            cells = []
            for train in (False, True):
                started = time.perf_counter()
                spectrum = qspin.solve(
                    problem, n_states, qspin.Ritz(tolerance=1e-13, max_features=features, train=train)
                )
                off = float(np.max(np.abs(spectrum.energies / truth - 1)))
                cells.append((off, time.perf_counter() - started))
            (plain, s), (better, t) = cells
            print(
                f"| {name} | {features} | {plain:.1e}, {s:.1f} | {better:.1e}, {t:.1f} | {plain / better:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    words = sys.argv[1:]
    seeds = int(words[words.index("--seeds") + 1]) if "--seeds" in words else 5
    named = [word for word in words if word in ROWS]
    if "claims" in words or not words or named:
        claims(seeds, named)
    if "honesty" in words or not words:
        honesty()
    if "training" in words or not words:
        training()
