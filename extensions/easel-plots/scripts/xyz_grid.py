"""X/Y/Z plot: a grid of pictures, over the values of up to three parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easel_plots.order import Arguments
from easel_plots.plot import TITLE, run_plot
from easel_plots.xyz_page import build_page

from modules.extensions import Processed, Script


class XyzPlot(Script):
    """See `easel_plots.axes` for what can be varied."""

    def title(self) -> str:
        """The name in the menu."""
        return TITLE

    def ui(self, is_img2img: bool) -> Sequence[Any]:
        """Three axes, the buttons between them, and the switches of the grid."""
        tab = "img2img" if is_img2img else "txt2img"
        return build_page(tab, self.elem_id, self.menu_names or _no_files)

    def run(self, p: Any, *args: Any) -> Processed:
        """Make the plot. Raises BadInput."""
        return run_plot(p, Arguments(*args))


def _no_files(source: str) -> Sequence[str]:
    return ()
