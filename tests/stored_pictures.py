"""Pictures against stored ones: without text, which every version of FreeType draws in its own way, and within a tolerance.

QSPIN_WRITE_BASELINE=1 in the environment writes the stored pictures anew. Look at them before they are committed.
"""

import os
from pathlib import Path

import numpy as np
from matplotlib.testing.compare import compare_images
from matplotlib.testing.exceptions import ImageComparisonFailure
from matplotlib.text import Text
from matplotlib.ticker import NullFormatter
from PIL import Image

BASELINE = Path(__file__).parent / "baseline"
# Root mean square over pixels and colours, of 255: rounding the stored colours makes up to 2.5, another state 20 and more.
TOLERANCE = 6.0


def without_text(figure):
    """Hide every text, so that neither its shape nor the room it takes is compared."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis, *([ax.zaxis] if hasattr(ax, "zaxis") else [])):
            axis.set_major_formatter(NullFormatter())
            axis.set_minor_formatter(NullFormatter())
        if ax.get_legend() is not None:
            ax.get_legend().remove()
    for text in figure.findobj(Text):
        text.set_visible(False)


def difference(drawn, name, folder):
    """What differs from the stored picture of that name, in words; None where nothing does."""
    figure = np.ravel(drawn)[0].figure
    without_text(figure)
    stored, path = BASELINE / f"{name}.png", Path(folder) / f"{name}.png"
    figure.savefig(path, dpi=44)
    if os.environ.get("QSPIN_WRITE_BASELINE") == "1":
        with Image.open(path) as drawn_now:
            drawn_now.convert("RGB").quantize(192, dither=Image.Dither.NONE).save(stored, optimize=True)
    try:
        return compare_images(str(stored), str(path), TOLERANCE)
    except ImageComparisonFailure as failure:  # not of the same size
        return str(failure)
