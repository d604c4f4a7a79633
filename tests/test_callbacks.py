"""Ready-made callbacks: each step once, whatever happened; stopping early, and where a stopped run would have stopped."""

import csv
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import qspin
from qspin.run.callbacks import CSVLog, EarlyStop, TensorBoard
from tests.toy import BOX, Stop, Toy, stop_after


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def chunks(n, length=10, residuals=None):
    """Energies 1 + 1/step and 3 + 1/step, as info of chunks."""
    for first in range(0, n, length):
        steps = np.arange(first, first + length) + 1
        info = {"energies": np.stack([1 + 1 / steps, 3 + 1 / steps], 1), "ok": np.ones(length, bool)}
        if residuals is not None:
            info["residuals"] = np.tile(residuals(steps)[:, None], 2)
        yield int(steps[-1]), info


# --- any callbacks


def test_true_stops_training_and_evaluates():
    """All of a list are called, even where the first stops; anything but True goes on."""
    seen = []
    spectrum = qspin.solve(
        BOX, 2, Toy(35), callback=[lambda step, *_: step == 14, lambda step, *_: seen.append(step), len_of]
    )
    assert seen == [7, 14]
    assert spectrum.energies[0] == 14 * 15 / 2
    assert spectrum.history["step"][-1] == 14
    assert spectrum.provenance["steps_taken"] == 14


def len_of(step, state, info):
    return len(info)


def test_a_stopped_run_is_finished(tmp_path):
    for advances in ([0, 7], []):
        toy = Toy(35)
        spectrum = qspin.solve(BOX, 2, toy, callback=lambda step, *_: step >= 14, checkpoint=tmp_path / "run")
        assert toy.advances == advances
        assert spectrum.provenance["steps_taken"] == 14


@pytest.mark.parametrize("callback", [3, "log", [print, None]])
def test_what_cannot_be_called_is_refused(callback):
    toy = Toy()
    with pytest.raises(TypeError):
        qspin.solve(BOX, 2, toy, callback=callback)
    assert not toy.advances


# --- CSV


def test_the_log_has_every_step(tmp_path):
    log = tmp_path / "log.csv"
    history = qspin.solve(BOX, 2, Toy(20), callback=CSVLog(log)).history
    rows = rows_of(log)
    assert list(rows[0]) == ["step", "energies_0", "energies_1"]
    np.testing.assert_array_equal([int(row["step"]) for row in rows], history["step"])
    np.testing.assert_array_equal([float(row["energies_1"]) for row in rows], history["energies"][:, 1])
    qspin.solve(BOX, 2, Toy(20), callback=CSVLog(log, every=6))
    assert [row["step"] for row in rows_of(log)] == ["6", "12", "18"]


@pytest.mark.parametrize("tail", ["", "29,40", "29,406.0,407.0\n30,", "nonsense"])
def test_a_resumed_log_has_every_step_once(tmp_path, tail):
    """The log was ahead of the checkpoint, and its last line may be half."""
    log, whole = tmp_path / "log.csv", tmp_path / "whole.csv"
    qspin.solve(BOX, 2, Toy(35), callback=CSVLog(whole))
    with pytest.raises(Stop):
        qspin.solve(
            BOX,
            2,
            Toy(35),
            checkpoint=tmp_path / "run",
            checkpoint_every=0,
            callback=[CSVLog(log), stop_after(21)],
        )
    assert rows_of(log)[-1]["step"] == "28"
    with open(log, "a") as file:
        file.write(tail)
    qspin.solve(BOX, 2, Toy(35), checkpoint=tmp_path / "run", callback=CSVLog(log))
    assert log.read_bytes() == whole.read_bytes()


def test_a_log_on_a_full_disk_waits(tmp_path):
    resource = pytest.importorskip("resource")
    log, whole, limits = (
        tmp_path / "log.csv",
        tmp_path / "whole.csv",
        resource.getrlimit(resource.RLIMIT_FSIZE),
    )
    qspin.solve(BOX, 2, Toy(35), callback=CSVLog(whole))

    def narrow(step, state, info):
        resource.setrlimit(resource.RLIMIT_FSIZE, (220 if step < 28 else limits[0], limits[1]))

    try:
        with pytest.warns(RuntimeWarning, match=r"log\.csv cannot be written.*rows are kept") as said:
            qspin.solve(BOX, 2, Toy(35), callback=[narrow, CSVLog(log)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(said) == 1
    assert log.read_bytes() == whole.read_bytes()


def test_a_file_that_is_no_log_is_not_overwritten(tmp_path):
    log = tmp_path / "thesis.csv"
    log.write_text("chapter,words\n1,20000\n")
    with pytest.raises(ValueError, match=r"thesis\.csv is no training log: it starts with 'chapter,words"):
        qspin.solve(BOX, 2, Toy(), callback=CSVLog(log))
    assert log.read_text().startswith("chapter")


@pytest.mark.parametrize("make", [CSVLog, TensorBoard])
@pytest.mark.parametrize("every", [0, 2.5, True])
def test_every_is_a_whole_number(tmp_path, make, every):
    with pytest.raises(ValueError, match="every must be an integer of at least 1"):
        make(tmp_path / "log", every=every)


# --- TensorBoard


@pytest.fixture
def board(monkeypatch):
    """A stand-in for tensorboardX, and what was written to it."""
    written = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            written.append(("opened", folder, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append(("closed",))

    fake = ModuleType("tensorboardX")
    fake.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "tensorboardX", fake)
    return written


def test_tensorboard_is_told(board, tmp_path):
    qspin.solve(BOX, 2, Toy(20), callback=TensorBoard(tmp_path / "board", every=7))
    assert board[0] == ("opened", str(tmp_path / "board"), 1)
    assert board[1:3] == [("energies_0", 28.0, 7), ("energies_1", 29.0, 7)]
    assert board[-1] == ("closed",)
    assert len(board) == 2 + 2 * 2


def test_a_resumed_board_forgets_what_is_done_again(board, tmp_path):
    options = {"checkpoint": tmp_path / "run", "checkpoint_every": 0}
    with pytest.raises(Stop):
        qspin.solve(BOX, 2, Toy(20), callback=[TensorBoard(tmp_path), stop_after(7)], **options)
    assert board[-1] == ("closed",)  # by an exception too
    qspin.solve(BOX, 2, Toy(20), callback=TensorBoard(tmp_path), **options)
    assert ("opened", str(tmp_path), 8) in board


def test_without_a_board_it_says_what_to_install(monkeypatch, tmp_path):
    for name in ("tensorboardX", "torch", "torch.utils", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="pip install tensorboardX"):
        TensorBoard(tmp_path)


def test_a_real_board_is_written(tmp_path):
    pytest.importorskip("tensorboardX")
    qspin.solve(BOX, 2, Toy(20), callback=TensorBoard(tmp_path / "board"))
    assert any(file.stat().st_size > 100 for file in (tmp_path / "board").iterdir())


# --- stopping early


def stopped_at(stop, infos):
    stop.start(0, {})
    return next((step for step, info in infos if stop(step, SimpleNamespace(), info)), None)


def test_standstill_is_measured_from_means_over_patience_steps():
    """Of 1/step from n to n + 100 and from n + 100 to n + 200 the means are ln((n + 100)²/n(n + 200))/100 apart."""
    stop = EarlyStop(target_error=1e-3, patience=100)
    n = np.arange(100, 2000, 100)
    moved = np.log((n + 100) ** 2 / (n * (n + 200.0))) / 100
    expected = n[np.argmax(moved < 1e-3)] + 200
    assert stopped_at(stop, chunks(2000)) == expected
    assert stopped_at(stop, chunks(2000)) == expected  # a new run starts afresh
    assert stopped_at(EarlyStop(target_error=1e-9, patience=100), chunks(2000)) is None


def test_residuals_are_used_where_there_are_some():
    """r² over the range of the energies, 2; energies alone would stand still long before."""
    stop = EarlyStop(target_error=1e-3, patience=10)
    step = stopped_at(stop, chunks(2000, residuals=lambda steps: 1 / np.sqrt(steps)))
    assert 500 <= step <= 520


def test_a_resumed_run_stops_where_the_whole_one_stops(tmp_path):
    """What the callback has seen so far is in the checkpoint."""

    def stop():
        return EarlyStop(target_error=2e-3, patience=20)

    toy = Toy(700, settles=True)
    whole = qspin.solve(BOX, 2, toy, callback=stop())
    taken = whole.provenance["steps_taken"]
    assert 60 < taken < 700
    options = {"checkpoint": tmp_path / "run", "checkpoint_every": 0}
    for kill in (28, 49):
        with pytest.raises(Stop):
            qspin.solve(BOX, 2, toy, callback=[stop(), stop_after(kill)], **options)
    resumed = qspin.solve(BOX, 2, toy, callback=stop(), **options)
    assert resumed.provenance["steps_taken"] == taken
    np.testing.assert_array_equal(resumed.energies, whole.energies)


@pytest.mark.parametrize(
    "options", [{"target_error": 0.0}, {"target_error": -1}, {"target_error": 1.0, "patience": 0}]
)
def test_impossible_targets_are_refused(options):
    with pytest.raises(ValueError, match="EarlyStop"):
        EarlyStop(**options)
