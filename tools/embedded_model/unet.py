"""Trains the UNet on CLIP's frozen text tower: `python -m tools.embedded_model.unet --minutes 80`.

CPU and CUDA take the same path; bf16 weights with float32 masters; resumes from unet.pt.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded_model.clip import load_text
from tools.embedded_model.data import ensure_pack, read_pack
from tools.embedded_model.diffusion import alphas_cumprod, draw_timesteps, loss_weight
from tools.embedded_model.grid import write_grid
from tools.embedded_model.latents import concept_pictures, ensure_pca, feed, read_weights
from tools.embedded_model.mixed import MixedTraining, Plan, clock, save_state
from tools.embedded_model.text import TEXT_WIDTH, tokenise

log = logging.getLogger(__name__)

# Whole multiples of the first, so that LDM's `channel_mult` can say them.
UNET_WIDTHS = (64, 128, 128, 128)
HEADS = 8
LATENT_PX = 16
NATIVE = (LATENT_PX, LATENT_PX)


class Models(nn.Module):
    """The UNet and the text tower that it reads."""

    def __init__(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> None:
        super().__init__()
        self.unet = unet
        self.text = text

    def encode(self, ids: Tensor) -> Tensor:
        """Token ids (B, 77) → context (B, 77, D), final norm applied, no mask as in SD 1."""
        hidden: Tensor = self.text(input_ids=ids).last_hidden_state
        return hidden

    def predict(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Noisy latents (B, 4, h, w), t (B,), context (B, 77, D) → epsilon."""
        dtype = self.unet.dtype
        epsilon: Tensor = self.unet(x.to(dtype), t, context.to(dtype)).sample
        return epsilon


def build_unet() -> UNet2DConditionModel:
    """A fresh UNet of SD 1.5's layout; residual branches start at zero."""
    unet = UNet2DConditionModel(
        sample_size=LATENT_PX,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        block_out_channels=UNET_WIDTHS,
        layers_per_block=2,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=HEADS,
        norm_num_groups=32,
    )
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            is_branch_end = ".conv2." in name or ".proj_out." in name
            if is_branch_end or name.startswith("conv_out."):
                parameter.zero_()
    return unet


def build_models(cache: Path) -> Models:
    """A fresh UNet and clip.pt's frozen text tower, float32."""
    return Models(build_unet(), load_text(cache))


class Trainer:
    """One optimiser step at a time over the UNet."""

    def __init__(
        self, models: Models, plan: Plan, device: torch.device, *, is_compiled: bool = False
    ) -> None:
        """`is_compiled`: batches of the plan's size and the native shape take a compiled UNet."""
        # The layers that read the text learn twice as fast: they decide what appears.
        self.training = MixedTraining(models.unet, plan, device, fast=(".attn2.",))
        models.text.to(device)
        self.models = models
        self.device = device
        if device.type == "cpu":
            # Measured: plain matmuls beat fused attention by 1.6 at these head sizes.
            models.unet.set_attn_processor(AttnProcessor())
        self._alphas = alphas_cumprod().to(device)
        # Measured on one CPU core: 12 to 20 % more samples a second, for the size that most
        # batches have; compiling the others would take longer than it saves.
        self._is_compiled = is_compiled
        self._compiled = torch.compile(models.unet.forward, dynamic=False)

    def step(self, latents: Tensor, ids: Tensor, generator: torch.Generator) -> float:
        """One update on latents (B, 4, h, w) and ids (B, 77), each at two noise levels."""
        pairs = latents.float().repeat(2, 1, 1, 1).to(self.device)
        t = draw_timesteps(len(latents), generator).to(self.device)
        noise = torch.randn(pairs.shape, generator=generator).to(self.device)
        alphas = self._alphas[t]
        signal = alphas.sqrt()[:, None, None, None]
        noisy = pairs * signal + noise * (1 - alphas).sqrt()[:, None, None, None]
        with torch.no_grad():
            context = self.models.encode(ids.to(self.device)).repeat(2, 1, 1)
        error = (self._predict(noisy, t, context).float() - noise).square().mean((1, 2, 3))
        loss = (error * loss_weight(alphas)).mean()
        torch.autograd.backward(loss)
        self.training.update()
        return float(loss.detach())

    def _predict(self, noisy: Tensor, t: Tensor, context: Tensor) -> Tensor:
        is_usual = len(noisy) == self.training.plan.batch and noisy.shape[2:] == NATIVE
        if not (self._is_compiled and is_usual):
            return self.models.predict(noisy, t, context)
        dtype = self.models.unet.dtype
        epsilon: Tensor = self._compiled(noisy.to(dtype), t, context.to(dtype)).sample
        return epsilon


def train(
    cache: Path,
    plan: Plan,
    device: torch.device,
    *,
    warm_from: Path | None = None,
    is_everything: bool = False,
) -> None:
    """Train until `plan.minutes` are used up; save and draw grids on the way.

    `warm_from` is an older unet.pt whose weights begin a new plan if the cache has no unet.pt.
    `is_everything`: train the postponed concepts too.
    """
    torch.manual_seed(plan.seed)
    models = build_models(cache)
    pack = ensure_pack(cache)
    pca, drawings = ensure_pca(cache, pack), concept_pictures(read_pack(pack))
    tokenizer = CLIPTokenizer.from_pretrained(cache / "tokenizer")
    trainer = Trainer(models, plan, device, is_compiled=True)
    training, path = trainer.training, cache / "unet.pt"
    _resume(training, path, warm_from)
    seed = plan.seed + training.steps
    generator = torch.Generator().manual_seed(seed)
    saved = drawn = training.seconds
    losses: list[float] = []
    random = np.random.default_rng(seed)
    batches = feed(
        drawings, pca, read_weights(cache, is_everything=is_everything), plan.batch // 2, random
    )
    while not training.is_over:
        started = clock(device)
        latents, captions = next(batches)
        losses.append(trainer.step(latents, tokenise(tokenizer, captions), generator))
        training.seconds += clock(device) - started
        if training.steps % 50 == 0:
            _report(training, losses)
            losses.clear()
        if training.seconds - saved >= plan.save_s:
            saved = training.seconds
            save_state(path, training.state())
        if training.seconds - drawn >= plan.grid_s:
            drawn = training.seconds
            _draw(trainer, cache)
    save_state(path, training.state())
    _draw(trainer, cache)


def _resume(training: MixedTraining, path: Path, warm_from: Path | None) -> None:
    if path.is_file():
        training.resume(torch.load(path, map_location=training.device))
        log.info("Resuming at step %d, %.0f s", training.steps, training.seconds)
    elif warm_from is not None:
        training.begin_from(torch.load(warm_from, map_location=training.device)["ema"])
        log.info("Beginning a new plan from %s", warm_from)


def _draw(trainer: Trainer, cache: Path) -> None:
    with trainer.training.averaged():
        write_grid(trainer.models, cache, cache / f"grids/{trainer.training.steps:06d}.png")


def _report(training: MixedTraining, losses: list[float]) -> None:
    left = training.plan.minutes - training.seconds / 60
    rate = training.steps * training.plan.batch / max(training.seconds, 1)
    text = "unet %d loss %.4f, %.1f samples/s, %.1f minutes left"
    log.info(text, training.steps, sum(losses) / len(losses), rate, left)


def main() -> None:
    """Train or go on training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--grid-minutes", type=float, default=25, help="training between grids")
    parser.add_argument("--everything", action="store_true", help="train postponed concepts too")
    parser.add_argument("--warm-from", type=Path, help="an older unet.pt to begin with")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    plan = Plan(
        arguments.minutes, arguments.batch, arguments.rate, grid_s=60 * arguments.grid_minutes
    )
    device = torch.device(arguments.device)
    train(
        arguments.cache,
        plan,
        device,
        warm_from=arguments.warm_from,
        is_everything=arguments.everything,
    )


if __name__ == "__main__":
    main()
