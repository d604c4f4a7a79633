"""Ctrl-C and SIGTERM while something trains: the first asks it to stop where nothing is lost, the second stops it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "Watch", "watched"]

# Only what Python and the system put there is replaced: who installed a handler of their own has plans with it, and what is
# ignored (as under nohup) stays ignored.
_DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Interrupted(KeyboardInterrupt):
    """Training was interrupted after `step` of `steps`. It goes on from the file `checkpoint`; None where there is none."""

    def __init__(self, message: str, step: int, steps: int, checkpoint: Path | None = None) -> None:
        super().__init__(message)
        self.step, self.steps, self.checkpoint = step, steps, checkpoint


class Watch:
    """Whether somebody `asked` to stop. Inside `droppable` work is dropped, by a KeyboardInterrupt; outside it goes on."""

    def __init__(self) -> None:
        self.asked = False
        self.dropped = False
        self._inside = False

    def hear(self) -> None:
        """Somebody asks."""
        self.asked = True
        if self._inside:
            self.dropped = True
            raise KeyboardInterrupt

    @contextmanager
    def droppable(self) -> Iterator[None]:
        """Work that can be done again."""
        self._inside = True
        try:
            yield
        finally:
            self._inside = False


@contextmanager
def watched() -> Iterator[Watch]:
    """Listen to the first SIGINT or SIGTERM, in the main thread; elsewhere signals never arrive.

    The handlers that were there are put back at the end, and by the first signal, so that the second one does what it always
    did: KeyboardInterrupt, or the end of the process.
    """
    watch = Watch()
    before: dict[signal.Signals, Any] = {}

    def put_back() -> None:
        for number, handler in before.items():
            if signal.getsignal(number) is heard:
                signal.signal(number, handler)

    def heard(number: int, frame: FrameType | None) -> None:
        del number, frame
        put_back()
        watch.hear()

    if threading.current_thread() is threading.main_thread():
        for number, default in _DEFAULTS.items():
            if signal.getsignal(number) == default:
                before[number] = default
                signal.signal(number, heard)
    try:
        yield watch
    finally:
        put_back()
