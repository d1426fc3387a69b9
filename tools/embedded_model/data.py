"""Fetches the picture sets from npm and packs them: `python -m tools.embedded_model.data`.

Knows packages, SVG and WebP. Must not know captions, tensors or models.
Sets: noto (Apache-2.0), Fluent flat and 3D (MIT), Twemoji (CC-BY 4.0), labels of emojibase (MIT).
"""

import argparse
import io
import json
import logging
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

log = logging.getLogger(__name__)

PICTURE_PX = 128
SVG_PACKAGES = {
    "noto": ("@iconify-json/noto", "1.2.9"),
    "flat": ("@iconify-json/fluent-emoji-flat", "1.2.6"),
    "twemoji": ("@iconify-json/twemoji", "1.2.5"),
}
WEBP_PACKAGES = {"3d": ("@lobehub/fluent-emoji-3d", "1.1.0")}
LABELS_PACKAGE = ("emojibase-data", "17.0.0")
# emojibase's group numbers: smileys, animals, food, travel, activities, objects, symbols.
USED_GROUPS = frozenset({0, 3, 4, 5, 6, 7, 8})
VARIATION_SELECTOR = "-fe0f"


@dataclass(frozen=True, slots=True)
class Picture:
    """One drawing: `rgba` is (128, 128, 4) uint8 with straight alpha."""

    code: str
    label: str
    style: str
    rgba: np.ndarray


def fetch(folder: Path) -> None:
    """Download and unpack every package into `folder` unless it is there; needs npm.

    A package appears under its name when it is whole, so a kill leaves nothing half unpacked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, version in (*SVG_PACKAGES.values(), *WEBP_PACKAGES.values(), LABELS_PACKAGE):
        target = _package_folder(folder, name)
        if target.is_dir():
            continue
        command = ["npm", "pack", "--silent", f"{name}@{version}"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        archive = folder / done.stdout.strip().splitlines()[-1]
        unpack(archive, target)
        archive.unlink()
        log.info("Fetched %s %s", name, version)


def unpack(archive: Path, target: Path) -> None:
    """Unpack beside `target` and rename; what an interrupted unpacking left is thrown away."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(partial, filter="data")
    partial.replace(target)


def read_labels(folder: Path) -> dict[str, str]:
    """Code point (hex, lower case, no variation selector) → English label, of the used groups."""
    path = _package_folder(folder, LABELS_PACKAGE[0]) / "package/en/data.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {
        _plain_code(row["hexcode"]): row["label"] for row in rows if row.get("group") in USED_GROUPS
    }


def render_all(folder: Path) -> Iterator[Picture]:
    """Yield every labelled picture of every set, set by set, in code point order."""
    labels = read_labels(folder)
    for style, (package, _) in SVG_PACKAGES.items():
        root = _package_folder(folder, package) / "package"
        icons = json.loads((root / "icons.json").read_text(encoding="utf-8"))
        names = json.loads((root / "chars.json").read_text(encoding="utf-8"))
        codes = {_plain_code(code): name for code, name in names.items()}
        for code in sorted(codes.keys() & labels.keys()):
            rgba = _render_svg(icons, codes[code])
            yield Picture(code, labels[code], style, rgba)
    for style, (package, _) in WEBP_PACKAGES.items():
        files = (_package_folder(folder, package) / "package/assets").glob("*.webp")
        paths = {_plain_code(path.stem): path for path in files}
        for code in sorted(paths.keys() & labels.keys()):
            yield Picture(code, labels[code], style, _read_webp(paths[code]))


def write_pack(pictures: Iterator[Picture], path: Path) -> int:
    """Write the pictures as one .npz of lossless WebP; return their number."""
    rows: list[tuple[str, str, str]] = []
    blobs: list[bytes] = []
    for picture in pictures:
        buffer = io.BytesIO()
        Image.fromarray(picture.rgba).save(buffer, "WEBP", lossless=True, method=2)
        rows.append((picture.code, picture.label, picture.style))
        blobs.append(buffer.getvalue())
    sizes = np.array([len(blob) for blob in blobs], np.int64)
    np.savez(path, blob=np.frombuffer(b"".join(blobs), np.uint8), sizes=sizes, rows=np.array(rows))
    return len(rows)


def read_pack(path: Path) -> list[Picture]:
    """Read back what `write_pack` wrote."""
    with np.load(path) as pack:
        blob, sizes, rows = pack["blob"].tobytes(), pack["sizes"], pack["rows"]
    ends = np.cumsum(sizes)
    pictures = []
    for (code, label, style), size, end in zip(rows, sizes, ends, strict=True):
        image = Image.open(io.BytesIO(blob[end - size : end])).convert("RGBA")
        pictures.append(Picture(str(code), str(label), str(style), np.asarray(image)))
    return pictures


def ensure_pack(cache: Path) -> Path:
    """Fetch and render once; return the pack's path in the cache folder."""
    path = cache / "pictures.npz"
    if not path.is_file():
        fetch(cache / "npm")
        partial = path.with_name("partial.npz")
        count = write_pack(render_all(cache / "npm"), partial)
        partial.replace(path)
        log.info("Packed %d pictures, %.1f MB", count, path.stat().st_size / 1e6)
    return path


def _package_folder(folder: Path, name: str) -> Path:
    return folder / name.replace("@", "").replace("/", "-")


def _plain_code(code: str) -> str:
    return code.lower().replace(VARIATION_SELECTOR, "")


def _render_svg(icons: dict[str, Any], name: str) -> np.ndarray:
    # Optional package: only the data step needs it.
    import resvg_py

    icon = icons["icons"].get(name)
    if icon is None:
        parent = icons["aliases"][name]["parent"]
        icon = icons["icons"][parent]
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    left, top = icon.get("left", 0), icon.get("top", 0)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        f' viewBox="{left} {top} {width} {height}" width="{PICTURE_PX}" height="{PICTURE_PX}">'
        f"{icon['body']}</svg>"
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=PICTURE_PX, height=PICTURE_PX))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def _read_webp(path: Path) -> np.ndarray:
    image = Image.open(path).convert("RGBA")
    size = (PICTURE_PX, PICTURE_PX)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def main() -> None:
    """Build the pack in the cache folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments.cache.mkdir(parents=True, exist_ok=True)
    ensure_pack(arguments.cache)


if __name__ == "__main__":
    main()
