"""Runs that survive: killed at random moments and while they write, damaged files, a full disk; what checkpoints cost.

    python benchmarks/survive.py kills [--moments 20] [--seed 0]    a Markdown table, one row a kill
    python benchmarks/survive.py cost                               share of training time that checkpoints take
    python benchmarks/survive.py start                              seconds of `import qspin` and `qspin --help`

Processes of one folder share compiled programs, so that a resumed one starts in seconds.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
STEPS = 50_000

# What is trained: a harmonic oscillator in 1D, a tiny network, 50 chunks, a checkpoint after every one.
CHILD = f"""
import signal, sys
import qspin
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job of a shell ignores
problem = qspin.Problem(
    qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(1.0)), qspin.Box.cube(7.0, dim=1), name="survivor")
method = qspin.SpIN(steps={STEPS}, batch_size=32, network=qspin.SeparateMLPs((8,)), evaluation_points=4096)
def told(step, state, info):
    print(step, flush=True)
spectrum = qspin.solve(problem, 3, method, seed=7, checkpoint=sys.argv[1], checkpoint_every=0.0, callback=told)
spectrum.save(sys.argv[2])
"""

KINDS = [
    "SIGKILL while it trains",
    "SIGKILL while it writes",
    "SIGKILL; newest file cut in half",
    "SIGKILL while it writes; a bit of the newest file flipped",
    "SIGKILL; disk full all the time",
]
CTRL_C = "Ctrl-C"


class Survivor:
    """One run in a folder: begun, killed and resumed, each time by a new process."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.newest, self.before = folder / "run.npz", folder / "run.previous.npz"
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "3",  # a cached program complains of the machine that it was compiled on, this one
        }

    def start(self, full: bool = False) -> subprocess.Popen[str]:
        """A process that trains to the end, from where the checkpoint is; on a disk where no file grows, if `full`."""
        command = [sys.executable, "-c", CHILD, str(self.newest), str(self.folder / "spectrum.npz")]
        options: dict[str, Any] = {"preexec_fn": _no_room} if full else {}
        with open(self.folder / "said.txt", "w") as said:
            return subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=said, text=True, env=self._environment, **options
            )

    def said(self) -> str:
        """What the last process wrote to stderr."""
        return (self.folder / "said.txt").read_text()

    def finish(self) -> dict[str, np.ndarray]:
        """Train to the end: everything in the spectrum's file but what names times and versions."""
        process = self.start()
        process.communicate()
        if process.returncode:
            raise RuntimeError(self.said())
        with np.load(self.folder / "spectrum.npz", allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name not in ("meta", "history/seconds")}

    def kill(self, kind: str, rng: random.Random) -> dict[str, Any]:
        """Start a process, kill it after a few chunks, and look at what it leaves."""
        process = self.start(full="disk full" in kind)
        assert process.stdout is not None
        told = 0
        for _ in range(rng.randint(1, 2)):
            told = int(process.stdout.readline() or told)
        if "writes" in kind:
            partial = self.folder / f".{self.newest.name}.{process.pid}.part"
            deadline = time.monotonic() + 20
            while not partial.exists() and time.monotonic() < deadline and process.poll() is None:
                pass
        else:
            time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGINT if kind == CTRL_C else signal.SIGKILL)
        rest, _ = process.communicate()
        told = int(rest.split()[-1]) if rest.split() else told
        left = any(path.suffix == ".part" for path in self.folder.iterdir())
        if "half" in kind and self.newest.exists():
            self.newest.write_bytes(self.newest.read_bytes()[: self.newest.stat().st_size // 2])
        if "flipped" in kind and self.newest.exists():
            data = bytearray(self.newest.read_bytes())
            data[rng.randrange(len(data) // 2)] ^= 1 << rng.randrange(8)
            self.newest.write_bytes(bytes(data))
        return {"kind": kind, "code": process.returncode, "told": told, "left": left, "good": self.good()}

    def good(self) -> int:
        """The step of the newest file that is whole; 0 where there is none."""
        from qspin.run.checkpoint import _read

        for path in (self.newest, self.before):
            try:
                return int(_read(path)["history/step"][-1])
            except Exception:
                continue
        return 0


def _no_room() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def same(found: dict[str, np.ndarray], whole: dict[str, np.ndarray]) -> list[str]:
    """Names of arrays that differ in a single bit."""
    names = sorted(found.keys() | whole.keys())
    return [n for n in names if n not in found or n not in whole or found[n].tobytes() != whole[n].tobytes()]


def kills(moments: int, seed: int) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / name for name in ("whole", "killed")]
        for folder in folders:
            folder.mkdir()
        whole = Survivor(folders[0], Path(place) / "cache").finish()
        run = Survivor(folders[1], Path(place) / "cache")
        print("| kill | how | last chunk told, step | half-written file left | next run goes on from step |")
        print("|---|---|---|---|---|")
        for moment in range(moments):
            row = run.kill(KINDS[moment % len(KINDS)], rng)
            assert row["code"] == -signal.SIGKILL, run.said()
            print(
                f"| {moment + 1} | {row['kind']} | {row['told']} | {'yes' if row['left'] else 'no'} | {row['good']} |",
                flush=True,
            )
        found = run.finish()
        differing = same(found, whole)
        print(f"\nenergies {found['energies']}, uninterrupted {whole['energies']}")
        print(
            f"{len(whole)} arrays of the two spectra, history included: "
            + (f"{', '.join(differing)} DIFFER" if differing else "equal to the last bit")
        )


def cost() -> None:
    """The default SpIN on two problems, its checkpoints timed one by one at the end of every chunk."""
    import qspin
    from qspin.run.checkpoint import Checkpoints

    print(
        "| problem | states | parameters | bytes | one checkpoint, median (ms) | most (ms) | share at 30 s |"
    )
    print("|---|---|---|---|---|---|---|")
    real = Checkpoints.save
    for dim, n_states, width in ((1, 6, 32), (3, 20, 128)):
        seconds: list[float] = []

        def save(files: Any, progress: Any, seconds: list[float] = seconds) -> bool:
            begun = time.perf_counter()
            done = real(files, progress)
            seconds.append(time.perf_counter() - begun)
            return done

        problem = qspin.Problem(
            qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(1.0)), qspin.Box.cube(7.0, dim=dim)
        )
        method = qspin.SpIN(steps=500, network=qspin.SeparateMLPs((width, width)), evaluation_points=4096)
        wavefunction = method.wavefunction(problem, n_states)
        import jax

        count = sum(a.size for a in jax.tree.leaves(wavefunction.init(jax.random.key(0))))
        Checkpoints.save = save  # type: ignore[method-assign]
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "run.npz"
            qspin.solve(
                problem,
                n_states,
                method,
                checkpoint=path,
                checkpoint_every=0.0,
                callback=lambda s, *_: s >= 200,
            )
            size = path.stat().st_size
        Checkpoints.save = real  # type: ignore[method-assign]
        middle = statistics.median(seconds)
        print(
            f"| harmonic, {dim}D | {n_states} | {count} | {size} | {1e3 * middle:.1f} | {1e3 * max(seconds):.0f} "
            f"| {middle / 30:.3%} |"
        )


def start(times: int = 9) -> None:
    """Medians of whole processes, in turn so that a busy machine is busy for all of them."""
    programs = {
        "python -c pass": ["-c", "pass"],
        "python -c 'import jax'": ["-c", "import jax"],
        "python -c 'import qspin'": ["-c", "import qspin"],
        "qspin --help": ["-m", "qspin", "--help"],
    }
    wall: dict[str, list[float]] = {name: [] for name in programs}
    busy: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as place:
        # Compiled once, as an installed package is.
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": place}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for turn in range(times + 1):
            for name, arguments in programs.items():
                before, begun = os.times(), time.perf_counter()
                subprocess.run(
                    [sys.executable, *arguments],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    check=True,
                )
                after = os.times()
                if turn:
                    wall[name].append(time.perf_counter() - begun)
                    used = (
                        after.children_user - before.children_user,
                        after.children_system - before.children_system,
                    )
                    busy[name].append(sum(used))
    print("| | wall clock, median (s) | least (s) | processor time, median (s) |")
    print("|---|---|---|---|")
    for name in programs:
        print(
            f"| `{name}` | {statistics.median(wall[name]):.2f} | {min(wall[name]):.2f} | {statistics.median(busy[name]):.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["kills", "cost", "start"])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.what == "kills":
        kills(options.moments, options.seed)
    else:
        {"cost": cost, "start": start}[options.what]()


if __name__ == "__main__":
    main()
