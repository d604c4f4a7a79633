"""qspin: many eigenstates of H ψ = E ψ, from a potential to energies with error bars."""

__version__ = "0.2.0"

from qspin.numerics.precision import check_jaxlib as _check_jaxlib

_check_jaxlib()

import importlib as _importlib  # noqa: E402
import logging as _logging  # noqa: E402
from typing import TYPE_CHECKING as _TYPE_CHECKING  # noqa: E402

from qspin.methods.base import METHODS, DirectMethod, IterativeMethod, all_bound  # noqa: E402
from qspin.methods.spin import presets  # noqa: E402
from qspin.methods.spin.driver import SpIN  # noqa: E402
from qspin.methods.spin.estimators import AveragedCovariance, AveragedJacobian, NestedLoRA, NeuralEF  # noqa: E402
from qspin.methods.spin.networks import MLP, NETWORKS, BlockSparseMLP, Network, SeparateMLPs, softplus  # noqa: E402
from qspin.numerics.laplacian import autodiff, finite_difference  # noqa: E402
from qspin.problem import exact, potentials, symmetry, units  # noqa: E402
from qspin.problem import region as shapes  # noqa: E402
from qspin.problem.domain import Box, Gaussian, Nodes, PolynomialMask, Space, SquareRootMask  # noqa: E402
from qspin.problem.expression import Expression, ExpressionError, expression  # noqa: E402
from qspin.problem.hamiltonian import Kinetic, LocalForm, Operator, Potential  # noqa: E402
from qspin.problem.operators import KernelOperator, MatrixOperator, graph_laplacian, slowness  # noqa: E402
from qspin.problem.problem import Problem  # noqa: E402
from qspin.problem.region import Region  # noqa: E402
from qspin.problem.sampling import Clustered, QuasiRandom, Stratified, Uniform  # noqa: E402
from qspin.run import callbacks  # noqa: E402
from qspin.run.solve import TrainingError, solve  # noqa: E402
from qspin.spectrum.comparison import Comparison  # noqa: E402
from qspin.spectrum.eigenfunctions import EIGENFUNCTIONS, Eigenfunctions, PointwiseFunctions  # noqa: E402
from qspin.spectrum.notes import Note  # noqa: E402
from qspin.spectrum.spectrum import VIEWS as _VIEWS  # noqa: E402
from qspin.spectrum.spectrum import Spectrum  # noqa: E402
from qspin.spectrum.store import load  # noqa: E402

if _TYPE_CHECKING:
    from qspin.methods.bounds.driver import Bounds as Bounds
    from qspin.methods.grid.axes import differences as differences
    from qspin.methods.grid.axes import dvr as dvr
    from qspin.methods.grid.axes import elements as elements
    from qspin.methods.grid.driver import Grid as Grid
    from qspin.methods.product_basis.driver import ProductBasis as ProductBasis
    from qspin.methods.ritz.driver import Ritz as Ritz
    from qspin.methods.sampled.driver import SampledRitz as SampledRitz
    from qspin.run.validation import validate as validate

__all__ = [
    "EIGENFUNCTIONS",
    "METHODS",
    "MLP",
    "NETWORKS",
    "AveragedCovariance",
    "AveragedJacobian",
    "BlockSparseMLP",
    "Bounds",
    "Box",
    "Clustered",
    "Comparison",
    "DirectMethod",
    "Eigenfunctions",
    "Expression",
    "ExpressionError",
    "Gaussian",
    "Grid",
    "IterativeMethod",
    "KernelOperator",
    "Kinetic",
    "LocalForm",
    "MatrixOperator",
    "NestedLoRA",
    "Network",
    "NeuralEF",
    "Nodes",
    "Note",
    "Operator",
    "PointwiseFunctions",
    "PolynomialMask",
    "Potential",
    "Problem",
    "ProductBasis",
    "QuasiRandom",
    "Region",
    "Ritz",
    "SampledRitz",
    "SeparateMLPs",
    "SpIN",
    "Space",
    "Spectrum",
    "SquareRootMask",
    "Stratified",
    "TrainingError",
    "Uniform",
    "all_bound",
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
    "units",
    "validate",
]

for _name, _address in {
    "spin": "qspin.methods.spin.driver:SpIN",
    "ritz": "qspin.methods.ritz.driver:Ritz",
    "sampled-ritz": "qspin.methods.sampled.driver:SampledRitz",
    "grid": "qspin.methods.grid.driver:Grid",
    "product-basis": "qspin.methods.product_basis.driver:ProductBasis",
}.items():
    METHODS.register(_name, _address)

for _kind, _address in {
    "grid": "qspin.methods.grid.mesh:GridFunctions",
    "ritz": "qspin.methods.ritz.features:RitzFunctions",
    "variational": "qspin.methods.spin.evaluate:VariationalFunctions",
    "sampled": "qspin.methods.sampled.functions:SampledFunctions",
    "product basis": "qspin.methods.product_basis.driver:ProductBasisFunctions",
    "rotated": "qspin.spectrum.eigenfunctions:Rotated",
}.items():
    EIGENFUNCTIONS.register(_kind, _address)

_logging.getLogger("qspin").addHandler(_logging.NullHandler())  # silent, unless somebody listens

# Matplotlib is imported when a picture is wanted.
for _view, _function in {
    "plot_orbitals": "qspin.draw.orbitals:orbitals",
    "plot_isosurfaces": "qspin.draw.surfaces:isosurfaces",
    "plot_levels": "qspin.draw.levels:levels",
    "plot_marginals": "qspin.draw.orbitals:marginals",
    "plot_history": "qspin.draw.history:history",
    "plot_errors": "qspin.draw.history:history_errors",
    "plot_overlap": "qspin.draw.levels:overlap",
    "animate": "qspin.draw.film:animate",
    "report": "qspin.draw.report:report",
    "bounds": "qspin.methods.bounds.driver:bounds",
}.items():
    _VIEWS.register(_view, _function)

# SciPy's sparse code takes a third of a second to import: `Grid` and what needs it come when asked for.
_LAZY = {
    "Bounds": "qspin.methods.bounds.driver",
    "Grid": "qspin.methods.grid.driver",
    "differences": "qspin.methods.grid.axes",
    "dvr": "qspin.methods.grid.axes",
    "elements": "qspin.methods.grid.axes",
    "validate": "qspin.run.validation",
    "ProductBasis": "qspin.methods.product_basis.driver",
    "Ritz": "qspin.methods.ritz.driver",
    "SampledRitz": "qspin.methods.sampled.driver",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(_importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'qspin' has no attribute {name!r}")
