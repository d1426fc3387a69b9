"""Prompts from file or textbox: one job for each line, with options of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from easel_plots.prompts import POSITIONS, check_prompts, run_prompts

from modules.extensions import Processed, Script
from modules.params.request import params_class

MOST_BYTES = 10_000_000
"""Of a file with prompts."""


class PromptsFromFile(Script):
    """See `easel_plots.prompt_lines` for what a line may say."""

    def title(self) -> str:
        """The name in the menu."""
        return "Prompts from file or textbox"

    def ui(self, is_img2img: bool) -> Sequence[Any]:
        """The lines, where their prompts go, and how their seeds count."""
        import gradio as gr  # the host imports scripts before there is a page

        iterates = gr.Checkbox(
            False, label="Iterate seed every line", elem_id=self.elem_id("checkbox_iterate")
        )
        shares_seed = gr.Checkbox(
            False,
            label="Use same random seed for all lines",
            elem_id=self.elem_id("checkbox_iterate_batch"),
        )
        position = gr.Radio(
            list(POSITIONS),
            value="start",
            label="Insert prompts at the",
            elem_id=self.elem_id("prompt_position"),
        )
        text = gr.Textbox(
            "",
            label="List of prompt inputs",
            lines=3,
            max_lines=20,
            placeholder='a blue fox\n--prompt "a wolf" --steps 5 --seed 9',
            elem_id=self.elem_id("prompt_txt"),
        )
        file = gr.File(
            label="Upload prompt inputs",
            file_types=["text"],
            type="filepath",
            elem_id=self.elem_id("file"),
        )
        file.upload(
            read_file,
            inputs=[file],
            outputs=[text],
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        return [iterates, shares_seed, position, text]

    def check_arguments(self, *args: Any) -> None:
        """Raises BadInput naming the line."""
        model = params_class("img2img" if self.is_img2img else "txt2img")
        check_prompts(tuple(model.model_fields), *args)

    def run(self, p: Any, *args: Any) -> Processed:
        """Make the pictures of all lines. Raises BadInput."""
        return run_prompts(p, *args)


def read_file(path: str | None) -> str:
    """The text of an uploaded file; in UTF-8, with or without a mark at its start."""
    if not path:
        return ""
    with Path(path).open("rb") as file:
        return file.read(MOST_BYTES).decode("utf-8-sig", errors="replace")
