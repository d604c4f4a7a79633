"""What a method says of its states beside the numbers: notes, as data. `Spectrum.status` and tables are rendered from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Note", "counted", "note", "rendered", "states_named"]


@dataclass(frozen=True)
class Note:
    """One fact about some states, or about all of a spectrum.

    Attributes:
        kind: by which programs find it: "tolerance" (a claimed error above the one asked for), "walls" (energies that walls
            raise), "cut level" (a degenerate level that n_states cuts), "not smooth", "not settled", "missed" (V or a count
            says that something was not seen), "samples" (few of them count), "broken" (training broke down), or another word.
        states: the states it is about, by index, ascending; empty where it is about all.
        what: a sentence without its full stop: what is the case.
        advice: what to try; empty where there is nothing to do.
    """

    kind: str
    states: tuple[int, ...]
    what: str
    advice: str = ""

    def __str__(self) -> str:
        about = f"{states_named(self.states)}: {self.what}" if self.states else self.what
        return ". ".join(part[0].upper() + part[1:] for part in (about, self.advice) if part) + "."

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Note:
        """What `to_dict` gave, read back."""
        states = tuple(int(k) for k in record["states"])
        return cls(str(record["kind"]), states, str(record["what"]), str(record["advice"]))


def note(kind: str, chosen: np.ndarray, what: str, advice: str = "") -> tuple[Note, ...]:
    """A note about the states that `chosen` (N,) bool marks; none where it marks none."""
    states = tuple(int(k) for k in np.flatnonzero(chosen))
    return (Note(kind, states, what, advice),) if states else ()


def rendered(notes: Sequence[Note], converged: np.ndarray) -> str:
    """One message for people: whether all states converged, then each note."""
    first = ["All states converged."] if len(converged) and np.all(converged) else []
    return " ".join([*first, *map(str, notes)])


def counted(n: int, noun: str) -> str:
    """ "1 state", "3 states"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def states_named(states: Sequence[int]) -> str:
    """ "state 3", "states 0–4, 7": runs of three and more by their ends."""
    runs: list[list[int]] = []
    for k in states:
        if runs and runs[-1][-1] == k - 1:
            runs[-1].append(k)
        else:
            runs.append([k])
    parts = [f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return f"state{'s' if len(states) > 1 else ''} {', '.join(parts)}"
