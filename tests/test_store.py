"""Files of spectra: what comes back, what is refused before it is written, and what no file can do to its reader."""

import json
import warnings
import zipfile
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from known_spectra import Known, oscillator
from stored_spectra import OneLayer, stored

import qspin
from qspin.methods.spin.networks import MLP
from qspin.spectrum import store
from qspin.spectrum.eigenfunctions import EIGENFUNCTIONS, Eigenfunctions, Rotated, check_shapes
from qspin.spectrum.notes import Note
from qspin.spectrum.store import write_npz


@EIGENFUNCTIONS("standing waves")
class Waves(Eigenfunctions):
    """A class of a user's own: √2 sin(nπx)."""

    dim = n_states = None

    def __init__(self, n):
        self.n, self.n_states, self.dim = n, len(n), 1

    def __call__(self, points):
        return np.sqrt(2) * np.sin(np.pi * points * self.n)

    def quadrature(self):
        return (np.arange(64)[:, None] + 0.5) / 64, np.full(64, 1 / 64)

    def image(self, operator):
        raise NotImplementedError

    def record(self):
        return {"of": "a string"}, {"n": self.n}

    @classmethod
    def from_record(cls, settings, arrays, domain):
        assert settings["of"] == "a string" and domain.dim == 1
        return cls(arrays["n"])


class Foreign(Waves):
    """Like it, but not registered."""


def waves(functions):
    levels = np.pi**2 * np.arange(1.0, 4.0) ** 2 / 2
    return qspin.Spectrum(
        levels, np.full(3, 1e-9), np.full(3, 1e-9), np.ones(3, bool), functions, qspin.Box(0.0, 1.0),
        notes=(Note("walls", (2,), "walls hold it"),), labels=("a", "b", "c"), wall_shifts=np.array([0.1, 0.2, np.inf]),
        exact=levels, method="waves", history={"energies": np.ones((5, 3))}, provenance={"seed": 3},
    )  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return waves(Waves(np.arange(1, 4))).save(tmp_path / "waves.npz")


def edited(path, arrays=(), meta=(), without=""):
    with np.load(path) as file:
        contents = dict(file)
    record = {**json.loads(str(contents["meta"])), **dict(meta)}
    contents = {**contents, "meta": np.array(json.dumps(record)), **dict(arrays)}
    contents.pop(without, None)
    record.pop(without, None)
    return write_npz(path, {**contents, "meta": np.array(json.dumps(record))})


# --- what comes back


def test_a_registered_class_of_the_users_own_comes_back(path):
    first, loaded = waves(Waves(np.arange(1, 4))), qspin.load(path)
    x = np.linspace(0, 1, 7)[:, None]
    np.testing.assert_array_equal(loaded(x), first(x))
    assert type(loaded.eigenfunctions) is Waves
    assert (str(loaded), loaded.notes, loaded.labels) == (str(first), first.notes, first.labels)
    for name in ("energies", "errors", "residuals", "converged", "exact", "wall_shifts"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(first, name))
    np.testing.assert_array_equal(loaded.history["energies"], first.history["energies"])
    turned = loaded.rotate(by=lambda x: 1 - x)
    assert qspin.load(turned.save(path)).labels == turned.labels


def test_a_class_that_is_not_registered_is_refused_before_anything_is_written(tmp_path):
    for functions in (Foreign(np.arange(1, 4)), Foreign(np.arange(1, 4)).times(np.array([1j, 1, 1]))):
        with pytest.raises(ValueError, match=r'Foreign is not registered.*@EIGENFUNCTIONS.*"Foreign"'):
            waves(functions).save(tmp_path / "waves.npz")
    with pytest.raises(ValueError, match="Known is not registered"):
        oscillator(3, 1).save(tmp_path / "waves.npz")
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_not_json_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Waves, "record", lambda self: ({"of": Known}, {}))
    with pytest.raises(ValueError, match=r"settings that Waves\.record gives are not JSON"):
        waves(Waves(np.arange(1, 4))).save(tmp_path / "waves.npz")
    assert list(tmp_path.iterdir()) == []


# --- what is broken


@pytest.mark.parametrize("name", ["energies", "errors", "converged", "notes", "domain", "eigenfunctions"])
def test_a_missing_entry_is_named(path, name):
    with pytest.raises(ValueError, match=f"waves.npz.*'{name}'"):
        qspin.load(edited(path, without=name))


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("energies", np.array([1.0, np.inf, 2.0]), "'energies' is not finite in places"),
        ("errors", np.array([1.0, -1.0, 2.0]), "'errors' is negative in places"),
        ("exact", np.full(3, np.nan), "'exact' is not a number in places"),
        ("energies", np.ones(3) + 1j, "'energies' holds complex128, expected real"),
        ("energies", np.array([1.0, np.nan, 2.0]), "'energies' is not a number in places"),
        ("energies", np.array(["a", "b", "c"]), "'energies' holds <U1"),
        ("errors", np.ones(2), r"'errors' has shape \(2,\), expected \(states = 3\)"),
        ("residuals", np.ones((3, 1)), r"'residuals' has shape \(3, 1\)"),
        ("converged", np.ones(3), "'converged' holds float64, expected truth values"),
        ("wall_shifts", np.ones(4), r"'wall_shifts' has shape \(4,\)"),
        ("eigenfunctions/n", np.array([1.0, np.nan, 3.0]), "'eigenfunctions/n' is not a number in places"),
        ("eigenfunctions/n", np.array([1.0, np.inf, 3.0]), "'eigenfunctions/n' is not finite in places"),
        ("eigenfunctions/n", np.arange(1, 5), r"'values' has shape \(0, 4\), expected \(points = 0, states = 3\)"),
        ("potential/values", np.ones(4), "'axis0' is missing"),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_are_named(path, name, array, words):
    with pytest.raises(ValueError, match=f"waves.npz: .*{words}"):
        qspin.load(edited(path, {name: array}))


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({"name": 3}, "'name' of meta must be a str, got 3"),
        ({"notes": [{"kind": "walls"}]}, "the notes.*'states'"),
        ({"notes": [{"kind": "walls", "states": [7], "what": "a", "advice": ""}]}, "not about 3 states"),
        ({"labels": ["a"]}, "labels"),
        ({"domain": {}}, "domain.*'mask'"),
        ({"domain": {"kind": "Torus"}}, "unknown domain 'Torus'"),
        ({"eigenfunctions": {}}, "eigenfunctions.*'kind'"),
        ({"eigenfunctions": {"kind": "quantum"}}, "no kind of eigenfunctions 'quantum'"),
        ({"eigenfunctions": {"kind": "standing waves"}}, "eigenfunctions.*'of'"),
        ({"eigenfunctions": {"kind": ["ritz"]}}, "eigenfunctions cannot be read"),
        ({"format": "new"}, "not a qspin spectrum"),
    ],
)
def test_records_that_cannot_be_are_named(path, meta, words):
    with pytest.raises(ValueError, match=f"waves.npz.*{words}"):
        qspin.load(edited(path, meta=meta))


@pytest.fixture(scope="module")
def solved():
    """A spectrum of two states by each method, the grid's with a wave vector and therefore complex."""
    ring = qspin.Box(-np.pi, np.pi, periodic=True, wave_vector=0.3)
    bloch = qspin.Problem(qspin.Kinetic() + qspin.Potential(lambda x: 1 - jnp.cos(x[0])), ring)
    harmonic = qspin.Potential(qspin.potentials.harmonic(omega=1.0))
    oscillator = qspin.Problem(qspin.Kinetic() + harmonic, qspin.Box.cube(6.0, dim=1))
    return {
        "grid": qspin.solve(bloch, 2, qspin.Grid(points=24)),
        "product basis": qspin.solve(oscillator, 2, qspin.ProductBasis(max_functions=20)),
        "ritz": stored("ritz"),
        "spin": stored("spin"),
    }


@pytest.mark.parametrize("name", ["grid", "product basis", "ritz", "spin"])
def test_no_entry_of_a_method_can_be_left_out_or_cut(tmp_path, solved, name):
    """Each array of the eigenfunctions left out, shortened, or filled with nan; each of their settings left out. Turned by
    complex numbers, too, the functions come back."""
    turned = replace(solved[name], eigenfunctions=Rotated(solved[name].eigenfunctions, np.diag([1j, -1.0])))
    x = np.linspace(-3, 3, 5)[:, None]
    np.testing.assert_array_equal(qspin.load(turned.save(tmp_path / "turned.npz"))(x), turned(x))
    path = solved[name].save(tmp_path / "whole.npz")
    np.testing.assert_array_equal(qspin.load(path)(x), solved[name](x))
    whole = path.read_bytes()
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name.startswith("eigenfunctions/")}
        settings = json.loads(str(file["meta"]))["eigenfunctions"]

    def refused(**changes):
        path.write_bytes(whole)
        with pytest.raises(ValueError, match=r"whole\.npz"):
            qspin.load(edited(path, **changes))

    qspin.load(edited(path))
    for name, array in arrays.items():
        refused(without=name)
        if array.size:
            refused(arrays={name: np.ravel(array)[:-1]})
        if array.dtype.kind == "f" and array.size:
            refused(arrays={name: np.full(array.shape, np.nan)})
    for name in settings:
        if name not in ("jumps", "exponents", "box"):  # which older files do not have
            refused(meta={"eigenfunctions": {k: v for k, v in settings.items() if k != name}})


def test_a_file_cannot_ask_for_more_memory_than_it_explains(path):
    header = (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (2000000000,), }".ljust(117)
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("history/large.npy", header + b"\n")
    with pytest.raises(ValueError, match=r"would fill more than \d+ bytes; at most 4 GB are read"):
        qspin.load(path)
    zeros = np.zeros(10_000_000)  # which packs into a hundredth
    np.savez_compressed(path, zeros=zeros)
    with pytest.raises(ValueError, match="20 times the bytes of the file"):
        qspin.load(path)


def test_a_file_too_large_to_be_read_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_MOST_BYTES", 100)
    with pytest.raises(ValueError, match=r"save: the arrays of the file would fill .* at most 100 are read"):
        waves(Waves(np.arange(1, 4))).save(tmp_path / "waves.npz")
    assert list(tmp_path.iterdir()) == []


def test_shapes_are_checked_by_name():
    check_shapes({"a": np.ones((2, 3)), "b": np.ones(3)}, {"a": "n m", "b": "m"})
    with pytest.raises(ValueError, match=r"'b' has shape \(4,\), expected \(m = 3\)"):
        check_shapes({"a": np.ones((2, 3)), "b": np.ones(4)}, {"a": "n m", "b": "m"})


# --- what SpIN needs beside


class NotRegistered(MLP):
    """A network of the user's own that is not registered."""


def test_a_registered_network_of_the_users_own_comes_back(tmp_path, solved):
    spin = solved["spin"]
    loaded = qspin.load(spin.save(tmp_path / "spin.npz"))
    assert loaded.eigenfunctions.wavefunction.network == OneLayer(scale=2.0)
    assert loaded.eigenfunctions.sampler == spin.eigenfunctions.sampler
    for meta in (
        ("network", {"class": "deep"}),
        ("network", {"class": "MLP", "hidden": [2], "activation": "none"}),
    ):
        settings = json.loads(str(np.load(tmp_path / "spin.npz")["meta"]))["eigenfunctions"]
        with pytest.raises(ValueError, match=r"spin\.npz: the eigenfunctions cannot be read"):
            qspin.load(edited(tmp_path / "spin.npz", meta={"eigenfunctions": {**settings, meta[0]: meta[1]}}))


def test_networks_that_could_not_be_read_back_are_refused(tmp_path, solved):
    spin, functions = solved["spin"], solved["spin"].eigenfunctions
    for network, words in (
        (NotRegistered((3,)), "network NotRegistered is not a registered dataclass"),
        (MLP((3,), lambda x: x / (1 + x**2)), "activation of the network must be a function of jax.numpy"),
    ):
        other = replace(functions, wavefunction=replace(functions.wavefunction, network=network))
        with pytest.raises(ValueError, match=words):
            replace(spin, eigenfunctions=other).save(tmp_path / "spin.npz")
    assert list(tmp_path.iterdir()) == []


# --- archives that were edited by chance


def test_an_edited_archive_is_refused_or_a_spectrum(tmp_path, solved):
    """Bytes flipped, entries renamed, resized, retyped, retuned, settings changed: a ValueError, or a spectrum."""
    rng, refused = np.random.default_rng(0), 0
    sources = [solved[name].save(tmp_path / f"{i}.npz") for i, name in enumerate(solved)]
    path = tmp_path / "edited.npz"
    for trial in range(150):
        source = sources[trial % len(sources)]
        if trial % 3 == 0:
            data = bytearray(source.read_bytes())
            for place in rng.integers(len(data), size=4):
                data[place] = rng.integers(256)
            path.write_bytes(data[: rng.integers(len(data)) if trial % 2 else None])
        else:
            with np.load(source) as file:
                contents = dict(file)
            meta = json.loads(str(contents.pop("meta")))
            meta.pop("digest", None)
            if trial % 3 == 1:
                name = list(contents)[rng.integers(len(contents))]
                array = contents.pop(name)
                changed = (array * 0 + 1e300, array.astype(str), array[:0], array[None], array + 1j, None)
                with np.errstate(over="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    contents[name] = (
                        changed[rng.integers(len(changed) - 1)] if trial % 4 else np.float64(np.nan)
                    )
            else:
                change(meta, rng)
            np.savez(path, meta=np.array(json.dumps(meta)), **contents)
        try:
            loaded = qspin.load(path)
        except ValueError as error:
            refused += 1
            assert "edited.npz" in str(error)
        else:
            assert np.isfinite(loaded.energies).all() and str(loaded)
    assert refused > 75


def change(record, rng):
    """Some value in nested settings, replaced by another of any type."""
    values = (None, -1, 0.5, "x", [], {}, True, 10**9, float("nan"), [[1]])
    keys = list(record) if isinstance(record, dict) else range(len(record))
    key = keys[rng.integers(len(keys))]
    if isinstance(record[key], dict | list) and record[key] and rng.random() < 0.7:
        change(record[key], rng)
    else:
        record[key] = values[rng.integers(len(values))]


def test_a_file_whose_numbers_were_changed_is_refused(path):
    with pytest.raises(ValueError, match=r"waves\.npz: its arrays are not those that were saved"):
        qspin.load(edited(path, {"residuals": np.full(3, 0.5)}))


def test_a_run_folder_is_its_spectrum(path):
    assert qspin.load(path.rename(path.parent / "spectrum.npz").parent).method == "waves"
    (path.parent / "empty").mkdir()
    with pytest.raises(
        ValueError, match=r"empty is a folder without a spectrum\.npz; write the path of a file"
    ):
        qspin.load(path.parent / "empty")
    with pytest.raises(TypeError, match="load: path must be the path of a file, got 3"):
        qspin.load(3)
