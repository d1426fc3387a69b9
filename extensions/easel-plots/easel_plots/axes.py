"""Every axis of an X/Y/Z plot, as one table: how its values are read, applied, named and offered.

The order and the names are A1111 1.10's; requests give an axis by its place in the list of their
tab. A value is put into `p`, or into `p.override_settings`, of one picture's own copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from easel_plots import apply, names
from easel_plots.apply import Apply
from easel_plots.values import (
    read_names,
    read_orders,
    read_real,
    read_sizes,
    read_switches,
    read_texts,
    read_whole,
)
from modules.core.errors import BadInput
from modules.core.settings import TABLE

Read = Callable[[str, str], list[Any]]
"""(name of the field, text) → values; raises BadInput."""
BOTH = ("txt2img", "img2img")
SWITCH_CHOICES = ("True", "False")
FACE_RESTORERS = ("None", "CodeFormer", "GFPGAN")


@dataclass(frozen=True, slots=True)
class Axis:
    """A row of the table."""

    label: str
    read: Read
    apply: Apply
    choices: str | tuple[str, ...] | None = None
    """What a menu offers: the names themselves, or the table that they stand in."""
    cost: float = 0.0
    """How much a change of the value costs; the dearest axis changes least often."""
    resolve: names.Resolve | None = None
    """A name as it was typed → as the tables have it; raises NotFound."""
    is_bare: bool = False
    """Whether the legend shows the value without the label."""
    tabs: tuple[str, ...] = BOTH
    idle: names.Idle | None = None
    """Why it changes nothing with these parameters; empty where it does."""

    @property
    def is_seed(self) -> bool:
        """Whether -1 among its values means a random one."""
        return self.label in ("Seed", "Var. seed")

    def caption(self, value: Any) -> str:
        """A value as the legend shows it."""
        text = written(value)
        if not self.label or self.label == "Nothing":
            return ""
        return text if self.is_bare else f"{self.label}: {text}"


def written(value: Any) -> str:
    """A value as text.

    >>> written((512, 768)), written(("a", "b")), written(0.5)
    ('512x768', 'a, b', '0.5')
    """
    if not isinstance(value, tuple):
        return str(value)
    sides = all(isinstance(part, int) for part in value)
    return ("x" if sides else ", ").join(map(str, value))


def _number(
    label: str, name: str, read: Read, *, tabs: tuple[str, ...] = BOTH, idle: Any = None
) -> Axis:
    return Axis(label, read, apply.attribute(name), tabs=tabs, idle=idle)


def _setting(label: str, key: str, *, cost: float = 0.0, idle: Any = None, **more: Any) -> Axis:
    """An axis of a setting; the settings' table says which kind and choices it has."""
    row = TABLE[key]
    read: Read = read_names
    choices: tuple[str, ...] | None = row.choices or None
    if isinstance(row.default, bool):
        read, choices = read_switches, SWITCH_CHOICES
    elif isinstance(row.default, float):
        read = read_real
    elif isinstance(row.default, int):
        read = read_whole
    change = apply.setting(key, *more.get("instead_of", ()))
    tabs = more.get("tabs", BOTH)
    return Axis(label, read, change, choices, cost, idle=idle, tabs=tabs)


TXT2IMG, IMG2IMG = ("txt2img",), ("img2img",)

AXES: tuple[Axis, ...] = (
    Axis("Nothing", read_texts, apply.nothing),
    _number("Seed", "seed", read_whole),
    _number("Var. seed", "subseed", read_whole),
    _number("Var. strength", "subseed_strength", read_real),
    _number("Steps", "steps", read_whole),
    _number(
        "Hires steps", "hr_second_pass_steps", read_whole, tabs=TXT2IMG, idle=names.without_hires
    ),
    _number("CFG Scale", "cfg_scale", read_real),
    _number("Image CFG Scale", "image_cfg_scale", read_real, tabs=IMG2IMG),
    Axis("Prompt S/R", read_texts, apply.search_replace, is_bare=True),
    Axis("Prompt order", read_orders, apply.order, is_bare=True),
    Axis(
        "Sampler",
        read_names,
        apply.attribute("sampler_name"),
        choices="samplers",
        resolve=names.sampler,
        is_bare=True,
    ),
    Axis(
        "Hires sampler",
        read_names,
        apply.attribute("hr_sampler_name"),
        choices="samplers",
        resolve=names.sampler,
        tabs=TXT2IMG,
        idle=names.without_hires,
    ),
    Axis(
        "Checkpoint name",
        read_names,
        apply.setting("sd_model_checkpoint"),
        choices="checkpoints",
        cost=1.0,
        resolve=names.checkpoint,
        is_bare=True,
    ),
    _setting("Negative Guidance minimum sigma", "s_min_uncond", instead_of=("s_min_uncond",)),
    _setting("Sigma Churn", "s_churn", instead_of=("s_churn",)),
    _setting("Sigma min", "s_tmin", instead_of=("s_tmin",)),
    _setting("Sigma max", "s_tmax", instead_of=("s_tmax",)),
    _setting("Sigma noise", "s_noise", instead_of=("s_noise",)),
    Axis(
        "Schedule type",
        read_names,
        apply.attribute("scheduler"),
        choices="schedulers",
        resolve=names.schedule,
    ),
    _setting("Schedule min sigma", "sigma_min"),
    _setting("Schedule max sigma", "sigma_max"),
    _setting("Schedule rho", "rho"),
    _setting("Beta schedule alpha", "beta_dist_alpha"),
    _setting("Beta schedule beta", "beta_dist_beta"),
    _number("Eta", "eta", read_real),
    _setting("Clip skip", "CLIP_stop_at_last_layers"),
    _number("Denoising", "denoising_strength", read_real, idle=names.without_second_look),
    _setting(
        "Initial noise multiplier",
        "initial_noise_multiplier",
        instead_of=("initial_noise_multiplier",),
        idle=names.in_txt2img,
    ),
    _setting("Extra noise", "img2img_extra_noise", idle=names.without_second_look),
    _setting("Cond. Image Mask Weight", "inpainting_mask_weight", tabs=IMG2IMG),
    Axis(
        "Hires upscaler",
        read_names,
        apply.attribute("hr_upscaler"),
        choices="hires_upscalers",
        resolve=names.upscaler,
        tabs=TXT2IMG,
        idle=names.without_hires,
    ),
    Axis(
        "VAE",
        read_names,
        apply.setting("sd_vae"),
        choices="vaes",
        cost=0.7,
        resolve=names.vae,
    ),
    Axis("Styles", read_texts, apply.styles, choices="styles", resolve=names.styles),
    _setting("UniPC Order", "uni_pc_order", cost=0.5),
    Axis(
        "Face restore",
        read_names,
        apply.face_restorer,
        choices=FACE_RESTORERS,
        resolve=names.one_of("face restorer", FACE_RESTORERS),
        is_bare=True,
    ),
    _setting("Token merging ratio", "token_merging_ratio"),
    _setting("Token merging ratio high-res", "token_merging_ratio_hr"),
    _setting("Always discard next-to-last sigma", "always_discard_next_to_last_sigma"),
    _setting("SGM noise multiplier", "sgm_noise_multiplier"),
    Axis(
        "Refiner checkpoint",
        read_names,
        apply.attribute("refiner_checkpoint"),
        choices="refiners",
        cost=1.0,
        resolve=names.optional_checkpoint,
        is_bare=True,
    ),
    _number("Refiner switch at", "refiner_switch_at", read_real, idle=names.without_refiner),
    _setting("RNG source", "randn_source"),
    _setting("FP8 mode", "fp8_storage", cost=0.9),
    Axis("Size", read_sizes, apply.size),
    _setting("[Hypertile] Unet First pass Enabled", "hypertile_enable_unet"),
    _setting("[Hypertile] Unet Second pass Enabled", "hypertile_enable_unet_secondpass"),
    _setting("[Hypertile] Unet Max Depth", "hypertile_max_depth_unet"),
    _setting("[Hypertile] Unet Max Tile Size", "hypertile_max_tile_unet"),
    _setting("[Hypertile] Unet Swap Size", "hypertile_swap_size_unet"),
    _setting("[Hypertile] VAE Enabled", "hypertile_enable_vae"),
    _setting("[Hypertile] VAE Max Depth", "hypertile_max_depth_vae"),
    _setting("[Hypertile] VAE Max Tile Size", "hypertile_max_tile_vae"),
    _setting("[Hypertile] VAE Swap Size", "hypertile_swap_size_vae"),
)


def axes_of(tab: str) -> tuple[Axis, ...]:
    """The axes that a tab offers, in the order that requests count them by."""
    return tuple(axis for axis in AXES if tab in axis.tabs)


def find_axis(tab: str, letter: str, given: object) -> Axis:
    """An axis by its place or name. Raises BadInput."""
    axes = axes_of(tab)
    by_name: Mapping[str, Axis] = {axis.label.lower(): axis for axis in axes}
    if given is None:
        return axes[0]
    if isinstance(given, str) and given.strip().lower() in by_name:
        return by_name[given.strip().lower()]
    is_place = isinstance(given, int) and not isinstance(given, bool)
    if is_place and 0 <= int(str(given)) < len(axes):
        return axes[int(str(given))]
    allowed = f"0 to {len(axes) - 1}, or one of: {', '.join(axis.label for axis in axes)}"
    raise BadInput(f"{letter} type", given, allowed)
