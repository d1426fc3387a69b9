"""Takes the shipped weights back into the cache: `python -m tools.embedded_model.restore`.

For training on where the trainings' own files are gone: token table, encoder, decoder and the
starting points of `clip --warm-from` and `unet --warm-from`. The encoder is read off, not fitted
again: what is trained on its latents is worth nothing with another. Keeps what the cache has.
"""

import argparse
import logging
import shutil
from pathlib import Path

import numpy as np

from tools.embedded_model.block_pca import read_encoder
from tools.embedded_model.clip import FOLDER_NAME, Towers, build_clip, load_clip
from tools.embedded_model.export import CLIP_FOLDER, NAME, load_pipeline
from tools.embedded_model.latents import PCA_FILE
from tools.embedded_model.mixed import save_state
from tools.embedded_model.text import build_text_model

log = logging.getLogger(__name__)

UNET_FILE = "shipped-unet.pt"
CLIP_FILE = "shipped-clip.pt"


def restore(models: Path, cache: Path) -> None:
    """Write what the trainings need to go on from the checkpoint and the CLIP in `models`."""
    cache.mkdir(parents=True, exist_ok=True)
    checkpoint = models / "Stable-diffusion" / f"{NAME}.safetensors"
    if not (cache / "tokenizer/merges.txt").is_file():
        shutil.copytree(checkpoint.with_name(CLIP_FOLDER), cache / "tokenizer", dirs_exist_ok=True)
    pipeline = load_pipeline(checkpoint, cache / "diffusers_config")
    text = pipeline.text_encoder
    if not (cache / "token_table.npy").is_file():
        np.save(cache / "token_table.npy", text.get_input_embeddings().weight.detach().numpy())
    if not (cache / PCA_FILE).is_file():
        pca = read_encoder(pipeline.vae)
        save_state(cache / PCA_FILE, {"weight": pca.weight, "bias": pca.bias})
    if not (cache / "vae.pt").is_file():
        save_state(cache / "vae.pt", {"vae": pipeline.vae.state_dict(), "seconds": float("inf")})
    save_state(cache / UNET_FILE, {"ema": pipeline.unet.state_dict()})
    clip = load_clip(models / "CLIP" / FOLDER_NAME)
    own = build_clip()
    own.load_state_dict(clip.state_dict())
    tower = build_text_model()
    tower.load_state_dict(text.state_dict())
    save_state(cache / CLIP_FILE, Towers(own, tower).weights())
    log.info("Took %s and %s back into %s", checkpoint.name, FOLDER_NAME, cache)


def main() -> None:
    """Restore."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    restore(arguments.models, arguments.cache)


if __name__ == "__main__":
    main()
