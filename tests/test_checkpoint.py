"""Checkpoints: whatever happens to files and processes, a run goes on from the newest good state, or says why not."""

import errno
import hashlib
import io
import logging
import os
import warnings

import numpy as np
import pytest

import qspin
from qspin.run import checkpoint as module
from tests.toy import BOX, Stop, Toy, stop_after

WHOLE = 35 * 36 / 2  # energy of 35 steps of the toy


def solve(path, method=None, **options):
    return qspin.solve(BOX, 2, method or Toy(35), checkpoint=path, checkpoint_every=0, **options)


@pytest.fixture
def path(tmp_path):
    """Of a run that was killed in its fourth chunk: the newest checkpoint is at step 21, the one before at 14."""
    with pytest.raises(Stop):
        solve(tmp_path / "run.npz", callback=stop_after(21))
    assert steps_in(tmp_path) == {"run.npz": 21, "run.previous.npz": 14}
    return tmp_path / "run.npz"


def steps_in(folder):
    found = {}
    for path in folder.iterdir():
        with np.load(path, allow_pickle=False) as file:
            found[path.name] = int(file["state/1"])
    return found


def rewrite(path, contents, **options):
    """A file with the right digest."""
    archive = io.BytesIO()
    np.savez(archive, **options, **contents)
    path.write_bytes(archive.getvalue() + hashlib.sha256(archive.getvalue()).digest())


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path, at=0.4):
    """One bit, inside the numbers."""
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 1
    path.write_bytes(bytes(data))


def empty(path):
    path.write_bytes(b"")


def garble(path):
    path.write_bytes(np.random.default_rng(0).bytes(3000))


DAMAGES = [cut, flip, empty, garble]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_taken_up(path, damage):
    damage(path)
    again = Toy(35)
    with pytest.warns(
        RuntimeWarning, match=r"run\.npz is damaged.*Going on from the one before it.*at step 14"
    ):
        spectrum = solve(path, again)
    assert again.advances == [14, 21, 28]
    assert spectrum.energies[0] == WHOLE
    np.testing.assert_array_equal(spectrum.history["step"], np.arange(1, 36))


def test_a_missing_checkpoint_is_one_whose_renaming_was_interrupted(path):
    path.unlink()
    with pytest.warns(RuntimeWarning, match=r"run\.npz is missing.*to start again, delete that too"):
        assert solve(path).energies[0] == WHOLE


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_both_are_damaged_the_error_says_what_to_do(path, damage):
    damage(path)
    damage(path.with_name("run.previous.npz"))
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(
        ValueError, match=r"run\.npz is damaged.*previous\.npz is damaged.*Delete.*start again"
    ):
        solve(path)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_damaged_checkpoint_does_not_replace_the_good_one_before(path):
    cut(path)
    with pytest.warns(RuntimeWarning, match="damaged"), pytest.raises(Stop):
        solve(path, callback=stop_after(14))  # at 21, before it is saved
    with pytest.warns(RuntimeWarning, match="damaged"), pytest.raises(Stop):
        solve(path, callback=stop_after(21))  # saved at 21, over the damaged one
    assert steps_in(path.parent) == {"run.npz": 21, "run.previous.npz": 14}


def test_no_single_flipped_bit_goes_unnoticed(path):
    """It is either refused, or in bytes that no reader looks at."""
    contents = module._read(path)
    data = path.read_bytes()
    rng = np.random.default_rng(1)
    noticed = 0
    for at, bit in zip(rng.integers(len(data), size=400), rng.integers(8, size=400), strict=True):
        damaged = bytearray(data)
        damaged[at] ^= 1 << bit
        path.write_bytes(bytes(damaged))
        try:
            found = module._read(path)
        except Exception:
            noticed += 1
            continue
        assert found.keys() == contents.keys()
        assert all(np.array_equal(found[name], contents[name]) for name in contents)
    assert noticed > 200


def test_numbers_that_were_exchanged_are_noticed(path):
    with np.load(path, allow_pickle=False) as file:
        contents = dict(file.items())
    np.savez(path, **{**contents, "state/0": contents["state/0"] + 1})
    with pytest.warns(RuntimeWarning, match="its digest is wrong"):
        assert solve(path).energies[0] == WHOLE


def test_a_newer_format_is_refused_even_where_an_older_file_is_beside_it(path):
    with np.load(path, allow_pickle=False) as file:
        contents = dict(file.items())
    rewrite(path, {**contents, "format": np.array(module.FORMAT_VERSION + 1), "news": np.zeros(3)})
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"has format 3, this qspin reads up to 2: update qspin"):
        solve(path)
    assert path.read_bytes() == before


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_file_is_never_run(path, tmp_path):
    trap = np.array([Trap(tmp_path / "caught")], dtype=object)
    for file in (path, path.with_name("run.previous.npz")):
        with np.load(file, allow_pickle=False) as found:
            contents = {**found, "state/0": trap}
        rewrite(file, contents, allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        solve(path)
    with pytest.raises(ValueError, match=r"is not a qspin spectrum.*allow_pickle=False"):
        qspin.load(path)
    assert not (tmp_path / "caught").exists()
    with np.load(path, allow_pickle=True) as found:
        _ = found["state/0"]
    assert (tmp_path / "caught").exists()  # the trap works


# --- killed while it writes

CALLS = ["savez", "fsync", "replace", "unlink"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("call", "count"), [(c, n) for c in CALLS for n in range(1, 6)])
def test_killed_at_any_call_of_the_system_it_goes_on(tmp_path, monkeypatch, call, count, after):
    """Before or after each call that a save makes; what a killed process would not do, nothing does here either."""
    owner = {"savez": np, "unlink": type(tmp_path)}.get(call, os)
    real, left = getattr(owner, call), [count]

    class Killed(BaseException):
        pass

    def dies(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0 or (left[0] == 0 and not after):
            raise Killed
        result = real(*args, **kwargs)
        if left[0] == 0:
            left[0] = -1
            raise Killed
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, call, dies)
        with pytest.raises(Killed):
            solve(tmp_path / "run.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the newest is missing may be said
        assert solve(tmp_path / "run.npz").energies[0] == WHOLE
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    for name in (".run.npz.99999.part", ".other.npz.99999.part", ".run.npz.old.part"):
        (tmp_path / name).write_bytes(b"half")
    solve(tmp_path / "run")
    assert {file.name for file in tmp_path.glob(".*")} == {".other.npz.99999.part", ".run.npz.old.part"}


# --- a full disk


def test_a_full_disk_is_said_once_and_written_to_again_when_it_has_room(tmp_path, monkeypatch, caplog):
    path, real, tried = tmp_path / "run.npz", os.fsync, []

    def full(descriptor):
        tried.append(descriptor)
        if len(tried) <= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(RuntimeWarning, match=r"at step 7 \(.*No space left.*Training goes on") as said:
        assert solve(path).energies[0] == WHOLE
    assert len(said) == 1
    assert steps_in(tmp_path) == {"run.npz": 35, "run.previous.npz": 28}


def test_files_that_cannot_grow_leave_training_alone(tmp_path):
    """The system itself refuses to write more than 1000 bytes, in the middle of an archive."""
    resource = pytest.importorskip("resource")
    path, limits = tmp_path / "run.npz", resource.getrlimit(resource.RLIMIT_FSIZE)

    def narrow(step, state, info):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000 if step == 21 else limits[0], limits[1]))

    try:
        with pytest.warns(RuntimeWarning, match=r"cannot be written at step 21") as said, pytest.raises(Stop):
            solve(path, callback=[stop_after(21), narrow])
        assert steps_in(tmp_path) == {"run.npz": 14, "run.previous.npz": 7}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(said) == 1
    assert solve(path).energies[0] == WHOLE


def test_a_folder_that_is_not_there_is_said_before_training(tmp_path):
    toy = Toy()
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere for the checkpoint"):
        solve(tmp_path / "nowhere" / "run.npz", toy)
    assert not toy.advances


# --- the rest


@pytest.mark.parametrize("every", [-1.0, float("nan"), True, "30"])
def test_the_time_between_checkpoints_is_a_number_of_seconds(tmp_path, every):
    with pytest.raises(ValueError, match="checkpoint_every must be a number of seconds"):
        qspin.solve(BOX, 2, Toy(), checkpoint=tmp_path / "run", checkpoint_every=every)


def test_checkpoints_wait_for_their_time(tmp_path):
    with pytest.raises(Stop):
        qspin.solve(BOX, 2, Toy(35), checkpoint=tmp_path / "run.npz", callback=stop_after(21))
    assert not list(tmp_path.iterdir())  # half a minute is not over


def test_what_happens_is_logged(path, caplog):
    with caplog.at_level(logging.DEBUG, logger="qspin"):
        solve(path)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("INFO", f"resumed at step 21 from {path}") in said
    assert ("INFO", "training starts at step 21 of 35") in said
    # The toy's energies are sums of squares of the steps: of steps 22 to 28 the mean, and their spread.
    assert ("DEBUG", "step 28 of 35: E 327±5e+01 328±5e+01") in said
    assert ("INFO", f"step 35: saved to {path}") in said
    assert ("INFO", "training ends at step 35 of 35") in said
    assert {record.name.split(".")[0] for record in caplog.records} == {"qspin"}
