"""Upscalers: which there are, and pictures made larger by real networks with random weights."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.core.errors import BadInput, Interrupted, ModelError, NotFound
from modules.postprocess import Upscalers

ROUNDING = 1
"""Levels by which two sums of the same numbers in another order may differ after rounding."""

Noise = Callable[..., Image.Image]


def levels(image: Image.Image) -> Any:
    return np.asarray(image).astype(int)


def test_without_files_there_are_pils_alone(make_upscalers: Any) -> None:
    assert make_upscalers().names() == ["None", "Lanczos", "Nearest"]


def test_each_file_is_an_upscaler_by_a1111s_name(
    make_file: Any, make_upscalers: Any, networks: Any
) -> None:
    upscalers = make_upscalers()
    make_file("ESRGAN/4x-Sharp.safetensors", networks.esrgan())
    make_file("RealESRGAN/RealESRGAN_x4plus.pth", networks.esrgan(), key="params_ema")
    make_file("upscale_models/4x-Sharp.pth", networks.esrgan())
    (make_file("ESRGAN/notes.safetensors", networks.compact()).parent / "notes.txt").touch()
    assert upscalers.names() == [
        "None", "Lanczos", "Nearest",
        "4x-Sharp", "notes", "R-ESRGAN 4x+", "4x-Sharp (upscale_models)",
    ]  # fmt: skip
    assert upscalers.find("realesrgan_X4plus").name == "R-ESRGAN 4x+"
    assert upscalers.find("LANCZOS").path is None
    with pytest.raises(NotFound, match="did you mean '4x-Sharp'"):
        upscalers.check("4x-Shrap")


def test_file_named_like_a_built_in_one_does_not_take_its_place(
    make_file: Any, make_upscalers: Any, networks: Any
) -> None:
    upscalers = make_upscalers()
    for name in ("ESRGAN/none.pth", "ESRGAN/LANCZOS.pth", "ESRGAN/net.pth", "HAT/Net.pth"):
        make_file(name, networks.compact())
    assert sorted(upscalers.names()[3:]) == [
        "LANCZOS (ESRGAN)", "Net (HAT)", "net", "none (ESRGAN)",
    ]  # fmt: skip
    assert [upscalers.find(name).path for name in ("None", "lanczos", "Nearest")] == [None] * 3
    assert upscalers.find("none (esrgan)").path.name == "none.pth"
    assert upscalers.find("NET").path.parent.name == "ESRGAN"


@pytest.mark.parametrize("name", ["Lanczos", "Nearest", "None"])
def test_pils_are_byte_for_byte_pils(name: str, make_upscalers: Any, noise: Noise) -> None:
    how = Image.Resampling.NEAREST if name == "Nearest" else Image.Resampling.LANCZOS
    picture = noise(33, 21)
    made = make_upscalers().upscale(picture, name, (70, 50))
    assert made.tobytes() == picture.resize((70, 50), how).tobytes()


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_network_makes_the_picture_larger(
    scale: int, mode: str, make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    make_file("ESRGAN/net.safetensors", networks.esrgan(scale))
    picture = noise(20, 13, mode)
    made = make_upscalers().upscale(picture, "net", (20 * scale, 13 * scale))
    assert (made.size, made.mode) == ((20 * scale, 13 * scale), mode)
    if "A" in mode:
        alpha = picture.getchannel("A").resize(made.size, Image.Resampling.LANCZOS)
        assert made.getchannel("A").tobytes() == alpha.tobytes()


def test_network_sees_the_pixels_as_spandrel_does(
    make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    import torch
    from spandrel import ModelLoader

    path = make_file("ESRGAN/net.safetensors", networks.esrgan(4))
    picture = noise(24, 18)
    made = make_upscalers(ESRGAN_tile=0).upscale(picture, "net", (96, 72))
    given = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        wanted = ModelLoader().load_from_file(path).eval()(given)[0].permute(1, 2, 0) * 255
    assert np.abs(levels(made) - wanted.round().int().numpy()).max() <= ROUNDING
    assert np.unique(levels(made)).size > 10  # not black or white alone


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_of_other_channels(
    channels: int, make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    make_file("ESRGAN/net.safetensors", networks.esrgan(2, channels, blocks=1))
    for mode in ("RGB", "RGBA", "L"):
        made = make_upscalers().upscale(noise(9, 7, mode), "net", (18, 14))
        assert (made.mode, made.size) == (mode, (18, 14))


def test_tiles_show_no_seams(
    make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    make_file("ESRGAN/net.safetensors", networks.compact(2))
    picture = noise(90, 70)
    whole = make_upscalers(ESRGAN_tile=0).upscale(picture, "net", (180, 140))
    tiled = make_upscalers(ESRGAN_tile=32, ESRGAN_tile_overlap=8)
    made = tiled.upscale(picture, "net", (180, 140))
    assert np.abs(levels(made) - levels(whole)).max() <= ROUNDING


@pytest.mark.parametrize("folder", ["DAT", "SwinIR", "ScuNET"])
def test_folders_have_tiles_of_their_own(
    folder: str, make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    make_file(f"{folder}/net.safetensors", networks.compact(2))
    key = {"DAT": "DAT", "SwinIR": "SWIN", "ScuNET": "SCUNET"}[folder]
    seen: list[int] = []
    upscalers = make_upscalers(**{f"{key}_tile": 16, "ESRGAN_tile": 0})
    upscalers.upscale(noise(40, 8), "net", (80, 16), lambda done, total: seen.append(total))
    assert set(seen) == {4}


@pytest.mark.parametrize(
    ("size", "passes"),
    [((20, 16), 1), ((15, 12), 1), ((30, 24), 2), ((20, 17), 2), ((41, 33), 3), ((5, 64), 3)],
)
def test_network_is_applied_until_the_size_is_covered(
    size: tuple[int, int], passes: int, make_file: Any, make_upscalers: Any, noise: Noise,
    networks: Any,
) -> None:  # fmt: skip
    make_file("ESRGAN/net.safetensors", networks.compact(2))
    done: list[bool] = []
    made = make_upscalers(ESRGAN_tile=0).upscale(
        noise(10, 8), "net", size, lambda tile, total: done.append(tile == total)
    )
    assert (made.size, sum(done)) == (size, passes)


def test_one_pixel_is_a_picture_too(make_file: Any, make_upscalers: Any, networks: Any) -> None:
    make_file("ESRGAN/net.safetensors", networks.esrgan(4))
    made = make_upscalers().upscale(Image.new("RGB", (1, 1), "red"), "net", (4, 4))
    assert made.size == (4, 4)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("key", ["", "params_ema", "params"])
def test_pickles_of_other_programs_are_read(
    legacy: bool, key: str, make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    network, picture = networks.esrgan(4), noise(12, 8)
    make_file("ESRGAN/new.safetensors", network)
    make_file("ESRGAN/old.pth", network, key=key, legacy=legacy)
    upscalers = make_upscalers(allow_pickles=True)
    made = [upscalers.upscale(picture, name, (48, 32)).tobytes() for name in ("new", "old")]
    assert made[0] == made[1]


def test_pickle_that_is_plain_data_needs_no_permission(
    make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    make_file("ESRGAN/net.pth", networks.compact(2), key="params")
    upscalers = make_upscalers(allow_pickles=False)
    assert upscalers.check("net") == "net"
    assert upscalers.upscale(noise(8, 8), "net", (16, 16)).size == (16, 16)


def test_old_pickle_is_refused_with_the_way_out(
    make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    make_file("ESRGAN/net.pth", networks.compact(2), legacy=True)
    upscalers = make_upscalers()
    for call in (lambda: upscalers.check("net"), lambda: upscalers.enlarge(noise(8, 8), "net", 2)):
        with pytest.raises(ModelError, match=r"net\.pth: .*convert it to \.safetensors, or set"):
            call()


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("/tmp/easel-evil"),))


def test_pickle_with_code_is_never_run(make_file: Any, make_upscalers: Any, noise: Noise) -> None:
    make_file("ESRGAN/net.pth", {"conv_first.weight": Evil()})
    with pytest.raises(ModelError, match=r"net\.pth"):
        make_upscalers(allow_pickles=True).enlarge(noise(8, 8), "net", 2)
    assert not Path("/tmp/easel-evil").exists()


def test_damaged_and_foreign_files_are_told(
    make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    import torch

    whole = make_file("ESRGAN/cut.safetensors", networks.esrgan())
    whole.write_bytes(whole.read_bytes()[:-100])
    make_file("ESRGAN/vae.safetensors", {"decoder.conv_in.weight": torch.zeros(4, 4, 3, 3)})
    state = networks.esrgan().state_dict()
    state.pop(next(name for name in state if "RDB2" in name))
    make_file("ESRGAN/lacks.safetensors", state)
    state = {name: torch.full_like(tensor, torch.nan) for name, tensor in
             networks.esrgan().state_dict().items()}  # fmt: skip
    make_file("ESRGAN/nan.safetensors", state)
    (whole.parent / "empty.safetensors").touch()
    (whole.parent / "text.pth").write_text("not a pickle at all")
    upscalers = make_upscalers(allow_pickles=True)
    for name, words in {
        "cut": "truncated", "vae": "no upscaler", "lacks": "damaged", "nan": "damaged",
        "empty": "empty", "text": "text.pth",
    }.items():  # fmt: skip
        with pytest.raises(ModelError, match=words):
            upscalers.enlarge(noise(8, 8), name, 2)


def test_stop_ends_between_tiles_and_the_next_picture_works(
    make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    make_file("ESRGAN/net.safetensors", networks.compact(2))
    upscalers: Upscalers = make_upscalers(ESRGAN_tile=16)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise Interrupted("Stopped.")

    with pytest.raises(Interrupted):
        upscalers.upscale(noise(40, 40), "net", (80, 80), stop)
    assert upscalers.upscale(noise(8, 8), "net", (16, 16)).size == (16, 16)


def test_picture_that_would_become_too_large_is_refused(
    make_file: Any, make_upscalers: Any, networks: Any
) -> None:
    make_file("ESRGAN/net.safetensors", networks.compact(4))
    with pytest.raises(BadInput, match="net makes it 20000x16000 at first"):
        make_upscalers().upscale(Image.new("RGB", (5000, 4000)), "net", (5100, 4080))


def test_newest_pictures_are_remembered(
    make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    make_file("ESRGAN/net.safetensors", networks.compact(2))
    ran: list[int] = []
    upscalers = make_upscalers(upscaling_max_images_in_cache=1)

    def make(size: int) -> bytes:
        picture = noise(size, size)
        return bytes(
            upscalers.upscale(
                picture, "net", (2 * size, 2 * size), lambda done, total: ran.append(size)
            ).tobytes()
        )

    first = make(8)
    assert make(8) == first and len(ran) == 2
    make(9)
    assert make(8) == first and len(ran) == 6
    upscalers.unload()
    assert make(8) == first and len(ran) == 8


def test_file_that_changed_is_loaded_anew(
    make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    upscalers, picture = make_upscalers(), noise(8, 8)
    make_file("ESRGAN/net.safetensors", networks.compact(2))
    first = upscalers.upscale(picture, "net", (16, 16))
    make_file("ESRGAN/net.safetensors", networks.esrgan(2))
    assert upscalers.upscale(picture, "net", (16, 16)).tobytes() != first.tobytes()


def test_two_threads_get_the_same_pictures(
    make_file: Any, make_upscalers: Any, noise: Noise, networks: Any
) -> None:
    make_file("ESRGAN/a.safetensors", networks.compact(2))
    make_file("ESRGAN/b.safetensors", networks.compact(4))
    upscalers, picture = make_upscalers(upscaling_max_images_in_cache=0), noise(20, 20)
    wanted = {n: upscalers.enlarge(picture, n, 2).tobytes() for n in ("a", "b")}
    wrong: list[str] = []

    def work(name: str) -> None:
        for _ in range(5):
            if upscalers.enlarge(picture, name, 2).tobytes() != wanted[name]:
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
