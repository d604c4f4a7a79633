"""Settings of published experiments, by name."""

import jax

from qspin.networks import BlockSparseMLP
from qspin.sampling import Uniform
from qspin.spin import AveragedJacobian, SpIN

__all__ = ["spin_paper_hydrogen"]


def spin_paper_hydrogen(steps: int = 1_000_000, averaging: float = 0.01) -> SpIN:
    """The SpIN paper's method for 2D hydrogen (appendix C.1): 4×128 softplus block-sparse network, uniform
    batches of 128, RMSProp with decay 0.999 and learning rate 1e-5, Algorithm 1.

    Use it with `Kinetic(mass=0.5, laplacian=finite_difference(0.1))`, as the paper did; problems/hydrogen_2d.py
    defines that as `paper_problem`.
    """
    return SpIN(
        steps=steps,
        batch_size=128,
        averaging=averaging,
        estimator=AveragedJacobian(),
        network=BlockSparseMLP((128, 128, 128, 128), jax.nn.softplus),
        sampler=Uniform(),
        adapt=False,
    )
