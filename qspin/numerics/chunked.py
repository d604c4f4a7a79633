"""Training in chunks: many steps in one compiled program, which stops at any step that it is told."""

import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspin.numerics.precision import precision

__all__ = ["awaited", "chunked"]

Step = Callable[[Any], tuple[Any, dict[str, Any]]]


def chunked(
    step: Step, steps: int, length: int, dtype: str = "float64"
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
