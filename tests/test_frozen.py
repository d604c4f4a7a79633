"""The cheap ones of the stored numbers: energies, errors and residuals of each method are what they were."""

import json

import pytest

from tests.benchmark import benchmark

frozen = benchmark("frozen")
STORED = json.loads(frozen.STORED.read_text())


@pytest.mark.parametrize("case", [case for case in frozen.CASES if case.quick], ids=lambda case: case.method)
def test_numbers_are_what_they_were(case) -> None:  # type: ignore[no-untyped-def]
    problem = case.problem()
    assert frozen.apart(STORED[case.key(problem)], frozen.solved(case, problem), timed=False) == []
