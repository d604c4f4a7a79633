"""Files that are whole at every moment: written beside their place, then moved there in one step."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

__all__ = ["npz_path", "partial_path", "whole_file", "write_npz"]


def npz_path(path: str | os.PathLike[str]) -> Path:
    """The path with the ending .npz, appended where it is missing."""
    target = Path(path)
    return target if target.suffix == ".npz" else target.with_name(target.name + ".npz")


def partial_path(target: Path) -> Path:
    """Where this process writes what is to become `target`."""
    return target.with_name(f".{target.name}.{os.getpid()}.part")


@contextmanager
def whole_file(target: Path, previous: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write into, that takes its place at the end, so that a reader never sees half, not even after a power cut.

    A file that was there is kept as `previous`, where that is given: at every moment one of the two is whole. Where writing
    fails, `target` stays as it was.
    """
    partial = partial_path(target)
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and target.exists():
            os.replace(target, previous)
        os.replace(partial, target)
        _sync_folder(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_npz(
    path: str | os.PathLike[str], contents: Mapping[str, np.ndarray], previous: Path | None = None
) -> Path:
    """Write arrays by `whole_file`; returns the path."""
    target = npz_path(path)
    with whole_file(target, previous) as file:
        np.savez(file, **contents)  # type: ignore[arg-type, unused-ignore]
    return target


def _sync_folder(folder: Path) -> None:
    """Force names to disk, where the data are. Systems that do not let a folder be opened for that see to it themselves."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
