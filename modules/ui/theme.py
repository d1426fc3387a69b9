"""The look as gradio's theme variables: neutral surfaces, one accent colour, system fonts.

The stylesheets in `assets` use these variables and add what a theme cannot say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import gradio as gr
from gradio.themes.utils import colors, sizes

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


LOOK: Final[Mapping[str, str]] = {
    "body_background_fill": "#f4f4f5",
    "body_background_fill_dark": "#101113",
    "body_text_color": "*neutral_800",
    "body_text_color_dark": "*neutral_200",
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_400",
    "background_fill_primary": "#ffffff",
    "background_fill_primary_dark": "#1a1b1e",
    "background_fill_secondary": "*neutral_50",
    "background_fill_secondary_dark": "#151619",
    "border_color_primary": "*neutral_200",
    "border_color_primary_dark": "#2b2d32",
    "block_background_fill": "transparent",
    "block_background_fill_dark": "transparent",
    "block_border_width": "0px",
    "block_border_width_dark": "0px",
    "block_padding": "0px",
    "block_shadow": "none",
    "block_shadow_dark": "none",
    "block_label_background_fill": "transparent",
    "block_label_background_fill_dark": "transparent",
    "block_title_text_weight": "500",
    "block_title_text_size": "*text_sm",
    "block_title_text_color": "*neutral_700",
    "block_title_text_color_dark": "*neutral_300",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_400",
    "panel_border_width": "0px",
    "layout_gap": "10px",
    "form_gap_width": "10px",
    "input_background_fill": "#ffffff",
    "input_background_fill_dark": "#121316",
    "input_radius": "6px",
    "input_border_width": "1px",
    "input_border_width_dark": "1px",
    "input_border_color": "*neutral_300",
    "input_border_color_dark": "#35373d",
    "input_border_color_focus": "*primary_600",
    "input_border_color_focus_dark": "*primary_400",
    "input_shadow_focus": "0 0 0 2px rgb(13 148 136 / 25%)",
    "input_shadow_focus_dark": "0 0 0 2px rgb(45 212 191 / 25%)",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_500",
    "slider_color": "#0f766e",
    "slider_color_dark": "#2dd4bf",
    "checkbox_background_color_selected": "#0f766e",
    "checkbox_background_color_selected_dark": "#0d9488",
    "checkbox_border_color_dark": "#52555d",
    "button_primary_background_fill": "#0f766e",
    "button_primary_background_fill_hover": "#115e59",
    "button_primary_background_fill_dark": "#2dd4bf",
    "button_primary_background_fill_hover_dark": "#5eead4",
    "button_primary_text_color": "#ffffff",
    "button_primary_text_color_dark": "#042f2e",
    "button_primary_border_color": "transparent",
    "button_primary_border_color_dark": "transparent",
    "button_secondary_background_fill": "*neutral_100",
    "button_secondary_background_fill_hover": "*neutral_200",
    "button_secondary_background_fill_dark": "#25272b",
    "button_secondary_background_fill_hover_dark": "#303338",
    "button_secondary_text_color": "*neutral_800",
    "button_secondary_text_color_dark": "*neutral_200",
    "button_secondary_border_color": "*neutral_300",
    "button_secondary_border_color_dark": "#35373d",
    "button_border_width": "1px",
    "button_transition": "background-color 0.15s ease",
    "button_large_text_size": "*text_md",
    "button_large_text_weight": "600",
}
"""Variables of gradio's theme that differ from its base; `_dark` is the dark theme's."""


def build_theme() -> gr.themes.Base:
    """Easel's theme; names no font that a browser would have to fetch."""
    theme = gr.themes.Base(
        primary_hue=colors.teal,
        secondary_hue=colors.teal,
        neutral_hue=colors.zinc,
        radius_size=sizes.radius_sm,
        spacing_size=sizes.spacing_sm,
        text_size=sizes.text_sm,
        font=SANS,
        font_mono=MONO,
    )
    return theme.set(**LOOK)
