"""A run in a process of its own, killed for real: it ends where the one that nobody killed ends, to the last bit."""

import random
import signal

import pytest

from tests.benchmark import benchmark

survive = benchmark("survive")

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing here kills so hard")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody killed, and compiled programs for the others."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, survive.Survivor(tmp_path_factory.mktemp("whole"), cache).finish()


def survives(folder, whole, kinds, seed):
    cache, expected = whole
    run, rng = survive.Survivor(folder, cache), random.Random(seed)
    for kind in kinds:
        before = run.good()
        row = run.kill(kind, rng)
        expected_code = 1 if kind == survive.CTRL_C else -signal.SIGKILL  # 1: an exception that nobody caught
        assert row["code"] == expected_code, run.said()
        if kind == survive.CTRL_C:
            assert f"goes on from step {row['good']}." in run.said()
        if "disk full" in kind:
            assert "cannot be written" in run.said()
            assert row["good"] == before
        elif "newest" not in kind:
            assert row["good"] >= before
        assert row["told"] > before  # it trained
    assert 0 < run.good() < survive.STEPS
    assert survive.same(run.finish(), expected) == []
    names = {path.name for path in folder.iterdir()}
    assert names == {"run.npz", "run.previous.npz", "spectrum.npz", "said.txt"}


def test_killed_runs_end_where_the_whole_one_ends(tmp_path, whole):
    """While it trains, while it writes, and with the newest file cut in half; the slow ones are killed in all ways."""
    survives(tmp_path, whole, survive.KINDS[:3], seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_runs_killed_many_times(tmp_path, whole, seed):
    survives(tmp_path, whole, [*survive.KINDS, survive.CTRL_C] * 2, seed=seed)
