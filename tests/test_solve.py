"""The one loop: what it refuses, reports, saves and resumes. A toy method stands in for most of it."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import qspin
from qspin.run.solve import _running
from tests.toy import BOX, Stop, Toy, ToyDirect, stop_after

TINY = qspin.SpIN(steps=20, batch_size=16, network=qspin.SeparateMLPs((4,)), evaluation_points=1024)


# --- bad input


@pytest.mark.parametrize("n_states", [0, -1, 2.5, True, "3", None])
def test_n_states_must_be_a_positive_integer(n_states):
    with pytest.raises(ValueError, match=r"n_states must be an integer of at least 1, got"):
        qspin.solve(BOX, n_states, TINY)


@pytest.mark.parametrize("seed", [-1, 0.5, True, None, 2**32])
def test_the_seed_must_be_a_word(seed):
    """Larger seeds would wrap around to the numbers of a small one."""
    with pytest.raises(ValueError, match="seed must be an integer from 0 to"):
        qspin.solve(BOX, 1, TINY, seed=seed)


@pytest.mark.parametrize("method", ["spin", qspin.SpIN, 3])
def test_the_method_is_an_object_not_its_name(method):
    with pytest.raises(TypeError, match=r"method must be settings such as qspin\.Ritz\(\), qspin\.SpIN\(\)"):
        qspin.solve(BOX, 1, method)


@pytest.mark.parametrize("problem", ["box", None, BOX.hamiltonian])
def test_the_problem_must_be_one(problem):
    with pytest.raises(TypeError, match=r"problem must be a qspin\.Problem"):
        qspin.solve(problem, 1, TINY)


def test_a_batch_too_small_is_refused():
    with pytest.raises(ValueError, match="batch_size must be at least twice n_states"):
        qspin.solve(BOX, 9, TINY)


def test_a_potential_that_is_not_finite_is_refused_before_training():
    v = qspin.Potential(lambda x: jnp.where(x[0] > 0.9, jnp.nan, 0.0))
    toy = Toy()
    with pytest.raises(ValueError, match=r"V is nan at x = \((0\.9\d+|1)\)"):
        qspin.solve(dataclasses.replace(BOX, hamiltonian=qspin.Kinetic() + v), 1, toy)
    assert not toy.advances


# --- the loop


def test_training_reports_every_step_and_callbacks_come_in_order():
    seen = []

    def callback(step, state, info):
        assert int(state.step) == step
        seen.append((step, len(info["ok"])))

    spectrum = qspin.solve(BOX, 2, Toy(20), seed=3, callback=callback)
    assert seen == [(7, 7), (14, 7), (20, 6)]
    assert spectrum.energies[0] == 3 + 20 * 21 / 2
    np.testing.assert_array_equal(spectrum.history["step"], np.arange(1, 21))
    np.testing.assert_array_equal(spectrum.history["energies"][:, 0], 3 + np.cumsum(np.arange(1, 21)))
    assert set(spectrum.history) == {"step", "seconds", "energies"}


@pytest.mark.parametrize(("steps", "stride"), [(1, 1), (999, 1), (1234, 1), (2501, 2)])
def test_history_is_thinned_and_keeps_the_last_step(steps, stride):
    history = qspin.solve(BOX, 2, Toy(steps)).history
    expected = sorted({*range(stride, steps + 1, stride), steps})
    np.testing.assert_array_equal(history["step"], expected)
    np.testing.assert_array_equal(history["energies"][:, 0], [n * (n + 1) / 2 for n in expected])
    assert len(history["seconds"]) == len(expected)


def test_no_steps_at_all():
    spectrum = qspin.solve(BOX, 2, Toy(0))
    assert spectrum.history == {}
    assert spectrum.energies[0] == 0


@pytest.mark.parametrize("method", [Toy(), ToyDirect()], ids=["iterative", "direct"])
def test_what_solve_adds_to_a_spectrum(method):
    spectrum = qspin.solve(BOX, 2, method, seed=5)
    assert spectrum.provenance["toy"]
    assert spectrum.provenance["seed"] == 5
    assert spectrum.provenance["seconds"] >= 0
    assert {"qspin", "jax", "device"} <= set(spectrum.provenance)
    np.testing.assert_allclose(spectrum.exact, np.pi**2 / 2 * np.array([1, 4, 9]))  # one more than asked


@pytest.mark.parametrize("breaks_at", [9, 7, 0])
def test_a_breakdown_names_the_step_and_what_to_try_and_keeps_the_last_good_state(tmp_path, breaks_at):
    """9 is inside a chunk, 7 begins one; 1 + 2 + … up to the step before is the state then."""
    seen, path = [], tmp_path / "run.npz"
    with pytest.raises(
        qspin.TrainingError,
        match=rf"at step {breaks_at}:.*Try a lower learning rate.*last good state is in .*run.npz",
    ) as caught:
        qspin.solve(
            BOX, 2, Toy(20, breaks_at), callback=lambda step, *_: seen.append(step), checkpoint=path, seed=0
        )
    assert seen == [step for step in (7, 9) if step <= breaks_at]
    with np.load(path) as file:
        assert int(file["state/1"]) == breaks_at
    spectrum = caught.value.spectrum
    assert spectrum.energies[0] == breaks_at * (breaks_at + 1) / 2
    assert not spectrum.converged.any()
    assert "broke down" in spectrum.status
    assert len(spectrum.exact) == 3


@pytest.mark.slow
def test_the_last_good_state_is_the_one_before_the_first_step_that_is_not_finite(tmp_path):
    """A learning rate that explodes after 12 good steps: training 12 steps with it gives the same parameters."""
    rate = optax.piecewise_constant_schedule(1e-3, {11: 1e33})
    method = dataclasses.replace(TINY, steps=60, optimizer=optax.sgd(rate))
    with pytest.raises(qspin.TrainingError, match=r"at step 12:"):
        qspin.solve(BOX, 2, method, checkpoint=tmp_path / "broken.npz")
    run = method.bind(BOX, 2)
    state = run.init(0)
    while int(state.step) < 12:
        state, _ = run.advance(state, until=12)
    with np.load(tmp_path / "broken.npz") as file:
        for i, leaf in enumerate(jax.tree.leaves(state)):
            np.testing.assert_array_equal(file[f"state/{i}"], np.asarray(leaf))


def test_functions_that_cannot_be_evaluated_are_a_breakdown_too():
    with pytest.raises(qspin.TrainingError, match=r"toy: dependent\. Try a lower learning rate"):
        qspin.solve(BOX, 2, Toy(unusable=True))


@pytest.mark.parametrize(("progress", "loud"), [(None, False), (False, False), (True, True)])
def test_the_bar_is_shown_where_it_is_wanted(capsys, progress, loud):
    """stderr is no terminal here."""
    qspin.solve(BOX, 2, Toy(), progress=progress)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("20/20" in err) == ("box" in err) == loud


def test_warnings_in_a_callback_do_not_pass_silently():
    with pytest.warns(UserWarning, match="look"):
        qspin.solve(BOX, 2, Toy(7), callback=lambda *_: warnings.warn("look", stacklevel=1))


# --- checkpoints


@pytest.mark.parametrize("name", ["run.npz", "run", "run.ckpt"])
def test_a_stopped_run_goes_on_from_its_checkpoint(tmp_path, name):
    """Also where the ending .npz is missing: the file is found again under the name it was written to."""
    path = tmp_path / name
    whole = qspin.solve(BOX, 2, Toy(20))
    with pytest.raises(Stop):
        qspin.solve(BOX, 2, Toy(20), checkpoint=path, checkpoint_every=0, callback=stop_after(10))
    again = Toy(20)
    resumed = qspin.solve(BOX, 2, again, checkpoint=path)
    assert again.advances == [7, 14]
    np.testing.assert_array_equal(resumed.energies, whole.energies)
    for name in ("step", "energies"):
        np.testing.assert_array_equal(resumed.history[name], whole.history[name])
    assert (np.diff(resumed.history["seconds"]) >= 0).all()
    done = Toy(20)
    finished = qspin.solve(BOX, 2, done, checkpoint=str(path))
    assert not done.advances  # nothing left to do
    np.testing.assert_array_equal(finished.history["step"], whole.history["step"])
    stem = "run.ckpt" if path.suffix == ".ckpt" else "run"
    assert {file.name for file in tmp_path.iterdir()} == {f"{stem}.npz", f"{stem}.previous.npz"}


@pytest.fixture(scope="module")
def whole_float64():
    """A run of SpIN in float64 that nothing stopped, and the types its states had."""
    before = jax.config.jax_enable_x64, jnp.ones(2).dtype
    method = dataclasses.replace(TINY, steps=60, dtype="float64")
    dtypes = set()

    def callback(step, state, info):
        dtypes.update(str(leaf.dtype) for leaf in jax.tree.leaves((state.params, state.sigma)))
        dtypes.add(str(info["energies"].dtype))

    spectrum = qspin.solve(BOX, 2, method, seed=7, callback=callback)
    assert (jax.config.jax_enable_x64, jnp.ones(2).dtype) == before
    return method, spectrum, dtypes


def test_spin_resumes_to_the_last_bit(tmp_path, whole_float64):
    """Adam's moments, the averages and the counter of the random keys are all in the state."""
    method, whole, _ = whole_float64
    path = tmp_path / "run.npz"
    with pytest.raises(Stop):
        qspin.solve(BOX, 2, method, seed=7, checkpoint=path, checkpoint_every=0, callback=stop_after(30))
    resumed = qspin.solve(BOX, 2, method, seed=7, checkpoint=path)
    for name in ("energies", "errors", "residuals"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    for name in ("step", "energies", "gradient_norm", "condition"):
        np.testing.assert_array_equal(resumed.history[name], whole.history[name])


OTHERS = {
    "method": {"method": Toy(21)},
    "seed": {"seed": 1},
    "n_states": {"n_states": 3},
    "potential": {
        "problem": dataclasses.replace(
            BOX, hamiltonian=qspin.Kinetic() + qspin.Potential(lambda x: jnp.sum(x**2))
        )
    },
    "mass": {"problem": dataclasses.replace(BOX, hamiltonian=qspin.Kinetic(mass=2.0))},
    "domain": {"problem": dataclasses.replace(BOX, domain=qspin.Box([0.0], [2.0]))},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_the_checkpoint_of_another_run_is_refused(tmp_path, other):
    path = tmp_path / "run.npz"
    settings = {"problem": BOX, "n_states": 2, "method": Toy(20), "seed": 0}
    qspin.solve(**settings, checkpoint=path)
    qspin.solve(**settings, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"belongs to a run with another problem.*Use the same settings"):
        qspin.solve(**{**settings, **other}, checkpoint=path)
    assert path.read_bytes() == before


def test_two_potentials_of_one_name_do_not_share_a_checkpoint(tmp_path):
    """The same lambda, closed over another number: only the values of V tell."""

    def problem(omega):
        v = qspin.Potential(lambda x: omega * jnp.sum(x**2))
        return dataclasses.replace(BOX, hamiltonian=qspin.Kinetic() + v)

    path = tmp_path / "run.npz"
    qspin.solve(problem(1.0), 2, Toy(), checkpoint=path)
    qspin.solve(problem(1.0), 2, Toy(), checkpoint=path)
    with pytest.raises(ValueError, match="belongs to a run with another problem"):
        qspin.solve(problem(1.01), 2, Toy(), checkpoint=path)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "spectrum.npz"
    np.savez(path, energies=np.zeros(3))
    with pytest.raises(ValueError, match=r"is damaged, or no checkpoint .*or use another checkpoint file"):
        qspin.solve(BOX, 2, Toy(), checkpoint=path)


# --- precision


def test_training_in_float64_leaves_the_global_precision_alone(whole_float64):
    """The fixture looks at the flag before and after."""
    _, spectrum, dtypes = whole_float64
    assert dtypes == {"float64"}
    assert spectrum.energies.dtype == np.float64
    assert "float64 training" in spectrum.provenance["precision"]


def test_an_exploding_optimizer_breaks_down_and_leaves_the_precision_alone():
    before = jax.config.jax_enable_x64
    method = dataclasses.replace(TINY, dtype="float64", optimizer=optax.sgd(1e30))
    with pytest.raises(qspin.TrainingError, match=r"at step .*Try a lower learning rate, a larger batch"):
        qspin.solve(BOX, 2, method)
    assert jax.config.jax_enable_x64 == before


def test_the_bar_shows_energies_with_their_spread() -> None:
    """Of the steps of a chunk: mean and standard deviation, of six states at most."""
    energies = np.array([[0.49, 1.5] + [2.0] * 6, [0.51, 1.5] + [2.0] * 6])
    shown = _running(energies).split()
    assert shown[0] == "0.5±1e-02" and shown[1].startswith("1.5±0") and shown[-1] == "…" and len(shown) == 7
    assert _running(energies[:0]) == ""
