"""Checkpoints: what a run resumes from, whatever stopped it. Two files, newest and the one before; damage is noticed."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import time
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qspin.methods.base import Method
from qspin.numerics import precision
from qspin.numerics.points import Points
from qspin.problem.problem import Problem
from qspin.spectrum.atomic_files import npz_path, partial_path, write_npz

__all__ = ["FORMAT_VERSION", "Checkpoints", "Progress", "identity_of", "joined"]

FORMAT_VERSION = 1

_log = logging.getLogger(__name__)


class Progress(NamedTuple):
    """How far a run is. Never changed, only replaced, so that an interruption finds either this chunk or the one before."""

    state: Any  # the method's, with a counter `step`
    records: tuple[dict[str, np.ndarray], ...] = ()  # of the history
    seconds: float = 0.0
    finished: bool = False  # before the last step, because enough is known
    memories: Mapping[str, Mapping[str, np.ndarray]] = {}  # of callbacks, by name

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.state.step)


class Checkpoints:
    """The checkpoint `path` of one run, and the one before it, NAME.previous.npz.

    A file is written under another name, forced to disk and then renamed, so that at every moment one of the two is whole. A
    SHA-256 digest of everything inside tells a damaged one. A full disk costs a warning, not the run.

    Raises FileNotFoundError or PermissionError at once where `path` can never be written.
    """

    def __init__(self, path: str | os.PathLike[str], identity: str, every: float) -> None:
        self.path = npz_path(path)
        self.previous = self.path.with_suffix(".previous.npz")
        self._identity, self._every = identity, every
        self._saved_at = time.monotonic()
        self._latest: Progress | None = None  # what the newest file holds
        self._failing = False
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"solve: there is no folder {self.path.parent} for the checkpoint {path}."
            )
        self._clean()
        probe = partial_path(self.path)
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):  # room may be made while it trains
                raise

    def _clean(self) -> None:
        """Remove what processes that were killed while they wrote left behind."""
        pattern = re.compile(re.escape(f".{self.path.name}.") + r"\d+\.part")
        for leftover in self.path.parent.iterdir():
            if pattern.fullmatch(leftover.name):
                leftover.unlink(missing_ok=True)
                _log.info("removed %s, half written by a process that was killed", leftover)

    @property
    def due(self) -> bool:
        """Whether the last attempt to save is long enough ago."""
        return time.monotonic() - self._saved_at >= self._every

    @property
    def latest_step(self) -> int | None:
        """Steps in the newest good file."""
        return None if self._latest is None else self._latest.step

    def save(self, progress: Progress) -> bool:
        """Write the newest file; whether that succeeded. One warning where it begins to fail."""
        if progress is self._latest:
            return True
        # A newest file that is damaged must not replace the one before it, which is good.
        previous = None if self._latest is None else self.previous
        try:
            write_npz(self.path, _contents(progress, self._identity), previous)
        except OSError as error:
            if not self._failing:
                warnings.warn(
                    f"solve: the checkpoint {self.path} cannot be written at step {progress.step} ({error}). Training goes on, "
                    f"and tries again every {self._every:g} s.",
                    RuntimeWarning,
                    stacklevel=2,
                )
            self._failing = True
            return False
        finally:
            self._saved_at = time.monotonic()
        self._latest, self._failing = progress, False
        _log.info("step %d: saved to %s", progress.step, self.path)
        return True

    def restore(self, fresh: Any) -> Progress | None:
        """What the newest good file holds, with leaves like those of the state `fresh`; None where there is no file.

        Raises ValueError for the file of another run, of a newer format, or where no file is good.
        """
        bad: list[str] = []
        for path in (self.path, self.previous):
            if not path.exists():
                continue
            try:
                contents = _read(path)
            except Exception as error:
                bad.append(f"{path} is damaged ({error})")
                continue
            progress = self._progress(path, contents, fresh)
            if path == self.path:
                self._latest = progress
            else:
                warnings.warn(
                    f"solve: {bad[0] if bad else f'the checkpoint {self.path} is missing'}. Going on from the one before it, "
                    f"{path}, at step {progress.step}; to start again, delete that too.",
                    RuntimeWarning,
                    stacklevel=2,
                )
            _log.info("resumed at step %d from %s", progress.step, path)
            return progress
        if bad:
            raise ValueError(
                f"solve: no checkpoint can be read: {'; '.join(bad)}. Delete what is damaged and start again."
            )
        return None

    def _progress(self, path: Path, contents: Mapping[str, np.ndarray], fresh: Any) -> Progress:
        if "format" in contents and int(contents["format"]) > FORMAT_VERSION:
            raise ValueError(
                f"solve: the checkpoint {path} has format {contents['format']}, this qspin reads up to {FORMAT_VERSION}: "
                "update qspin, or use another checkpoint file."
            )
        leaves, structure = jax.tree.flatten(fresh)
        stored = [contents.get(f"state/{i}") for i in range(len(leaves))]
        if str(contents.get("identity")) != self._identity or any(
            a is None or a.shape != b.shape for a, b in zip(stored, leaves, strict=True)
        ):
            raise ValueError(
                f"solve: the checkpoint {path} belongs to a run with another problem, n_states, method or "
                "seed. Use the same settings, or another checkpoint file."
            )
        # The leaves of the fresh state carry the types; float64 ones need the flag to stay float64.
        with precision.precision("float64"):
            state = [jnp.asarray(a, leaf.dtype) for a, leaf in zip(stored, leaves, strict=True)]
        memories: dict[str, dict[str, np.ndarray]] = {}
        for name, values in _under("callback/", contents).items():
            owner, _, key = name.partition("/")
            memories.setdefault(owner, {})[key] = values
        history = _under("history/", contents)
        return Progress(
            jax.tree.unflatten(structure, state),
            (history,) if history else (),
            float(contents["seconds"]),
            bool(contents["finished"]),
            memories,
        )


def joined(records: tuple[dict[str, np.ndarray], ...]) -> dict[str, np.ndarray]:
    """Records one after the other, as one history."""
    return {name: np.concatenate([r[name] for r in records]) for name in records[0]} if records else {}


def _contents(progress: Progress, identity: str) -> dict[str, np.ndarray]:
    contents = {
        "format": np.array(FORMAT_VERSION),
        "identity": np.array(identity),
        "seconds": np.array(progress.seconds),
        "finished": np.array(progress.finished),
        **{f"state/{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(progress.state))},
        **{f"history/{name}": values for name, values in joined(progress.records).items()},
        **{
            f"callback/{owner}/{key}": np.asarray(values)
            for owner, memory in progress.memories.items()
            for key, values in memory.items()
        },
    }
    return {**contents, "digest": np.array(_digest(contents))}


def _read(path: Path) -> dict[str, np.ndarray]:
    """Numbers and text of a file, never code. Raises where a single bit of them is not as it was written."""
    with zipfile.ZipFile(path) as archive:
        wrong = archive.testzip()  # before NumPy reads a header that may be nonsense
    if wrong is not None:
        raise ValueError(f"the checksum of {wrong} is wrong")
    with np.load(path, allow_pickle=False) as file:
        contents = {name: file[name] for name in file.files}
    digest = contents.pop("digest", None)
    # Without a format it is no checkpoint, with a newer one its digest may be another; both are refused later.
    ours = not contents or int(contents.get("format", FORMAT_VERSION + 1)) <= FORMAT_VERSION
    if ours and str(digest) != _digest(contents):
        raise ValueError("its digest is wrong")
    return contents


def _digest(contents: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, values in sorted(contents.items()):
        digest.update(f"{name} {values.dtype.str} {values.shape} ".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _under(prefix: str, contents: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): values for name, values in contents.items() if name.startswith(prefix)}


def identity_of(problem: Problem, n_states: int, method: Method, seed: int) -> str:
    """A fingerprint of what is being trained, so that a checkpoint is not taken up by another run."""
    rng = np.random.default_rng(0)
    with precision.double_precision():
        unit = rng.uniform(1e-9, 1 - 1e-9, (64, problem.dim))  # in a box V was found finite there
        points = np.asarray(problem.domain.from_unit(jnp.asarray(unit)))
    if problem.local_form is not None:
        values = problem.potential_values(points)
    else:  # what the operator does to a function, at one half of the points; an integral sums over the other half
        with precision.double_precision():
            halves = [Points(jnp.asarray(half), jnp.ones(32)) for half in np.split(points, 2)]
            values = np.asarray(problem.hamiltonian.image(jnp.sin, halves[0].x, halves[1]))
    potential = " ".join(f"{v:.6g}" for v in np.ravel(values))
    asked = f"{n_states} {'largest' if problem.largest else 'lowest'}"
    text = f"{problem.name}|{problem.domain}|{problem.hamiltonian}|{potential}|{asked}|{method}|{seed}"
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", text).encode()).hexdigest()
