"""The small buttons and rows of fields that the tabs with a Generate button share."""

from __future__ import annotations

from typing import Final

from modules.ui.layout import Row, Tool

SWAP: Final = Tool(
    "res_switch_btn",
    "Swap",
    "swap",
    "Swap width and height",
    ("width", "height"),
    "(w, h) => [h, w]",
)
RANDOM_SEED: Final = Tool(
    "random_seed", "Random seed", "dice", "A random seed each time (-1)", ("seed",), "() => ['-1']"
)
REUSE_SEED: Final = Tool(
    "reuse_seed",
    "Reuse seed",
    "reuse",
    "Take the seed of the selected picture",
    ("seed",),
    "(seed) => [easel.results.seed('{tab}', 'all_seeds', seed)]",
)
RANDOM_SUBSEED: Final = Tool(
    "random_subseed",
    "Random variation",
    "dice",
    "A random variation each time (-1)",
    ("subseed",),
    "() => ['-1']",
)
REUSE_SUBSEED: Final = Tool(
    "reuse_subseed", "Reuse variation seed", "reuse",
    "Take the variation seed of the selected picture", ("subseed",),
    "(seed) => [easel.results.seed('{tab}', 'all_subseeds', seed)]",
)  # fmt: skip

SAMPLING: Final[tuple[Row, ...]] = (("sampler_name", "scheduler"), ("steps", "cfg_scale"))
SIZE: Final[Row] = ("width", SWAP, "height")
COUNT: Final[Row] = ("n_iter", "batch_size")
SEED: Final[Row] = ("seed", RANDOM_SEED, REUSE_SEED)
REFINER: Final[Row] = ("refiner_checkpoint", "refiner_switch_at")
VARIATION: Final[tuple[Row, ...]] = (
    ("subseed", RANDOM_SUBSEED, REUSE_SUBSEED, "subseed_strength"),
    ("seed_resize_from_w", "seed_resize_from_h"),
)
