"""How everything is computed: with which JAX, in which precision, in batches and chunks; and whether to believe the numbers."""

import importlib.metadata
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxlib.version import __version__ as _jaxlib_version
from jaxtyping import Array, Float

__all__ = [
    "SelfTest",
    "awaited",
    "check_jaxlib",
    "chunked",
    "describe",
    "double_precision",
    "evaluated",
    "precision",
    "rounds_to_single",
    "self_test",
]

_BROKEN = {
    "0.10.2": "computes wrong numbers on CPUs, silently (jax-ml/jax issue 39103)",
    "0.11.0": "crashes inside compiled code on CPUs (jax-ml/jax issue 39257)",
}
_ADVICE = "pip install 'jax!=0.10.2,!=0.11.0' 'jaxlib!=0.10.2,!=0.11.0'"
_BATCHES = (1024, 16_384)  # points of a batch, where there are few and many
_YNN_FLAG = "--xla_cpu_experimental_ynn_fusion_type"


def check_jaxlib(version: str = _jaxlib_version) -> None:
    """Refuse a jaxlib that is known to be broken; `import qspin` calls it.

    Raises ImportError for jaxlib 0.10.2 and 0.11.0, with what to install instead. 0.10.2 is let through where
    XLA_FLAGS switches its faulty fusion off by `--xla_cpu_experimental_ynn_fusion_type=` (an empty value).

    >>> check_jaxlib("0.10.1")
    """
    release = version.split("+")[0]  # "0.10.2+local" is the same code
    advice = _ADVICE
    if release == "0.10.2":
        flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if flag.split("=")[0] == _YNN_FLAG]
        if flags[-1:] == [f"{_YNN_FLAG}="]:  # XLA lets the last one win
            return
        advice += f", or set XLA_FLAGS={_YNN_FLAG}= (an empty value)"
    if release in _BROKEN:
        raise ImportError(f"qspin: jaxlib {version} is installed, which {_BROKEN[release]}. Try: {advice}.")


@contextmanager
def precision(dtype: Any) -> Iterator[None]:
    """Compute in float32 or float64 inside a `with` block or a decorated function, and only there.

    JAX rounds float64 to float32 unless a flag says otherwise; this sets the flag for the current thread and
    puts it back, whatever happens. Enter it around compiled functions, not inside them. Hand results out as
    NumPy arrays: outside the block JAX rounds its own float64 arrays to float32, with a warning at best.

    `dtype` is float32 or float64, as a name, a NumPy or a JAX type. Raises ValueError for any other.

    >>> with precision("float64"):
    ...     print(jnp.zeros(3).dtype)
    float64
    """
    try:
        name = "None" if dtype is None else np.dtype(dtype).name  # NumPy reads None as float64
    except TypeError:
        name = repr(dtype)
    if name not in ("float32", "float64"):
        raise ValueError(f"precision: expected float32 or float64, got {name}.")
    if hasattr(jax, "enable_x64"):  # JAX 0.8 and later
        switch = jax.enable_x64
    else:
        from jax.experimental import enable_x64 as switch  # type: ignore[attr-defined, no-redef, unused-ignore]
    with switch(name == "float64"):
        yield


@contextmanager
def double_precision() -> Iterator[None]:
    """Compute in float64 inside a `with` block or a decorated function: `precision("float64")`.

    >>> @double_precision()
    ... def zeros():
    ...     return jnp.zeros(2)
    >>> zeros().dtype
    dtype('float64')
    """
    with precision("float64"):
        yield


@dataclass(frozen=True)
class SelfTest:
    """What `self_test` found; printed, one line a case.

    `ok`: every deviation is within its tolerance, 10⁴ machine epsilons of the result's type. `deviation`: the
    largest max|a - b| / max|b| over one result b; infinite where a number is not finite. `text`: the report.
    """

    ok: bool
    deviation: float
    text: str

    def __str__(self) -> str:
        return self.text


def self_test(cases: Sequence[tuple[str, Callable[..., Any], tuple[Any, ...]]] = ()) -> SelfTest:
    """Compare compiled with eager code, and with NumPy on two expressions that jaxlib 0.10.2 gets wrong.

    Those are Σ_i (M x)_i² over 16,385 float64 rows x, and (Σ_j c_j cos x_j) cos x over 20,000 float32 rows.
    `cases` are more functions to test, as (name, function, arguments): arguments are pytrees of arrays, and
    so is the result; each is run in the caller's precision. A failed test is an answer, not an exception.

    >>> self_test([("sine", jnp.sin, (jnp.ones(5),))]).ok
    True
    """
    rng = np.random.default_rng(0)
    matrix, rows = rng.normal(size=(3, 3)), rng.normal(size=(16_385, 3))
    c, x = (rng.normal(size=shape).astype(np.float32) for shape in [(3,), (20_000, 3)])
    norms = ((rows @ matrix.T) ** 2).sum(1)
    cosines = (c * np.cos(x)).sum(1)[:, None] * np.cos(x)

    with jax.default_matmul_precision("highest"):  # an accelerator's shortened float32 products are no fault
        with double_precision():
            results = [_compare("|M x|² by rows, float64", _squared_norms, (matrix, rows), norms)]
        results.append(_compare("c·cos(x) cos(x) by rows, float32", _weighted_cosines, (c, x), cosines))
        results.extend(_compare(*case) for case in cases)

    ok = all(deviation <= allowed for _, deviation, allowed in results)
    lines = [
        f"{'ok   ' if deviation <= allowed else 'WRONG'} {name}: off {deviation:.1e}, allowed {allowed:.1e}"
        for name, deviation, allowed in results
    ]
    if not ok:
        lines.append(f"Compiled code is wrong here, with jaxlib {_jaxlib_version}. Try: {_ADVICE}.")
    return SelfTest(ok, max(deviation for _, deviation, _ in results), "\n".join(lines))


def _squared_norms(matrix: Float[Array, "3 3"], rows: Float[Array, "batch 3"]) -> Float[Array, " batch"]:
    return jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2))(rows)


def _weighted_cosines(c: Float[Array, " dim"], x: Float[Array, "batch dim"]) -> Float[Array, "batch dim"]:
    return (c * jnp.cos(x)).sum(1)[:, None] * jnp.cos(x)


def _compare(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], expected: Any = None
) -> tuple[str, float, float]:
    """The name; the largest deviation of compiled from eager, and of both from expected; what is allowed."""
    args = jax.tree.map(jnp.asarray, args)
    compiled = jax.tree.leaves(jax.jit(function)(*args))
    with jax.disable_jit():
        eager = jax.tree.leaves(function(*args))
    pairs = list(zip(compiled, eager, strict=True))
    pairs += [] if expected is None else [(compiled[0], expected), (eager[0], expected)]
    eps = [float(jnp.finfo(a.dtype).eps) for a in compiled if jnp.issubdtype(a.dtype, jnp.inexact)]
    largest = 0.0
    for a, b in (np.asarray(pair, np.complex128) for pair in pairs):
        scale = max(np.abs(b).max(initial=0.0), np.finfo(float).tiny)
        finite = np.isfinite(a).all() and np.isfinite(b).all()
        largest = max(largest, float(np.abs(a - b).max(initial=0.0) / scale) if finite else float("inf"))
    return name, largest, 1e4 * max(eps, default=0.0)


def describe() -> dict[str, str]:
    """Versions, platform and device by name, for the provenance of a result and for `qspin info`.

    >>> describe()["jaxlib"] == _jaxlib_version
    True
    """
    names = ["jax", "jaxlib", "numpy", "scipy", "optax", "equinox"]
    return {
        "qspin": getattr(sys.modules["qspin"], "__version__", "unknown"),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
        "platform": platform.platform(),
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "device_count": str(jax.device_count()),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


@double_precision()
def evaluated(function: Callable[..., Any], points: np.ndarray, most: int = _BATCHES[-1]) -> np.ndarray:
    """A function of one point (dim,) at points (P, dim): (P, ...), float64 or complex.

    Args:
        function: of a point in jax.numpy, or a `jax.tree_util.Partial` of one: what it binds are arguments of the compiled
            program, which therefore serves all functions that differ in these arrays only.
        points: (P, dim); P may be zero.
        most: how many points to hold at a time.

    Batches are filled up to one of two sizes, and equal functions share a program, so that little is compiled.
    """
    leaves, structure = jax.tree.flatten(function if isinstance(function, Partial) else Partial(function))
    try:
        program = _program(structure)
    except TypeError:  # a function that cannot be hashed
        program = _program.__wrapped__(structure)
    leaves, points = [jnp.asarray(leaf) for leaf in leaves], np.asarray(points, float)
    if len(points) == 0:
        shape = jax.eval_shape(program, leaves, jax.ShapeDtypeStruct(points.shape, jnp.float64)).shape
        return np.zeros(shape)
    batch = min(most, _BATCHES[len(points) > 128 * _BATCHES[0]])
    padded = np.concatenate([points, np.repeat(points[-1:], -len(points) % batch, axis=0)])
    parts = [np.asarray(program(leaves, padded[i : i + batch])) for i in range(0, len(padded), batch)]
    values = np.concatenate(parts)[: len(points)]
    return values.astype(np.result_type(values, float), copy=False)


@lru_cache(maxsize=64)
def _program(structure: Any) -> Callable[..., Any]:
    """A function of one point, given as the structure of a `Partial`, compiled for leaves and a batch of points."""
    return jax.jit(lambda leaves, x: jax.vmap(jax.tree.unflatten(structure, leaves))(x))


def chunked(
    step: Callable[[Any], tuple[Any, dict[str, Any]]], steps: int, length: int, dtype: str = "float64"
) -> Callable[..., tuple[Any, dict[str, np.ndarray]]]:
    """The function `advance(state, until=None) -> (state, info)`, which takes up to `length` steps, none beyond step `until` or
    `steps`. It is compiled once.

    Args:
        step: state -> (state, info): one step. The state is a pytree of arrays with a counter `step`, which each step raises by
            one; info maps names to arrays. The info of `advance` has them for every step taken, along a new first axis.
        steps: of the whole training.
        length: steps in a chunk.
        dtype: the precision to compute in.
    """
    once = jax.jit(step, inline=True)  # traced once, for its shapes and for its program

    def unchanged(state: Any) -> tuple[Any, dict[str, Any]]:
        info = jax.eval_shape(once, state)[1]
        return state, jax.tree.map(lambda a: jnp.ones(a.shape, a.dtype), info)

    @jax.jit
    def chunk(state: Any, until: Any) -> tuple[Any, dict[str, Any]]:
        # The last chunk may run past the end: its surplus steps change nothing, and one compilation serves all chunks.
        return jax.lax.scan(
            lambda now, _: jax.lax.cond(now.step < until, once, unchanged, now), state, length=length
        )

    def advance(state: Any, until: int | None = None) -> tuple[Any, dict[str, np.ndarray]]:
        with precision(dtype):
            end = steps if until is None else min(until, steps)
            taken = min(length, end - int(state.step))
            state, info = awaited(chunk(state, jnp.int32(end)))
            return state, {name: np.asarray(values)[:taken] for name, values in info.items()}

    return advance


def awaited(result: Any) -> Any:
    """The result of a compiled function, computed. Another thread waits for it, so that Python handles Ctrl-C in the meantime:
    while JAX waits it does not."""
    done = threading.Event()

    def wait() -> None:
        try:
            jax.block_until_ready(result)
        except Exception:  # raised again where the numbers are read
            pass
        finally:
            done.set()

    threading.Thread(target=wait, name="qspin waits for a chunk").start()
    done.wait()
    return result


# What moves numbers and computes none.
_MOVES = ("slice", "dynamic_slice", "gather", "squeeze", "expand_dims", "broadcast_in_dim", "reshape")
_MORE_MOVES = ("transpose", "concatenate", "select_n", "copy", "copy_p", "rev", "iota", "stop_gradient")


@double_precision()
def rounds_to_single(function: Callable[..., Any], dim: int) -> bool:
    """Whether a function of one point computes in single precision although the point is in double: by numbers made outside of
    it, before double precision was switched on, that single precision has rounded, or by a conversion of its own."""
    program = jax.make_jaxpr(function)(jnp.zeros(dim))
    return _rounds(program.jaxpr, program.consts)


def _rounds(program: Any, constants: Sequence[Any]) -> bool:
    literals = [v.val for equation in program.eqns for v in equation.invars if hasattr(v, "val")]
    if any(_is_rounded(np.asarray(value)) for value in [*constants, *literals]):
        return True
    for equation in program.eqns:
        inner = [p for p in jax.tree.leaves(list(equation.params.values())) if hasattr(p, "eqns")]
        if any(_rounds(getattr(p, "jaxpr", p), getattr(p, "consts", ())) for p in inner):
            return True
        kinds = [str(getattr(v.aval, "dtype", "")) for v in (*equation.invars, *equation.outvars)]
        before, after = kinds[: len(equation.invars)], kinds[len(equation.invars) :]
        if inner or not any(kind in ("float32", "float16", "bfloat16") for kind in after):
            continue
        name = equation.primitive.name
        if name not in (*_MOVES, *_MORE_MOVES) and (name != "convert_element_type" or "float64" in before):
            return True
    return False


def _is_rounded(numbers: np.ndarray) -> bool:
    """Whether numbers in single precision differ from the decimal ones that they are written as: 0.1 does, 0.5 does not."""
    if numbers.dtype.name not in ("float32", "float16", "bfloat16"):
        return False
    some = numbers.ravel()[:: max(numbers.size // 1000, 1)]
    return any(np.isfinite(x) and float(str(x)) != float(x) for x in some)
