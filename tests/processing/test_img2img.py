"""Img2img and inpainting through the tiny model: what changes, what stays, what is said of it."""

from __future__ import annotations

import base64
import dataclasses
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from modules.core.errors import BadInput, Interrupted, UnsupportedImage
from modules.core.hooks import Hooks
from modules.core.settings import Settings
from modules.images import read
from modules.model_manager import Catalogue, Hashes, ModelManager, VaeCatalogue
from modules.params import Request
from modules.params.soft_inpaint import TITLE
from modules.processing.prepare import prepare_request
from modules.processing.report import SilentReport, Stop
from modules.processing.result import Result
from modules.processing.run import Services, run_request

SMALL = {"width": 64, "height": 64, "steps": 3, "sampler_name": "Euler", "seed": 7}
SEAM_LEVELS = 8
"""Far from the mask, soft inpainting's feathered seam still lets through so much."""
PICTURE = Image.fromarray(
    np.random.default_rng(0).integers(60, 200, (8, 8, 3), dtype=np.uint8)
).resize((64, 64), Image.Resampling.BICUBIC)


def text(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def marked(size: tuple[int, int] = (64, 64)) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, (24, 24, 40, 40))
    return mask


@pytest.fixture
def own(services: Services, tmp_path: Path) -> Services:
    """The shared model with hooks and an outputs folder of this test alone."""
    paths = dataclasses.replace(services.paths, data=tmp_path)
    return dataclasses.replace(services, hooks=Hooks(), paths=paths)


def ask(services: Services, overrides: dict[str, Any] | None = None, **values: Any) -> Request:
    saves = values.pop("save", False)
    scripts = values.pop("scripts", {})
    return prepare_request(
        SMALL | {"init_images": [text(PICTURE)]} | values,
        kind="img2img",
        settings=Settings(None).view(),
        catalogue=services.models.catalogue,
        overrides=overrides,
        save_samples=saves,
        save_grid=saves,
        alwayson_scripts=scripts,
    )


def make(services: Services, overrides: dict[str, Any] | None = None, **values: Any) -> Result:
    return run_request(ask(services, overrides, **values), services, SilentReport())


def pixels(image: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(image.convert("RGB")).astype(int)


def difference(one: Image.Image, other: Image.Image) -> np.ndarray[Any, Any]:
    """(H, W) levels by which two pictures differ."""
    return np.abs(pixels(one) - pixels(other)).max(-1)


def test_more_strength_changes_more(own: Services) -> None:
    results = [
        make(own, denoising_strength=strength, steps=10).images[0] for strength in (0.0, 0.3, 1.0)
    ]
    changes = [difference(image, results[0]).mean() for image in results]
    assert changes == sorted(changes)
    assert changes[1] > 0
    assert changes[2] > changes[1] + 5


def test_picture_of_a_batch_equals_the_single_picture_of_its_seed(own: Services) -> None:
    batch = make(own, batch_size=2)
    single = make(own, seed=8)
    assert difference(batch.images[1], single.images[0]).max() <= 1


def test_several_pictures_make_a_batch(own: Services) -> None:
    other = PICTURE.transpose(Image.Transpose.ROTATE_90)
    batch = make(own, init_images=[text(PICTURE), text(other)], batch_size=4)
    assert len(batch.images) == 2
    assert batch.info["batch_size"] == 2
    assert difference(batch.images[0], make(own).images[0]).max() <= 1


@pytest.mark.parametrize(
    ("values", "field"),
    [({"init_images": None}, "init_images"), ({"init_images": []}, "init_images"),
     ({"init_images": [text(PICTURE)] * 2}, "init_images"),
     ({"init_images": ["nonsense"]}, "init_images.0"), ({"mask": "nonsense"}, "mask"),
     ({"latent_mask": text(PICTURE)[:200]}, "latent_mask")],
)  # fmt: skip
def test_unusable_picture_is_refused_naming_the_field(
    own: Services, values: dict[str, Any], field: str
) -> None:
    with pytest.raises((BadInput, UnsupportedImage)) as caught:
        ask(own, **values)
    assert caught.value.field == field


def test_animation_is_refused_before_anything_runs(own: Services) -> None:
    buffer = io.BytesIO()
    PICTURE.save(buffer, "GIF", save_all=True, append_images=[PICTURE.rotate(90)])
    with pytest.raises(UnsupportedImage, match="animation"):
        ask(own, init_images=[base64.b64encode(buffer.getvalue()).decode()])


@pytest.mark.parametrize("sampler", ["Euler", "DDIM", "UniPC", "DPM++ SDE", "LCM"])
@pytest.mark.parametrize("full_res", [True, False])
def test_only_the_marked_part_changes(own: Services, sampler: str, full_res: bool) -> None:
    result = make(
        own, sampler_name=sampler, mask=text(marked()), mask_blur=0, inpaint_full_res=full_res,
        inpaint_full_res_padding=8, inpainting_fill=1, denoising_strength=1.0,
    )  # fmt: skip
    changed = difference(result.images[0], PICTURE)
    inside = np.asarray(marked()) == 255
    assert changed[~inside].max() == 0
    assert changed[inside].mean() > 5


def test_kept_part_shows_the_models_own_rounding_without_overlay(own: Services) -> None:
    asked = {"mask": text(marked()), "mask_blur": 0, "inpaint_full_res": False}
    without = make(own, {"overlay_inpaint": False}, **asked)
    assert difference(without.images[0], PICTURE)[:16].max() > 0
    assert difference(make(own, **asked).images[0], PICTURE)[:16].max() == 0


@pytest.mark.parametrize("fill", [0, 1, 2, 3])
def test_masked_content_changes_the_result(own: Services, fill: int) -> None:
    asked = {"mask": text(marked()), "denoising_strength": 0.5, "mask_blur": 0}
    result = make(own, inpainting_fill=fill, **asked)
    names = {0: "fill", 2: "latent noise", 3: "latent nothing"}
    assert ("Masked content" in result.infotexts[0]) == (fill in names)
    assert names.get(fill, "") in result.infotexts[0]


def test_part_of_a_large_picture_is_painted_at_full_size(own: Services) -> None:
    large = PICTURE.resize((200, 120))
    mask = Image.new("L", large.size)
    mask.paste(255, (120, 50, 150, 80))
    result = make(
        own, init_images=[text(large)], mask=text(mask), mask_blur=2, inpaint_full_res_padding=4
    )
    assert result.images[0].size == large.size
    assert difference(result.images[0], large)[:, :100].max() == 0
    assert "Size: 64x64" in result.infotexts[0]
    assert "Inpaint area: Only masked, Masked area padding: 4" in result.infotexts[0]


def test_odd_sizes_come_out_in_whole_cells(own: Services) -> None:
    result = make(own, width=70, height=61, mask=text(marked()), inpaint_full_res=False)
    assert result.images[0].size == (64, 56)


def test_blank_mask_is_said(own: Services) -> None:
    result = make(own, mask=text(Image.new("L", (64, 64))))
    assert result.warnings == ("The mask is blank: the whole picture was changed.",)
    assert difference(result.images[0], make(own).images[0]).max() == 0


def test_noise_settings_are_used_and_named(own: Services) -> None:
    plain = make(own)
    assert "Noise multiplier" not in plain.infotexts[0]
    for overrides, said in (
        ({"initial_noise_multiplier": 0.5}, "Noise multiplier: 0.5"),
        ({"img2img_extra_noise": 0.3}, "Extra noise: 0.3"),
    ):
        changed = make(own, overrides)
        assert said in changed.infotexts[0]
        assert difference(changed.images[0], plain.images[0]).max() > 0
    asked = make(own, {"initial_noise_multiplier": 0.5}, initial_noise_multiplier=1.0)
    assert difference(asked.images[0], plain.images[0]).max() == 0


def test_extra_noise_may_be_replaced_by_a_hook(own: Services) -> None:
    plain = make(own)
    own.hooks.add("extra_noise", lambda params: setattr(params, "noise", params.noise * 0), "mine")
    silenced = make(own, {"img2img_extra_noise": 0.9})
    assert difference(silenced.images[0], plain.images[0]).max() == 0


def test_hooks_of_inpainting_are_called_in_order(own: Services) -> None:
    seen: list[str] = []
    for name in ("on_mask_blend", "post_sample", "postprocess_image", "postprocess_maskoverlay",
                 "postprocess_image_after_composite"):  # fmt: skip
        own.hooks.add(name, lambda *args, name=name: seen.append(name), "mine")
    make(own, mask=text(marked()), denoising_strength=1.0)
    assert seen == [
        *["on_mask_blend"] * 4, "post_sample", "postprocess_image", "postprocess_maskoverlay",
        "postprocess_image_after_composite",
    ]  # fmt: skip


def test_mask_blend_hook_may_replace_the_latent(own: Services) -> None:
    def keep_all(p: Any, args: Any) -> None:
        if args.is_final_blend:
            args.blended_latent = args.init_latent

    own.hooks.add("on_mask_blend", keep_all, "mine")
    asked = {"mask": text(marked()), "inpainting_fill": 1, "inpaint_full_res": False}
    kept = make(own, denoising_strength=1.0, **asked)
    own.hooks.remove_owner("mine")
    wanted = make(own, {"img2img_fix_steps": True}, denoising_strength=0.0, **asked)
    assert difference(kept.images[0], wanted.images[0]).max() <= 1


def test_hook_may_replace_the_pictures(own: Services) -> None:
    def replace(p: Any) -> None:
        p.init_images, p.image_mask = [Image.new("RGB", (64, 64), "red")], marked()

    own.hooks.add("process", replace, "mine")
    result = make(own, mask_blur=0)
    assert pixels(result.images[0])[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("spoil", [lambda p: p.init_images.append("x"),
                                   lambda p: setattr(p, "init_images", None),
                                   lambda p: setattr(p, "image_mask", 5)])  # fmt: skip
def test_bad_picture_of_a_hook_is_an_error(own: Services, spoil: Callable[[Any], None]) -> None:
    own.hooks.add("process", spoil, "mine")
    with pytest.raises(BadInput):
        make(own)


def test_soft_inpainting_keeps_what_did_not_change_and_names_itself(own: Services) -> None:
    mask = marked().resize((64, 64))
    soft = {TITLE: {"args": [True, 1, 0.5, 4, 0, 0.5, 2]}}
    asked = {"mask": text(mask), "mask_blur": 4, "inpaint_full_res": False, "inpainting_fill": 1}
    result = make(own, scripts=soft, denoising_strength=1.0, **asked)
    hard = make(own, denoising_strength=1.0, **asked)
    assert "Soft inpainting enabled: True, Soft inpainting schedule bias: 1," in result.infotexts[0]
    assert difference(result.images[0], hard.images[0]).max() > 0
    assert difference(result.images[0], PICTURE)[:4, :4].max() <= SEAM_LEVELS


def test_masks_and_composites_are_shown_and_saved_as_asked(own: Services, tmp_path: Path) -> None:
    overrides = {"return_mask": True, "save_mask_composite": True, "save_init_img": True}
    result = make(own, overrides, mask=text(marked()), save=True)
    assert len(result.images) == 2
    saved = sorted(tmp_path.glob("outputs/img2img-images/**/*.png"))
    assert [path.name for path in saved] == ["00000-7.png", "00001-7-mask-composite.png"]
    (kept,) = tmp_path.glob("outputs/init-images/*.png")
    assert f"Init image hash: {kept.stem}" in result.infotexts[0]
    assert f"Init image hash: {kept.stem}" in read(Image.open(saved[0])).infotext


def test_colour_correction_brings_back_the_colours(own: Services) -> None:
    reddish = Image.merge("RGB", [PICTURE.getchannel(0).point(lambda v: min(255, v + 90)),
                                  *PICTURE.split()[1:]])  # fmt: skip
    asked = {"init_images": [text(reddish)], "denoising_strength": 1.0}
    plain, corrected = make(own, **asked), make(own, {"img2img_color_correction": True}, **asked)
    red = [float((pixels(r.images[0])[..., 0] - pixels(r.images[0])[..., 2]).mean())
           for r in (plain, corrected)]  # fmt: skip
    assert red[1] > red[0]


def test_picture_before_colour_correction_is_saved_as_asked(own: Services, tmp_path: Path) -> None:
    overrides = {"img2img_color_correction": True, "save_images_before_color_correction": True}
    result = make(own, overrides, save=True)
    names = [path.name for path in sorted(tmp_path.glob("outputs/img2img-images/**/*.png"))]
    assert names == ["00000-7.png", "00001-7-before-color-correction.png"]
    assert len(result.images) == 1


def test_only_as_many_steps_as_the_strength_needs(own: Services) -> None:
    class Counting(SilentReport):
        steps: list[int]

        def begin_pass(self, text: str, steps: int) -> None:
            self.steps = [steps]

        def step(self, step: int, preview: Any = None) -> None:
            self.steps.append(step)

    for sampler, overrides, last in (
        ("Euler", {}, 5),
        ("Euler", {"img2img_fix_steps": True}, 8),
        ("DPM++ SDE", {}, 5),
    ):
        report = Counting()
        asked = {"sampler_name": sampler, "steps": 8, "denoising_strength": 0.5}
        run_request(ask(own, overrides, **asked), own, report)
        assert report.steps[0] == report.steps[-1] == last


class StopAfter(SilentReport):
    """Stops after so many steps."""

    def __init__(self, steps: int) -> None:
        self._left = steps
        self.stop = Stop.NO if steps else Stop.NOW

    def step(self, step: int, preview: Any = None) -> None:
        self._left -= 1
        if self._left <= 0:
            self.stop = Stop.NOW


def test_interrupted_picture_is_composed_as_far_as_it_came(own: Services) -> None:
    request = ask(own, mask=text(marked()), mask_blur=0, denoising_strength=1.0)
    result = run_request(request, own, StopAfter(1))
    assert result.interrupted
    assert difference(result.images[0], PICTURE)[:16].max() == 0
    with pytest.raises(Interrupted):
        run_request(request, own, StopAfter(0))


@pytest.fixture(scope="module", params=[9, 8], ids=["inpainting", "instruct-pix2pix"])
def wide(
    request: pytest.FixtureRequest,
    services: Services,
    tiny_models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[int, Services]:
    """The tiny model with 9 or 8 channels of input."""
    folder, source = tmp_path_factory.mktemp("wide"), tiny_models / "Stable-diffusion"
    weights = load_file(source / "tiny15.safetensors")
    key = "model.diffusion_model.input_blocks.0.0.weight"
    first = weights[key]
    extra = torch.randn(
        (first.shape[0], request.param - 4, 3, 3), generator=torch.Generator().manual_seed(0)
    )
    weights[key] = torch.cat((first, extra.to(first) * 0.1), dim=1).contiguous()
    save_file(weights, folder / "wide.safetensors")
    shutil.copytree(source / "tiny_clip", folder / "tiny_clip")
    paths = dataclasses.replace(services.paths, checkpoints=(folder,), vaes=(), data=folder)
    models = ModelManager(
        Catalogue(paths.checkpoints, Hashes(folder / "hashes.json")),
        VaeCatalogue((), paths.checkpoints, None),
        lambda: services.models.placement,
    )
    return request.param, Services(models, Hooks(), paths)


def test_model_with_more_channels_works_with_and_without_a_picture(
    wide: tuple[int, Services],
) -> None:
    channels, services = wide
    asked = {"mask": text(marked()), "denoising_strength": 1.0, "inpaint_full_res": False}
    is_inpainting = channels == 9
    result = make(services, image_cfg_scale=1.5, **asked)
    assert ("Conditional mask weight: 1.0" in result.infotexts[0]) == is_inpainting
    assert ("Image CFG scale: 1.5" in result.infotexts[0]) != is_inpainting
    assert result.info["is_using_inpainting_conditioning"] == is_inpainting
    if is_inpainting:
        other = make(services, {"inpainting_mask_weight": 0.2}, **asked)
        assert "Conditional mask weight: 0.2" in other.infotexts[0]
    else:
        other = make(services, image_cfg_scale=0.2, **asked)
    assert difference(result.images[0], other.images[0]).max() > 0
    request = prepare_request(
        SMALL | {"enable_hr": True, "hr_scale": 1.5},
        settings=Settings(None).view(),
        catalogue=services.models.catalogue,
        save_samples=False,
        save_grid=False,
    )
    assert run_request(request, services, SilentReport()).images[0].size == (96, 96)


def test_picture_beside_the_latent_matters(wide: tuple[int, Services]) -> None:
    _, services = wide
    asked = {"denoising_strength": 1.0, "steps": 1}
    one = make(services, **asked)
    other = make(services, init_images=[text(PICTURE.rotate(90))], **asked)
    assert difference(one.images[0], other.images[0]).max() > 0


def test_many_large_pictures_are_refused_together(own: Services) -> None:
    large = text(Image.new("1", (8000, 8000)))
    with pytest.raises(UnsupportedImage) as caught:
        ask(own, init_images=[large] * 3, batch_size=3)
    assert caught.value.field == "init_images.2"


def test_lora_and_refiner_settings_reach_img2img(own: Services) -> None:
    plain = make(own, prompt="a fox")
    worn = make(own, prompt="a fox <lora:t15lora:1>")
    assert worn.warnings == ()
    assert difference(plain.images[0], worn.images[0]).max() > 0
    merged = make(own, {"token_merging_ratio_img2img": 0.5}, prompt="a fox")
    assert "Token merging ratio: 0.5" in merged.infotexts[0]
    tiled = make(own, prompt="a fox", tiling=True)
    assert "Tiling: True" in tiled.infotexts[0]
    assert difference(plain.images[0], tiled.images[0]).max() > 0
