"""What every test stands on: shapes checked at run time, pictures without a screen, precision by fixture.

No persistent compilation cache: with jaxlib 0.10.1 every program that is read back from it complains of a
foreign machine ("cpu_aot_loader: ... feature +prefer-no-gather is not supported") on the one that wrote it.
"""

import os
import sys
from collections.abc import Iterator

os.environ["MPLBACKEND"] = "Agg"  # read when Matplotlib is first imported, here or in a subprocess

import jax
import pytest
import scipy.linalg  # noqa: F401 (it brings a BLAS of its own, which is then limited, too)
from jaxtyping import install_import_hook
from threadpoolctl import threadpool_limits

# One thread for each of several workers: BLAS threads that wait for each other on busy cores cost many times the work.
_one_thread = threadpool_limits(limits=1) if "PYTEST_XDIST_WORKER" in os.environ else None

assert "qspin" not in sys.modules, "qspin was imported before the hook that checks its shapes."
install_import_hook("qspin", "beartype.beartype")

from qspin.numerics import precision  # noqa: E402 (after the hook)


@pytest.fixture
def x64() -> Iterator[None]:
    """Compute this test in float64."""
    with precision.double_precision():
        yield


@pytest.fixture
def strict_promotion() -> Iterator[None]:
    """Refuse implicit mixing of types, float32 with float64 above all."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    """Matplotlib keeps figures until they are closed; the next test must not find them."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
