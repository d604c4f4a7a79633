"""Checkpoints and interruptions: what a run resumes from, whatever stopped it.

Two files, the newest and the one before, so that one is always whole; a digest tells a damaged one. The first Ctrl-C or SIGTERM
asks training to stop where nothing is lost, the second stops it at once.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qspin.methods.base import Method
from qspin.numerics import precision
from qspin.numerics.points import Points
from qspin.problem.problem import Problem
from qspin.spectrum.eigenfunctions import arrays_under
from qspin.spectrum.store import npz_path, partial_path, whole_file

__all__ = ["FORMAT_VERSION", "Checkpoints", "Interrupted", "Progress", "Watch", "identity_of", "joined"]

FORMAT_VERSION = 2

_log = logging.getLogger(__name__)

# Only what Python and the system put there is replaced: a program with handlers of its own has plans with them, and what is
# ignored (as under nohup) stays ignored.
_DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}

Arrays = Mapping[str, np.ndarray]


class Interrupted(KeyboardInterrupt):
    """Training was interrupted after `step` of `steps`. It goes on from the file `checkpoint`; None where there is none."""

    def __init__(self, message: str, step: int, steps: int, checkpoint: Path | None = None) -> None:
        super().__init__(message)
        self.step, self.steps, self.checkpoint = step, steps, checkpoint


class Watch:
    """Listens, within `with Watch() as watch`, to the first SIGINT or SIGTERM; only the main thread hears signals.

    `stop` is True from then on. Inside `droppable()` the signal also raises KeyboardInterrupt, and `dropped` is True. The
    handlers that were there are put back at the end, and by the first signal: the second one does what it always did.
    """

    def __init__(self) -> None:
        self.stop = self.dropped = self._droppable = False

    def __enter__(self) -> Watch:
        if threading.current_thread() is threading.main_thread():
            for number, default in _DEFAULTS.items():
                if signal.getsignal(number) == default:
                    signal.signal(number, self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        for number, default in _DEFAULTS.items():
            if signal.getsignal(number) == self._hear:
                signal.signal(number, default)  # type: ignore[arg-type]

    def _hear(self, *signal_and_frame: object) -> None:
        self.__exit__()
        self.stop, self.dropped = True, self._droppable
        if self._droppable:
            raise KeyboardInterrupt

    @contextmanager
    def droppable(self) -> Iterator[None]:
        """Work that can be done again."""
        self._droppable = True
        try:
            yield
        finally:
            self._droppable = False


class Progress(NamedTuple):
    """How far a run is. Never changed, only replaced, so that an interruption finds either this chunk or the one before."""

    state: Any  # the method's, a pytree with a counter `step`
    records: tuple[Arrays, ...] = ()  # of the history
    seconds: float = 0.0
    finished: bool = False  # before the last step, because enough is known
    memories: Arrays = MappingProxyType({})  # of callbacks

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.state.step)


def joined(records: tuple[Arrays, ...]) -> dict[str, np.ndarray]:
    """Records one after the other, as one history."""
    return {name: np.concatenate([r[name] for r in records]) for name in records[0]} if records else {}


class Checkpoints:
    """The checkpoint `path` of one run, and the one before it, NAME.previous.npz.

    A file is written under another name, forced to disk and then renamed, so that at every moment one of the two is whole. The
    SHA-256 digest of the archive, which follows it in the file, tells a damaged one. A full disk costs a warning, not the run.

    Raises FileNotFoundError or PermissionError at once where `path` can never be written.
    """

    def __init__(self, path: str | os.PathLike[str], identity: str, every: float) -> None:
        self.path = npz_path(path)
        self.previous = self.path.with_suffix(".previous.npz")
        self.latest: Progress | None = None  # what the newest good file holds
        self._identity, self._every = identity, every
        self._saved_at, self._failing = time.monotonic(), False
        if not (folder := self.path.parent).is_dir():
            raise FileNotFoundError(f"solve: there is no folder {folder} for the checkpoint {path}.")
        for leftover in folder.iterdir():  # half written by processes that were killed
            if re.fullmatch(re.escape(f".{self.path.name}.") + r"\d+\.part", leftover.name):
                leftover.unlink(missing_ok=True)
        probe = partial_path(self.path)
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):  # there may be space later
                raise

    @property
    def due(self) -> bool:
        """Whether the last attempt to save is long enough ago."""
        return time.monotonic() - self._saved_at >= self._every

    def save(self, progress: Progress) -> None:
        """Write the newest file; one warning where that begins to fail."""
        if progress is self.latest:
            return
        # A newest file that is damaged must not replace the one before it, which is good.
        previous = None if self.latest is None else self.previous
        self._saved_at = time.monotonic()
        try:
            with whole_file(self.path, previous) as file:
                file.write(_bytes(progress, self._identity))
        except OSError as error:
            if not self._failing:
                why = f"cannot be written at step {progress.step} ({error}). Training goes on, and tries again every"
                text = f"solve: the checkpoint {self.path} {why} {self._every:g} s."
                warnings.warn(text, RuntimeWarning, stacklevel=2)
            self._failing = True
        else:
            self.latest, self._failing = progress, False
            _log.info("step %d: saved to %s", progress.step, self.path)

    def restore(self, fresh: Any) -> Progress | None:
        """What the newest good file holds, with leaves like those of the state `fresh`; None where there is no file.

        Raises ValueError for the file of another run, of a newer format, or where no file is good.
        """
        problems = [] if self.path.exists() else [f"the checkpoint {self.path} is missing"]
        for path in filter(Path.exists, (self.path, self.previous)):
            try:
                contents = _read(path)
            except Exception as error:
                problems.append(f"{path} is damaged, or no checkpoint ({error})")
                continue
            progress = self._progress(path, contents, fresh)
            if path == self.path:
                self.latest = progress
            else:
                before = f"Going on from the one before it, {path}, at step {progress.step}"
                text = f"solve: {problems[0]}. {before}; to start again, delete that too."
                warnings.warn(text, RuntimeWarning, stacklevel=2)
            _log.info("resumed at step %d from %s", progress.step, path)
            return progress
        if self.path.exists() or self.previous.exists():
            why = f"no checkpoint can be read: {'; '.join(problems)}"
            raise ValueError(
                f"solve: {why}. Delete what is damaged and start again, or use another checkpoint file."
            )
        return None

    def _progress(self, path: Path, contents: Arrays, fresh: Any) -> Progress:
        if (version := int(contents["format"])) > FORMAT_VERSION:
            newer = f"has format {version}, this qspin reads up to {FORMAT_VERSION}: update qspin"
            raise ValueError(f"solve: the checkpoint {path} {newer}, or use another checkpoint file.")
        leaves, structure = jax.tree.flatten(fresh)
        stored = list(arrays_under("state/", contents).values())
        same_shapes = [np.shape(a) for a in stored] == [np.shape(b) for b in leaves]
        if str(contents["identity"]) != self._identity or not same_shapes:
            other = "belongs to a run with another problem, n_states, method or seed. Use the same settings"
            raise ValueError(f"solve: the checkpoint {path} {other}, or another checkpoint file.")
        # The leaves of the fresh state carry the types; float64 ones need the flag to stay float64.
        with precision.double_precision():
            state = [jnp.asarray(a, leaf.dtype) for a, leaf in zip(stored, leaves, strict=True)]
        history = arrays_under("history/", contents)
        return Progress(
            jax.tree.unflatten(structure, state),
            (history,) if history else (),
            float(contents["seconds"]),
            bool(contents["finished"]),
            arrays_under("callback/", contents),
        )


def _bytes(progress: Progress, identity: str) -> bytes:
    """What a checkpoint file holds: an archive of arrays, and its digest."""
    contents = {
        "format": FORMAT_VERSION,
        "identity": identity,
        "seconds": progress.seconds,
        "finished": progress.finished,
        **{f"state/{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(progress.state))},
        **{f"history/{name}": values for name, values in joined(progress.records).items()},
        **{f"callback/{name}": values for name, values in progress.memories.items()},
    }
    archive = io.BytesIO()
    np.savez(archive, **contents)  # type: ignore[arg-type]
    return archive.getvalue() + hashlib.sha256(archive.getvalue()).digest()


def _read(path: Path) -> dict[str, np.ndarray]:
    """Numbers and text of a file, never code. Raises where a single bit of them is not as it was written."""
    data, length = path.read_bytes(), hashlib.sha256().digest_size
    archive = data[:-length]
    if hashlib.sha256(archive).digest() != data[-length:]:
        raise ValueError("its digest is wrong")
    with np.load(io.BytesIO(archive), allow_pickle=False) as file:
        return dict(file.items())


def identity_of(problem: Problem, n_states: int, method: Method, seed: int) -> str:
    """A fingerprint of what is being trained, so that a checkpoint is not taken up by another run."""
    with precision.double_precision():
        unit = np.random.default_rng(0).uniform(1e-9, 1 - 1e-9, (64, problem.dim))  # V was finite there
        points = np.asarray(problem.domain.from_unit(jnp.asarray(unit)))
        if problem.local_form is not None:
            values = problem.potential_values(points)
        else:  # what the operator does to a function, at one half of the points; an integral sums over the other half
            first, second = (Points(jnp.asarray(half), jnp.ones(32)) for half in np.split(points, 2))
            values = np.asarray(problem.hamiltonian.image(jnp.sin, first.x, second))
    potential = " ".join(f"{v:.6g}" for v in np.ravel(values))
    states = f"{n_states} {'largest' if problem.largest else 'lowest'}"
    text = f"{problem.name}|{problem.domain}|{problem.hamiltonian}|{potential}|{states}|{method}|{seed}"
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", text).encode()).hexdigest()
