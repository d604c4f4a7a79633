import dataclasses
import threading
import warnings

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from qspin.numerics import precision

YNN_OFF = "--xla_cpu_experimental_ynn_fusion_type="


@pytest.fixture(autouse=True)
def no_xla_flags(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)


# --- which JAX


def test_the_installed_jaxlib_is_accepted():
    precision.check_jaxlib()


@pytest.mark.parametrize("version", ["0.6.0", "0.10.1", "0.11.2", "0.12.0.1", "0.10.20", "0.10.2.1"])
def test_sound_versions_are_accepted(version):
    precision.check_jaxlib(version)


@pytest.mark.parametrize(
    ("version", "issue"), [("0.10.2", "39103"), ("0.10.2+cuda12", "39103"), ("0.11.0", "39257")]
)
def test_broken_versions_are_refused_with_what_came_why_and_what_to_try(version, issue):
    with pytest.raises(ImportError) as refused:
        precision.check_jaxlib(version)
    message = str(refused.value)
    assert version in message and issue in message
    assert "pip install 'jax!=0.10.2,!=0.11.0' 'jaxlib!=0.10.2,!=0.11.0'" in message
    assert (f"XLA_FLAGS={YNN_OFF} " in message) == version.startswith("0.10.2")


@pytest.mark.parametrize("flags", [YNN_OFF, f"--xla_other=1 {YNN_OFF}", f"{YNN_OFF}dot {YNN_OFF}"])
def test_0_10_2_is_accepted_with_its_faulty_fusion_off(monkeypatch, flags):
    monkeypatch.setenv("XLA_FLAGS", flags)
    precision.check_jaxlib("0.10.2")
    with pytest.raises(ImportError):
        precision.check_jaxlib("0.11.0")


@pytest.mark.parametrize(
    "flags", ["", f"{YNN_OFF}dot", f"{YNN_OFF} {YNN_OFF}dot", YNN_OFF[:-1], f"{YNN_OFF[:-1]}s="]
)
def test_0_10_2_is_refused_with_other_flags(monkeypatch, flags):
    monkeypatch.setenv("XLA_FLAGS", flags)
    with pytest.raises(ImportError):
        precision.check_jaxlib("0.10.2")


# --- which precision


def dtype_now():
    return jnp.zeros(1).dtype


def test_precision_holds_inside_the_block_and_nests():
    assert dtype_now() == jnp.float32
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with precision.double_precision():
            assert dtype_now() == jnp.float64
            assert jax.jit(lambda: 2.0 * jnp.ones(1))().dtype == jnp.float64
            with precision.precision("float32"):
                assert dtype_now() == jnp.float32
            assert dtype_now() == jnp.float64
    assert dtype_now() == jnp.float32


def test_one_compiled_function_serves_both_precisions():
    double = jax.jit(lambda x: x + x)
    for _ in range(2):
        assert double(np.ones(2)).dtype == jnp.float32
        with precision.double_precision():
            assert double(np.ones(2)).dtype == jnp.float64


@pytest.mark.parametrize("dtype", ["float64", np.float64, jnp.float64, np.dtype("float64"), float])
def test_precision_takes_a_name_or_a_type(dtype):
    with precision.precision(dtype):
        assert dtype_now() == jnp.float64


@pytest.mark.parametrize("dtype", ["float16", "complex128", "double-ish", np.int32, None, 64])
def test_precision_refuses_other_types(dtype):
    with (
        pytest.raises(ValueError, match="precision: expected float32 or float64, got"),
        precision.precision(dtype),
    ):
        pass


def test_precision_is_put_back_after_an_error():
    with pytest.raises(ZeroDivisionError), precision.double_precision():
        _ = 1 / 0
    assert dtype_now() == jnp.float32


def test_precision_decorates_and_a_decorated_function_may_call_itself():
    @precision.double_precision()
    def depths(n):
        return [dtype_now(), *(depths(n - 1) if n else []), dtype_now()]

    assert depths(2) == [jnp.float64] * 6
    assert dtype_now() == jnp.float32


def test_precision_leaves_the_global_flag_and_other_threads_alone():
    seen = []
    with precision.double_precision():
        thread = threading.Thread(target=lambda: seen.append(dtype_now()))
        thread.start()
        thread.join()
    assert seen == [jnp.float32]


def test_x64_fixture(x64):
    assert dtype_now() == jnp.float64


def test_shapes_are_checked_while_testing():
    with pytest.raises(jaxtyping.TypeCheckError):
        precision._weighted_cosines(jnp.ones(3), jnp.ones((2, 4)))


def test_strict_promotion_fixture(strict_promotion):
    with pytest.raises(Exception, match="promotion"):
        jnp.ones(2, jnp.float32) + jnp.ones(2, jnp.int32)


# --- whether to believe its numbers


def test_compiled_code_is_right_on_this_machine():
    result = precision.self_test()
    assert result.ok, str(result)
    assert result.deviation < 1e-5  # about 100 float32 epsilons
    assert len(str(result).splitlines()) == 2 and "WRONG" not in str(result)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_good_case_is_compared_in_the_precision_of_the_caller(dtype):
    seen = []

    def sine(x):
        seen.append(x.dtype)
        return {"sin": jnp.sin(x), "count": x.size}

    with precision.precision(dtype):
        assert precision.self_test([("sine", sine, (np.linspace(0.0, 1.0, 5),))]).ok
    assert set(seen) == {np.dtype(dtype)}


def test_a_case_that_compiles_to_something_else_is_found():
    def inconsistent(x):
        return 1.01 * x if isinstance(x, jax.core.Tracer) else x

    result = precision.self_test(
        [("sound", jnp.sin, (jnp.ones(3),)), ("unsound", inconsistent, (jnp.ones(3),))]
    )
    assert not result.ok
    assert result.deviation == pytest.approx(0.01, rel=1e-4)  # float32: 1e-7 of a number near one
    assert (
        "ok    sound" in result.text and "WRONG unsound" in result.text and "Try: pip install" in result.text
    )


def test_numbers_that_are_not_finite_are_found():
    result = precision.self_test([("pole", lambda x: 1 / x, (jnp.zeros(1),))])
    assert not result.ok and result.deviation == np.inf


def test_the_verdict_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        precision.SelfTest(True, 0.0, "").ok = False


def test_describe_names_versions_and_device():
    about = precision.describe()
    assert {
        "qspin",
        "python",
        "jax",
        "jaxlib",
        "numpy",
        "scipy",
        "platform",
        "device",
        "device_count",
    } <= set(about)
    assert all(isinstance(value, str) for value in about.values())
    assert about["jax"] == jax.__version__ and about["numpy"] == np.__version__
    assert about["device_count"] == str(len(jax.devices()))
