"""X/Y/Z plot: a grid of pictures, over the values of up to three parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easel_plots.order import Arguments, check_order
from easel_plots.plot import TITLE, run_plot
from easel_plots.xyz_page import build_page
from easel_plots.xyz_paste import PlotPaste, fields_of

from modules.extensions import Processed, Script


class XyzPlot(Script):
    """See `easel_plots.axes` for what can be varied."""

    def title(self) -> str:
        """The name in the menu."""
        return TITLE

    def ui(self, is_img2img: bool) -> Sequence[Any]:
        """Three axes, the buttons between them, and the switches of the grid."""
        tab = "img2img" if is_img2img else "txt2img"
        files = self.menu_names or _no_files
        fields = build_page(tab, self.elem_id, files)
        self.infotext_fields = tuple(fields_of(fields, PlotPaste(tab, files)))
        return fields

    def check_arguments(self, *args: Any) -> None:
        """Raises BadInput for what no plot of this tab can be."""
        check_order("img2img" if self.is_img2img else "txt2img", Arguments(*args))

    def run(self, p: Any, *args: Any) -> Processed:
        """Make the plot. Raises BadInput."""
        return run_plot(p, Arguments(*args))


def _no_files(source: str) -> Sequence[str]:
    return ()
