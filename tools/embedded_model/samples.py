"""Draws the model card's sheet of sample LoRA and embedding, by Easel itself.

    python -m tools.embedded_model.samples http://127.0.0.1:7860

Needs a running Easel with the shipped model. Rows: without, with the LoRA, with the embedding.
"""

import argparse
import base64
import io
import json
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

from tools.embedded_model.grid import tile

NAMES = ("cat", "panda", "frog", "house", "car", "apple", "robot", "tree")
ROWS = ("a {}", "a {}, blueprint style <lora:easel-blueprint:1>", "an easel-teal {}")
SETTINGS = {
    "sampler_name": "DPM++ 2M",
    "scheduler": "Karras",
    "steps": 20,
    "cfg_scale": 5,
    "width": 128,
    "height": 128,
    "seed": 1,
    "save_images": False,
}


def draw(url: str, prompt: str) -> np.ndarray:
    """One picture (128, 128, 3) uint8 from the server at `url`."""
    body = json.dumps(SETTINGS | {"prompt": prompt}).encode()
    request = urllib.request.Request(
        f"{url.rstrip('/')}/sdapi/v1/txt2img", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        picture = json.load(answer)["images"][0]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB"))


def main() -> None:
    """Draw and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--out", type=Path, default=Path("docs/images/embedded-samples.png"))
    arguments = parser.parse_args()
    pictures = [draw(arguments.url, row.format(name)) for row in ROWS for name in NAMES]
    Image.fromarray(tile(np.stack(pictures), columns=len(NAMES))).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
