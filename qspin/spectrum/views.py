"""What draws a `Spectrum`: the functions behind its methods `plot_…`, `animate` and `report`, by the name of the method."""

from qspin.numerics.registry import Registry

__all__ = ["VIEWS"]

# The functions live in layers above this one, which register them; none is imported before it is called.
VIEWS = Registry("picture", "qspin.views")
