"""Prompt matrix: every combination of the parts of a prompt that stand between bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easel_plots.matrix import DELIMITERS, PROMPTS, read_wishes, run_matrix

from modules.extensions import Processed, Script


class PromptMatrix(Script):
    """`a fox|in the snow|at night` makes four pictures."""

    def title(self) -> str:
        """The name in the menu."""
        return "Prompt matrix"

    def ui(self, is_img2img: bool) -> Sequence[Any]:
        """What is combined, how, and the grid's margin."""
        import gradio as gr  # the host imports scripts before there is a page

        at_start = gr.Checkbox(
            False,
            label="Put variable parts at start of prompt",
            elem_id=self.elem_id("put_at_start"),
        )
        differs = gr.Checkbox(
            False,
            label="Use different seed for each picture",
            elem_id=self.elem_id("different_seeds"),
        )
        kind = gr.Radio(
            list(PROMPTS),
            value="positive",
            label="Select prompt",
            elem_id=self.elem_id("prompt_type"),
        )
        delimiter = gr.Radio(
            list(DELIMITERS),
            value="comma",
            label="Select joining char",
            elem_id=self.elem_id("variations_delimiter"),
        )
        margin = gr.Slider(
            0,
            500,
            value=0,
            step=2,
            label="Grid margins (px)",
            elem_id=self.elem_id("margin_size"),
        )
        return [at_start, differs, kind, delimiter, margin]

    def check_arguments(self, *args: Any) -> None:
        """Raises BadInput."""
        read_wishes(*args)

    def run(self, p: Any, *args: Any) -> Processed:
        """Make the pictures and their grid. Raises BadInput."""
        return run_matrix(p, *args)
