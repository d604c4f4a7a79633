"""Settings of published experiments, by name."""

import optax

from qspin.methods.spin.driver import SpIN
from qspin.methods.spin.estimators import AveragedJacobian, Estimator
from qspin.methods.spin.networks import BlockSparseMLP, softplus
from qspin.problem.sampling import Uniform

__all__ = ["spin_paper_hydrogen"]


def spin_paper_hydrogen(
    steps: int = 1_000_000, averaging: float = 0.01, estimator: Estimator | None = None
) -> SpIN:
    """The SpIN paper's method for 2D hydrogen (appendix C.1): 4×128 softplus block-sparse network, uniform
    batches of 128, RMSProp with decay 0.999 and learning rate 1e-5, Algorithm 1.

    Args:
        steps: the paper trains a million.
        averaging: β; 0.01 is the paper's, 1 its comparison without bias correction.
        estimator: `AveragedJacobian()`, the paper's, by default; `AveragedCovariance(project=False, gauge=0.0)` has
            the same expected gradient at a part of the cost.

    Use it with `Kinetic(mass=0.5, laplacian=finite_difference(0.1))`, as the paper did; problems/hydrogen_2d.py
    defines that as `paper_problem`.
    """
    return SpIN(
        steps=steps,
        batch_size=128,
        averaging=averaging,
        optimizer=optax.rmsprop(1e-5, decay=0.999),
        estimator=AveragedJacobian() if estimator is None else estimator,
        network=BlockSparseMLP((128, 128, 128, 128), softplus),
        sampler=Uniform(),
        adapt=False,
    )
