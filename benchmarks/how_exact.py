"""Worst relative error against wall clock: SpIN by Algorithm 1, SpIN Jacobian-free, Ritz (trained, untrained) and Grid.

    python benchmarks/how_exact.py [--seconds 300] [--out benchmarks/results/how_exact]

Two problems: 2D hydrogen with nine states, Hénon–Heiles with ten. Each point is a run of its own from a cold process (imports
not counted, compilation counted) with one setting moved: steps for SpIN, at most `--seconds` each; features for Ritz; points
for Grid. Writes error_against_time.json, which notebooks/how_exact.ipynb draws.
"""

import argparse
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np

import qspin
from qspin.run.problem_file import load_problem

CASES = {"2D hydrogen": ("hydrogen_2d", 9), "Hénon–Heiles": ("henon_heiles_2d", 10)}
SWEEPS: dict[str, list[Any]] = {
    "Grid": [24, 32, 48, 64, 96, 128],
    "Ritz, untrained": [25, 50, 100, 200, 400],
    "Ritz": [25, 50, 100, 200, 400],
    "SpIN, Jacobian-free": [300, 1000, 3000, 10_000, 30_000],
    "SpIN, Algorithm 1": [300, 1000, 3000, 10_000],
}


def method(name: str, value: int) -> Any:
    if name == "Grid":
        return qspin.Grid(points=value)
    if name.startswith("Ritz"):
        return qspin.Ritz(tolerance=1e-13, max_features=value, train=name == "Ritz")
    if name.endswith("Algorithm 1"):
        return qspin.SpIN(steps=value, estimator=qspin.AveragedJacobian())
    return qspin.SpIN(steps=value)


def one(case: str, name: str, value: int, pipe: Any) -> None:
    file, n_states = CASES[case]
    problem = load_problem(file).problem
    started = time.perf_counter()
    try:
        spectrum = qspin.solve(problem, n_states, method(name, value), progress=False)
    except (ValueError, RuntimeError) as error:
        pipe.send(str(error))
        return
    pipe.send((time.perf_counter() - started, spectrum.energies, spectrum.errors))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/how_exact"))
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    record: dict[str, dict[str, list[dict[str, float]]]] = {}
    print("| problem | method | setting | s | worst off, relative | worst claimed |")
    print("|---|---|---|---|---|---|")
    for case, (file, n_states) in CASES.items():
        problem = load_problem(file).problem
        closed = problem.exact_energies(n_states)
        truth = qspin.solve(problem, n_states, qspin.Grid()).energies if closed is None else closed[:n_states]
        record[case] = {}
        for name, values in SWEEPS.items():
            rows = record[case][name] = []
            for value in values:
                mine, theirs = context.Pipe()
                process = context.Process(target=one, args=(case, name, value, theirs))
                process.start()
                theirs.close()
                if not mine.poll(2 * options.seconds):
                    process.kill()
                    break
                got = mine.recv()
                process.join()
                if isinstance(got, str):
                    print(f"| {case} | {name} | {value} | – | {got[:60]} | – |", flush=True)
                    continue
                seconds, energies, errors = got
                off = float(np.max(np.abs(energies / truth - 1)))
                claimed = float(np.max(errors / np.abs(truth)))
                rows.append({"setting": value, "seconds": seconds, "error": off, "claimed": claimed})
                print(
                    f"| {case} | {name} | {value} | {seconds:.1f} | {off:.1e} | {claimed:.1e} |", flush=True
                )
                if seconds > options.seconds:
                    break
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "error_against_time.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
