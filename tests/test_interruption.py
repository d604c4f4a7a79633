"""Ctrl-C and SIGTERM: the first saves and says how to go on, the second stops at once, and nobody's handlers are lost."""

import os
import signal
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.numerics.precision import awaited
from qspin.run.checkpoint import Interrupted
from tests.toy import BOX, Toy

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture(autouse=True)
def handlers():
    """What a program starts with, and the tests must leave; a shell's background job would ignore SIGINT."""
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    left = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert left == defaults


def at(step_of, number, times=1):
    def callback(step, state, info):
        if step == step_of:
            for _ in range(times):
                signal.raise_signal(number)

    return callback


class Signalled(Toy):
    """A toy that is interrupted in the middle of its third chunk, once."""

    def bind(self, problem, n_states):
        run, seen = super().bind(problem, n_states), []

        def advance(state, until=None):
            if int(state.step) == 14 and not seen:
                seen.append(signal.raise_signal(signal.SIGINT))
                raise AssertionError("a handler did not drop the chunk")
            return run.advance(state, until)

        return type(run)(run.init, advance, run.finish, run.steps)


@BOTH
def test_the_first_signal_saves_and_says_how_to_go_on(tmp_path, number):
    path, seen = tmp_path / "run.npz", []
    with pytest.raises(
        Interrupted, match=r"interrupted at step 14 of 35\. The same call, .*run\.npz.*from step 14"
    ) as caught:
        qspin.solve(
            BOX, 2, Toy(35), checkpoint=path, callback=[at(14, number), lambda step, *_: seen.append(step)]
        )
    assert isinstance(caught.value, KeyboardInterrupt)
    assert (caught.value.step, caught.value.steps, caught.value.checkpoint) == (14, 35, path)
    assert seen == [7, 14]  # callbacks of the chunk were all called
    again = Toy(35)
    assert qspin.solve(BOX, 2, again, checkpoint=path).energies[0] == 35 * 36 / 2
    assert again.advances == [14, 21, 28]


def test_inside_a_chunk_that_chunk_is_dropped(tmp_path):
    method = Signalled(35)
    with pytest.raises(Interrupted, match="at step 14 of 35"):
        qspin.solve(BOX, 2, method, checkpoint=tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:
        assert int(file["state/1"]) == 14


def test_an_interruption_by_somebody_else_saves_too(tmp_path):
    def callback(step, state, info):
        if step == 14:
            raise KeyboardInterrupt

    with pytest.raises(
        Interrupted, match="at step 7 of 35"
    ):  # the chunk is done again with all its callbacks
        qspin.solve(BOX, 2, Toy(35), checkpoint=tmp_path / "run.npz", callback=callback)


def test_the_second_stops_at_once(tmp_path):
    with pytest.raises(KeyboardInterrupt) as caught:
        qspin.solve(BOX, 2, Toy(35), checkpoint=tmp_path / "run.npz", callback=at(14, signal.SIGINT, times=2))
    assert not isinstance(caught.value, Interrupted)
    assert not list(tmp_path.iterdir())


@BOTH
def test_without_a_checkpoint_nothing_is_written(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        Interrupted, match=r"at step 7 of 20; nothing was saved: no checkpoint was asked for"
    ) as caught:
        qspin.solve(BOX, 2, Toy(), callback=at(7, number))
    assert caught.value.checkpoint is None
    assert not list(tmp_path.iterdir())


def test_handlers_are_ours_only_while_it_trains():
    seen = []
    qspin.solve(BOX, 2, Toy(7), callback=lambda *_: seen.append(signal.getsignal(signal.SIGTERM)))
    assert seen[0] != signal.SIG_DFL  # and the fixture looks afterwards


def test_the_handler_of_somebody_else_is_left_alone():
    heard = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        qspin.solve(BOX, 2, Toy(), callback=at(7, signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert heard == [signal.SIGTERM]


def test_other_threads_train_without_handlers():
    seen = []

    def train():
        qspin.solve(BOX, 2, Toy(7), callback=lambda *_: seen.append(signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


def test_python_hears_signals_while_a_compiled_function_runs():
    """A matrix multiplied a hundred thousand times takes about a second; the signal is heard in the middle."""
    power = jax.jit(lambda a: jax.lax.fori_loop(0, 10**5, lambda _, b: jnp.tanh(a @ b), a))
    power.lower(jnp.ones((50, 50))).compile()

    def interrupt():
        while not any("waits for a chunk" in thread.name for thread in threading.enumerate()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    result = power(jnp.ones((50, 50)))
    with pytest.raises(KeyboardInterrupt):
        awaited(result)
    assert not result.is_ready()
