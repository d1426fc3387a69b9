"""The models that Easel offers by name: where they lie, how large they are, and on what terms.

Sizes and checksums are those of the files on the hub; a new row needs all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from modules.core.errors import NotFound
from modules.downloads.kinds import Kind

OPENRAIL_M: Final = "CreativeML Open RAIL-M"
OPENRAIL_PP_M: Final = "CreativeML Open RAIL++-M"
STABILITY: Final = "Stability AI Community License (not for every commercial use)"


@dataclass(frozen=True, slots=True)
class Known:
    """One file that can be asked for by name."""

    name: str
    title: str
    kind: Kind
    repository: str
    file: str
    size: int
    """Bytes."""
    sha256: str
    licence: str
    words: str
    """What it is for, in a sentence."""

    @property
    def saved_name(self) -> str:
        """The file's name in its folder here."""
        return self.file.rsplit("/", 1)[-1]


KNOWN: Final = (
    Known(
        "sd15",
        "Stable Diffusion 1.5",
        Kind.CHECKPOINT,
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "v1-5-pruned-emaonly.safetensors",
        4_265_146_304,
        "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa",
        OPENRAIL_M,
        "The classic: 512×512, runs on small cards, most add-ons fit it.",
    ),
    Known(
        "sdxl",
        "Stable Diffusion XL 1.0",
        Kind.CHECKPOINT,
        "stabilityai/stable-diffusion-xl-base-1.0",
        "sd_xl_base_1.0.safetensors",
        6_938_078_334,
        "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b",
        OPENRAIL_PP_M,
        "1024×1024; wants 8 GB of device memory.",
    ),
    Known(
        "sdxl-refiner",
        "Stable Diffusion XL 1.0 refiner",
        Kind.CHECKPOINT,
        "stabilityai/stable-diffusion-xl-refiner-1.0",
        "sd_xl_refiner_1.0.safetensors",
        6_075_981_930,
        "7440042bbdc8a24813002c09b6b69b64dc90fded4472613437b7f55f9b7d9c5f",
        OPENRAIL_PP_M,
        "For the last steps of a picture of Stable Diffusion XL.",
    ),
    Known(
        "sdxl-turbo",
        "SDXL-Turbo",
        Kind.CHECKPOINT,
        "stabilityai/sdxl-turbo",
        "sd_xl_turbo_1.0_fp16.safetensors",
        6_938_081_905,
        "e869ac7d6942cb327d68d5ed83a40447aadf20e0c3358d98b2cc9e270db0da26",
        STABILITY,
        "512×512 in one to four steps, with CFG scale 1.",
    ),
    Known(
        "vae-ft-mse",
        "VAE for Stable Diffusion 1.x (ft-MSE)",
        Kind.VAE,
        "stabilityai/sd-vae-ft-mse-original",
        "vae-ft-mse-840000-ema-pruned.safetensors",
        334_641_190,
        "735e4c3a447a3255760d7f86845f09f937809baa529c17370d83e4c3758f3c75",
        "MIT",
        "Better eyes and finer detail with models of the 1.x family.",
    ),
    Known(
        "sdxl-vae",
        "VAE for Stable Diffusion XL",
        Kind.VAE,
        "stabilityai/sdxl-vae",
        "sdxl_vae.safetensors",
        334_641_164,
        "63aeecb90ff7bc1c115395962d3e803571385b61938377bc7089b36e81e92e2e",
        "MIT",
        "For checkpoints of the XL family whose own VAE is missing or bad.",
    ),
    Known(
        "realesrgan-x4",
        "Real-ESRGAN ×4",
        Kind.UPSCALER,
        "Comfy-Org/Real-ESRGAN_repackaged",
        "RealESRGAN_x4plus.safetensors",
        66_857_836,
        "37f9a931c215f040aa6d50f711f2cb115f713c46df1d0d6469a8bd7bfe9a60bb",
        "BSD 3-Clause",
        "Enlarges photographs and pictures of all kinds four times.",
    ),
)


def find_known(name: str) -> Known:
    """The row that is asked for by name. Raises NotFound with the nearest names."""
    for row in KNOWN:
        if row.name == name.strip().lower():
            return row
    raise NotFound("model", name, [row.name for row in KNOWN])
