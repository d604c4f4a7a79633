"""Many dimensions: energies against closed forms and `ProductBasis`, seconds, honesty of the claimed errors; plain
networks under SpIN beside it; and what a step costs.

    python benchmarks/many_dimensions.py energies [--seeds 3] [NAME …]
    python benchmarks/many_dimensions.py ways [--seeds 3]
    python benchmarks/many_dimensions.py cost
"""

import importlib.util
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import qspin
from qspin.methods.sampled.functions import TrialSpace
from qspin.methods.sampled.training import Training
from qspin.numerics.points import golden_lattice
from qspin.numerics.precision import double_precision
from qspin.numerics.separable import lowest_products

PROBLEMS = Path(__file__).parents[1] / "problems"


def shipped(name: str, *arguments: Any) -> qspin.Problem:
    spec = importlib.util.spec_from_file_location(name, PROBLEMS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make(*arguments) if arguments else module.problem


def lowest_sums(ladders: list[np.ndarray], n: int) -> np.ndarray:
    """The n lowest sums of one level of each ladder, best first."""
    levels = np.array(ladders)
    return levels[:, 0].sum() + lowest_products(levels - levels[:, :1], n)[1][:n]


def turned_quartic(dim: int) -> tuple[qspin.Problem, list[np.ndarray]]:
    """½ω_i² q_i² + 0.05 q_i⁴ with ω_i = √(i/2), all coordinates turned at random; the levels of each axis."""
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(dim, dim)))[0]
    omega = np.sqrt(np.arange(1, dim + 1) / 2)
    ladders = []
    for w in omega:
        one = qspin.Potential(lambda x, w=w: 0.5 * w**2 * x[0] ** 2 + 0.05 * x[0] ** 4)
        box = qspin.Box.cube(9.0, dim=1)
        ladders.append(qspin.solve(qspin.Problem(qspin.Kinetic() + one, box), 6, qspin.Grid()).energies)

    def v(x):  # type: ignore[no-untyped-def]
        q = jnp.asarray(turn) @ x
        return jnp.sum(0.5 * omega**2 * q**2 + 0.05 * q**4)

    return qspin.Problem(qspin.Kinetic() + qspin.Potential(v), qspin.Space(dim)), ladders


def chain_levels(dim: int, n: int) -> np.ndarray:
    """By exact diagonalisation in products of oscillator functions."""
    return qspin.solve(shipped("anharmonic_chain", dim), n, qspin.ProductBasis(max_functions=60_000)).energies


# name: problem, states, settings, truth (None: the problem's closed form)
ROWS: dict[str, Any] = {
    "coupled oscillators, d = 6": (lambda: shipped("coupled_oscillators", 6), 8, {}, None),
    "coupled oscillators, d = 12": (lambda: shipped("coupled_oscillators", 12), 13, {}, None),
    "coupled oscillators, d = 64": (lambda: shipped("coupled_oscillators", 64), 65, {}, None),
    "the same in the user's axes, d = 6": (
        lambda: shipped("coupled_oscillators", 6), 8, {"normal_coordinates": False}, None,
    ),
    "the same in the user's axes, d = 12": (
        lambda: shipped("coupled_oscillators", 12), 13, {"normal_coordinates": False}, None,
    ),
    "the same in the user's axes, d = 64": (
        lambda: shipped("coupled_oscillators", 64), 65, {"normal_coordinates": False}, None,
    ),
    "quartic, turned, d = 6": (
        lambda: turned_quartic(6)[0], 8, {}, lambda: lowest_sums(turned_quartic(6)[1], 8),
    ),
    "quartic, turned, d = 12": (
        lambda: turned_quartic(12)[0], 13, {}, lambda: lowest_sums(turned_quartic(12)[1], 13),
    ),
    "−∇² in [0, 1]⁵": (lambda: shipped("box_5d"), 6, {}, None),
    "anharmonic chain, d = 6": (lambda: shipped("anharmonic_chain", 6), 7, {}, lambda: chain_levels(6, 7)),
    "Moshinsky, 3 particles in 2D": (lambda: shipped("moshinsky"), 6, {}, None),
}  # fmt: skip


def one(name: str, seed: int, pipe: Any) -> None:
    build, n_states, settings, _ = ROWS[name]
    started = time.perf_counter()
    method = qspin.SampledRitz(**settings) if settings else None
    spectrum = qspin.solve(build(), n_states, method, seed=seed)
    steps = len(spectrum.history["residuals"]) if "residuals" in spectrum.history else 0
    pipe.send((spectrum.energies, spectrum.errors, time.perf_counter() - started, steps, spectrum.provenance))


def energies(seeds: int, names: list[str]) -> None:
    print(
        "| problem | states / features | steps | points | s | worst, relative | mean, relative | excitations, mean "
        "| worst claimed | within 2 claimed |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for name in names or ROWS:
        build, n_states, _, known = ROWS[name]
        truth = np.asarray(build().exact_energies(n_states) if known is None else known())[:n_states]
        worst, mean, excited, seconds, claimed, held = 0.0, 0.0, 0.0, 0.0, 0.0, []
        for seed in range(seeds):
            mine, theirs = context.Pipe()
            process = context.Process(target=one, args=(name, seed, theirs))
            process.start()
            theirs.close()
            found, errors, taken, steps, provenance = mine.recv()
            process.join()
            off = np.abs(found - truth)
            rises = (found - found[0])[1:] / (truth - truth[0])[1:] - 1
            worst, mean = max(worst, (off / truth).max()), max(mean, (off / truth).mean())
            excited, seconds = max(excited, np.abs(rises).mean()), max(seconds, taken)
            claimed = max(claimed, (errors / truth).max())
            held += (off <= 2 * errors + 1e-9 * truth).tolist()
        features, points = provenance["n_features"], provenance["evaluated_on"]
        print(
            f"| {name} | {n_states} / {features} | {steps} | {points / 1e6:.2f}·10⁶ | {seconds:.0f} | {worst:.1e} | {mean:.1e} "
            f"| {excited:.1e} | {claimed:.1e} | {np.mean(held):.0%} |",
            flush=True,
        )


# The same problem with plain networks under SpIN, with about as many steps as take the same time.
WAYS: dict[str, Any] = {
    "SampledRitz": lambda: qspin.SampledRitz(normal_coordinates=False, steps=400),
    "SpIN, mask × plain networks": lambda: qspin.SpIN(steps=3000, batch_size=1024),
}


def way(build: Any, n_states: int, label: str, seed: int, pipe: Any) -> None:
    started = time.perf_counter()
    try:
        spectrum = qspin.solve(build[0](*build[1:]), n_states, WAYS[label](), seed=seed)
    except (qspin.TrainingError, ValueError) as error:
        pipe.send(str(error).splitlines()[0][:60])
        return
    residuals = (
        spectrum.history["residuals"][-20:].mean(0).max() if "residuals" in spectrum.history else np.nan
    )
    pipe.send((spectrum.energies, spectrum.errors, time.perf_counter() - started, residuals))


def ways(seeds: int) -> None:
    """The same problem by other networks; worst of the seeds."""
    context = multiprocessing.get_context("spawn")
    print("| problem | states | way | steps | s | residual | worst, relative | within 2 claimed |")
    print("|---|---|---|---|---|---|---|---|")
    problems = (
        ("coupled oscillators, user's axes, d = 6", (shipped, "coupled_oscillators", 6), 8),
        ("coupled oscillators, user's axes, d = 6", (shipped, "coupled_oscillators", 6), 24),
    )
    for name, build, n_states in problems:
        truth = np.asarray(build[0](*build[1:]).exact_energies(n_states))[:n_states]
        for label, method in WAYS.items():
            steps = method().steps
            rows: list[Any] = []
            for seed in range(seeds):
                mine, theirs = context.Pipe()
                process = context.Process(target=way, args=(build, n_states, label, seed, theirs))
                process.start()
                theirs.close()
                rows.append(mine.recv())
                process.join()
            lost = [row for row in rows if isinstance(row, str)]
            rows = [row for row in rows if not isinstance(row, str)]
            if not rows:
                print(f"| {name} | {n_states} | {label} | {steps} | – | – | {lost[0]} | – |", flush=True)
                continue
            off = [np.abs(e - truth) for e, *_ in rows]
            held = np.mean([o <= 2 * errors for o, (_, errors, *_) in zip(off, rows, strict=True)])
            print(
                f"| {name} | {n_states} | {label} | {steps} | {max(r[2] for r in rows):.0f} | {max(r[3] for r in rows):.1e} "
                f"| {max((o / truth).max() for o in off):.1e} | {held:.0%} |"
                + (f" {len(lost)} of {seeds} lost" if lost else ""),
                flush=True,
            )


def cost() -> None:
    """Milliseconds and memory of a whole training step, by dimension, states and batch, against the law in `Training.step`."""
    print(
        "| d | states | features M | batch B | a step, ms | of the law | memory, MiB | of the law | compilation, s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    cases = [(d, 8, 4096) for d in (4, 8, 16, 32, 64)] + [(8, n, 4096) for n in (4, 16, 32, 64, 128)]
    cases += [(8, 8, b) for b in (1024, 16384, 65536)] + [(32, 32, 2048), (16, 128, 1024), (64, 64, 2048)]
    found = []
    for dim, n, batch in cases:
        with double_precision():
            problem = shipped("coupled_oscillators", dim)
            ansatz = qspin.SampledRitz(normal_coordinates=False).ansatz(problem, n)
            trial = TrialSpace(ansatz, problem.local.potential, n)
            lattice = golden_lattice(batch, dim + 1, offset=0.0)
            training = Training(trial, lattice, 100, 1.0, 0.2)
            state = training.init(0)
            started = time.perf_counter()
            program = jax.jit(training.step).lower(state).compile()
            compiled = time.perf_counter() - started
            memory = program.memory_analysis().temp_size_in_bytes
            state, _ = program(state)
            runs = []
            for _ in range(15):
                jax.block_until_ready(state)
                started = time.perf_counter()
                jax.block_until_ready(program(state))
                runs.append(time.perf_counter() - started)
        m, w = ansatz.n_features, ansatz.widths[0]
        time_law = batch * (dim * (dim + w) * w + dim**3 + 40 * dim * w + 20 * m * w + 4 * m**2)
        memory_law = 8 * batch * (4 * w * dim + dim**2 + 5 * m + 200)
        found.append((dim, n, m, batch, min(runs), time_law, memory, memory_law, compiled))
    unit = np.median([row[4] / row[5] for row in found])
    for dim, n, m, batch, seconds, time_law, memory, memory_law, compiled in found:
        print(
            f"| {dim} | {n} | {m} | {batch} | {1e3 * seconds:.0f} | {seconds / time_law / unit:.2f} | {memory / 2**20:.0f} "
            f"| {memory / memory_law:.2f} | {compiled:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    words = sys.argv[1:]
    count = int(words[words.index("--seeds") + 1]) if "--seeds" in words else 3
    named = [word for word in words if word in ROWS]
    if "energies" in words or not words or named:
        energies(count, named)
    if "ways" in words or not words:
        ways(count)
    if "cost" in words or not words:
        cost()
