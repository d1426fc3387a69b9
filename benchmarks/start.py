"""Seconds from `python webui.py` to the page and to the first picture, beside two floors.

The floors, taken in the same run: importing gradio alone (no page can be up before), and a bare
diffusers program that imports torch and diffusers, loads the same file and makes the same picture.

    python -m benchmarks.start --runs 3
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REQUEST = {"prompt": "a red apple", "steps": 20, "width": 128, "height": 128, "seed": 1,
           "sampler_name": "Euler"}  # fmt: skip
BARE = """
import sys; sys.path.insert(0, {root!r})
from modules.setup import torchvision_compat; torchvision_compat.install()
import torch
from pathlib import Path
from diffusers import EulerDiscreteScheduler
from modules.model_manager.load import load_checkpoint
from modules.pipelines.base import EncodeOptions
p = load_checkpoint(Path({model!r}), torch.device("cpu"), torch.float32)
c, u = (p.encode_prompts([t], EncodeOptions())[0].crossattn for t in ("a red apple", ""))
s = EulerDiscreteScheduler(beta_start=.00085, beta_end=.012, beta_schedule="scaled_linear")
s.set_timesteps(20)
x = torch.randn(1, 4, 16, 16) * s.init_noise_sigma
with torch.no_grad():
    for t in s.timesteps:
        y = p.networks.unet(torch.cat([s.scale_model_input(x, t)] * 2), t, torch.cat([u, c])).sample
        a, b = y.chunk(2)
        x = s.step(a + 7 * (b - a), t, x).prev_sample
    p.decode(x)
"""


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--model", type=Path, default=ROOT / "models/Stable-diffusion/easel-mini.safetensors"
    )
    args = parser.parse_args()
    rows = [measure(args.model) for _ in range(args.runs)]
    for name in rows[0]:
        seconds = [row[name] for row in rows]
        print(f"{name:<28}{statistics.median(seconds):8.2f} s   {sorted(seconds)}")
    for name, floor in (("page", "import gradio"), ("first picture", "bare diffusers")):
        ratio = statistics.median(row[name] / row[floor] for row in rows)
        print(f"{name} / {floor}: {ratio:.2f}")


def measure(model: Path) -> dict[str, float]:
    """One start of each, in seconds since its process began."""
    bare = BARE.format(root=str(ROOT), model=str(model))
    return {
        "import gradio": _run("import gradio"),
        "bare diffusers": _run(bare),
        **_serve(model),
    }


def _run(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - started


def _serve(model: Path) -> dict[str, float]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "webui.py", "--skip-install", "--port", str(port),
                   "--data-dir", data, "--models-dir", str(model.parents[1]),
                   "--ckpt", str(model)]  # fmt: skip
        started = time.perf_counter()
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                _until(lambda: urllib.request.urlopen(url + "/", timeout=5).read())
                page = time.perf_counter() - started
                _until(lambda: _post(url + "/sdapi/v1/txt2img", REQUEST)["images"][0])
                picture = time.perf_counter() - started
                again = time.perf_counter()
                _post(url + "/sdapi/v1/txt2img", REQUEST | {"seed": 2})
                second = time.perf_counter() - again
            finally:
                process.terminate()
    return {"page": page, "first picture": picture, "second picture alone": second}


def _until(ask: Any) -> None:
    while True:
        try:
            ask()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
        else:
            return


def _post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as reply:
        return json.loads(reply.read())


if __name__ == "__main__":
    main()
