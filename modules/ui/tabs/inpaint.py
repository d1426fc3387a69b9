"""The inpaint tab: the mask brush up front, and the canvas that grows."""

from __future__ import annotations

from typing import Final

from modules.core.app import App
from modules.ui.canvas import CanvasRow, Kind
from modules.ui.img2img_order import inpaint, inpaint_upload, outpaint
from modules.ui.picture_tab import OUTPAINT, Mode, PictureTab

TAB: Final = "inpaint"
LABEL: Final = "Inpaint"

MODES: Final[tuple[Mode, ...]] = (
    Mode(
        "inpaint",
        "Inpaint",
        (
            CanvasRow(
                "inpaint_canvas", "Paint over what should change", Kind.MASK,
                "Drop a picture here, paste one, or click to choose a file",
            ),
        ),
        inpaint,
        has_mask=True,
    ),
    Mode(
        "outpaint",
        "Outpaint",
        (CanvasRow("inpaint_outpaint", "Picture that grows", Kind.PICTURE),),
        outpaint,
        has_mask=True,
        fields=OUTPAINT,
        note="The picture grows by so many pixels to each side, and the new part is drawn. With "
        "“Whole picture” the result is as large as the grown picture.",
    ),
    Mode(
        "upload",
        "Upload a mask",
        (
            CanvasRow("inpaint_upload_base", "Picture", Kind.PICTURE),
            CanvasRow("inpaint_upload_mask", "Mask: white is painted anew", Kind.PICTURE),
        ),
        inpaint_upload,
        has_mask=True,
    ),
)  # fmt: skip


class InpaintTab(PictureTab):
    """The tab's components and events; one per page."""

    modes = MODES

    def __init__(self, app: App) -> None:
        super().__init__(app, TAB)
