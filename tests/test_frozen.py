"""The cheap ones of the stored numbers: energies, errors and residuals of each method are what they were."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "benchmarks" / "frozen.py"
spec = importlib.util.spec_from_file_location("frozen", FILE)
assert spec is not None and spec.loader is not None
frozen = importlib.util.module_from_spec(spec)
sys.modules["frozen"] = frozen
spec.loader.exec_module(frozen)
STORED = json.loads(frozen.STORED.read_text())


@pytest.mark.parametrize("case", [case for case in frozen.CASES if case.quick], ids=lambda case: case.method)
def test_numbers_are_what_they_were(case) -> None:  # type: ignore[no-untyped-def]
    problem = case.problem()
    assert frozen.apart(STORED[case.key(problem)], frozen.solved(case, problem), timed=False) == []
