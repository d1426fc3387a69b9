"""A selectable script: one that runs instead of the usual job and makes jobs of its own.

The class that community scripts derive from, under A1111's names. Knows no gradio; a script's
`ui` may.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modules.processing.p import Processing
from modules.processing.processed import Processed

InfotextSource = str | Callable[[Mapping[str, Any]], Any]
"""A name in infotexts, or what makes of all of an infotext's names and values a field's value.

The latter gives None where the field is to stay as it is.
"""


class Script:
    """One script; each tab that shows it has its own instance."""

    is_txt2img = False
    is_img2img = False
    filename: str = ""
    name: str | None = None
    """The title in lower case, which requests use."""
    infotext_fields: Sequence[tuple[Any, InfotextSource]] = ()
    """Set by `ui`: (component, where its value stands in an infotext) for "Read parameters".

    The script is chosen, and its fields are filled, where the infotext says "Script: {title}".
    """
    menu_names: Callable[[str], Sequence[str]] | None = None
    """On a page: the names in a table as they are now, such as "checkpoints"; None elsewhere."""

    def title(self) -> str:
        """The name in the menu."""
        raise NotImplementedError

    def show(self, is_img2img: bool) -> object:
        """Whether that tab offers the script."""
        return True

    def ui(self, is_img2img: bool) -> Sequence[Any] | None:
        """Make the script's gradio components; their values become the arguments of `run`.

        Called with gradio's layout block open. Import gradio inside.
        """
        return None

    def check_arguments(self, *args: Any) -> None:
        """Called before a job is queued. Raises BadInput for arguments that `run` would refuse.

        What depends on the job's other parameters, `run` has to look at.
        """

    def run(self, p: Processing, *args: Any) -> Processed | None:
        """Do the work; None runs the usual job. Raises BadInput for arguments that cannot be."""
        raise NotImplementedError

    def elem_id(self, item_id: str) -> str:
        """The element id of a component: script_[tab_]title_item (A1111 1.10 behaviour)."""
        tab = ("img2img_" if self.is_img2img else "txt2img_") if self._is_in_both_tabs() else ""
        title = re.sub(r"\s", "_", re.sub(r"[^a-z_0-9 ]", "", self.title().lower()))
        return f"script_{tab}{title}_{item_id}"

    def _is_in_both_tabs(self) -> bool:
        return bool(self.show(True)) == bool(self.show(False))
