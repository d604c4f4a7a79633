"""Where a command speaks: results to stdout, remarks to stderr; under --json stdout holds one document and nothing else."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Console", "dumps"]


@dataclass(frozen=True)
class Console:
    """The two streams of one command, under its --json and --quiet."""

    json: bool = False
    quiet: bool = False
    out: Any = field(default_factory=lambda: sys.stdout)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Within it, under --json, whatever anything else prints (a problem file, say) goes to stderr."""
        with contextlib.redirect_stdout(sys.stderr) if self.json else contextlib.nullcontext():
            yield

    def say(self, text: object) -> None:
        """A result, for people."""
        if not self.json:
            print(text, file=self.out)

    def document(self, record: Any) -> None:
        """The same result, for programs; once a command."""
        if self.json:
            print(dumps(record), file=self.out)

    def note(self, text: str) -> None:
        """A remark; --quiet silences it."""
        if not self.quiet:
            print(f"qspin: {text}", file=sys.stderr)

    @property
    def progress(self) -> bool | None:
        """Whether `solve` shows a bar: by itself where stderr is a terminal."""
        return False if self.quiet else None


def dumps(record: Any) -> str:
    """JSON of nested tables, lists, NumPy arrays and numbers; what is infinite or undefined becomes null."""
    return json.dumps(_plain(record), indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
