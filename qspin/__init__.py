"""qspin: many eigenstates of H ψ = E ψ, from a potential to energies with error bars."""

__version__ = "0.1.0"

from qspin.runtime import check_jaxlib as _check_jaxlib

_check_jaxlib()

import importlib as _importlib  # noqa: E402
import logging as _logging  # noqa: E402
from typing import TYPE_CHECKING as _TYPE_CHECKING  # noqa: E402

from qspin import callbacks, exact, potentials, presets, symmetry  # noqa: E402
from qspin.domain import Box, Gaussian, Nodes, PolynomialMask, Space, SquareRootMask  # noqa: E402
from qspin.expression import Expression, ExpressionError, expression  # noqa: E402
from qspin.hamiltonian import Kinetic, Operator, Potential  # noqa: E402
from qspin.laplacian import autodiff, finite_difference  # noqa: E402
from qspin.networks import MLP, BlockSparseMLP, SeparateMLPs, softplus  # noqa: E402
from qspin.operators import KernelOperator, MatrixOperator, graph_laplacian, slowness  # noqa: E402
from qspin.problem import Problem  # noqa: E402
from qspin.region import Region  # noqa: E402
from qspin.sampling import Clustered, QuasiRandom, Stratified, Uniform  # noqa: E402
from qspin.solve import TrainingError, solve  # noqa: E402
from qspin.spectral_inference.estimators import AveragedCovariance, AveragedJacobian  # noqa: E402
from qspin.spectral_inference.rivals import NestedLoRA, NeuralEF  # noqa: E402
from qspin.spectrum import Spectrum  # noqa: E402
from qspin.spin import SpIN  # noqa: E402
from qspin.states.comparison import Comparison  # noqa: E402

if _TYPE_CHECKING:
    from qspin.files import load as load
    from qspin.grid import Grid as Grid
    from qspin.many_dimensions.directions import MaskedOrder as MaskedOrder
    from qspin.many_dimensions.directions import RitzRotation as RitzRotation
    from qspin.many_dimensions.point_sources import MetropolisWalkers as MetropolisWalkers
    from qspin.many_dimensions.point_sources import ReferencePoints as ReferencePoints
    from qspin.many_dimensions.updates import Adam as Adam
    from qspin.many_dimensions.updates import EnergyMetric as EnergyMetric
    from qspin.meshes.schemes import differences as differences
    from qspin.meshes.schemes import dvr as dvr
    from qspin.meshes.schemes import elements as elements
    from qspin.product_basis import ProductBasis as ProductBasis
    from qspin.ritz import Ritz as Ritz
    from qspin.sampled_ritz import SampledRitz as SampledRitz
    from qspin.validation import validate as validate

__all__ = [
    "MLP",
    "Adam",
    "AveragedCovariance",
    "AveragedJacobian",
    "BlockSparseMLP",
    "Box",
    "Clustered",
    "Comparison",
    "EnergyMetric",
    "Expression",
    "ExpressionError",
    "Gaussian",
    "Grid",
    "KernelOperator",
    "Kinetic",
    "MaskedOrder",
    "MatrixOperator",
    "MetropolisWalkers",
    "NestedLoRA",
    "NeuralEF",
    "Nodes",
    "Operator",
    "PolynomialMask",
    "Potential",
    "Problem",
    "ProductBasis",
    "QuasiRandom",
    "ReferencePoints",
    "Region",
    "Ritz",
    "RitzRotation",
    "SampledRitz",
    "SeparateMLPs",
    "SpIN",
    "Space",
    "Spectrum",
    "SquareRootMask",
    "Stratified",
    "TrainingError",
    "Uniform",
    "autodiff",
    "callbacks",
    "differences",
    "dvr",
    "elements",
    "exact",
    "expression",
    "finite_difference",
    "graph_laplacian",
    "load",
    "potentials",
    "presets",
    "shapes",
    "slowness",
    "softplus",
    "solve",
    "symmetry",
    "validate",
]

_logging.getLogger("qspin").addHandler(_logging.NullHandler())  # silent, unless somebody listens

# SciPy's sparse code takes a third of a second to import: `Grid` and what needs it come when asked for.
_LAZY = {
    "Grid": "qspin.grid",
    "load": "qspin.files",
    "differences": "qspin.meshes.schemes",
    "dvr": "qspin.meshes.schemes",
    "elements": "qspin.meshes.schemes",
    "validate": "qspin.validation",
    "ProductBasis": "qspin.product_basis",
    "Ritz": "qspin.ritz",
    "SampledRitz": "qspin.sampled_ritz",
    "Adam": "qspin.many_dimensions.updates",
    "EnergyMetric": "qspin.many_dimensions.updates",
    "MaskedOrder": "qspin.many_dimensions.directions",
    "RitzRotation": "qspin.many_dimensions.directions",
    "MetropolisWalkers": "qspin.many_dimensions.point_sources",
    "ReferencePoints": "qspin.many_dimensions.point_sources",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(_importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'qspin' has no attribute {name!r}")
