"""CLIP, the further decoders and the samples, without training them."""

import numpy as np
import torch

from tools.embedded_model.adapt import LORA_LAYERS, PAPER, LowRank, blueprint
from tools.embedded_model.block_pca import build_vae
from tools.embedded_model.clip import Towers, build_clip, to_open_clip
from tools.embedded_model.clip_data import augment
from tools.embedded_model.decoders import build_tiny, colour_matrix, fold_colours, vivid
from tools.embedded_model.text import END_TOKEN, START_TOKEN, TOKENS, build_text_model
from tools.embedded_model.unet import build_unet


@torch.inference_mode()
def test_open_clip_reads_the_same_from_the_text_tower() -> None:
    torch.manual_seed(0)
    text, clip = build_text_model().eval(), build_clip().eval()
    _, unexpected = clip.load_state_dict(to_open_clip(text.state_dict()), strict=False)
    assert not unexpected
    ids = torch.full((2, TOKENS), END_TOKEN)
    ids[:, 0] = START_TOKEN
    ids[0, 1:4] = torch.tensor([320, 2368, 525])
    wanted = text(input_ids=ids).pooler_output @ clip.text_projection
    # Two implementations of one tower in float32.
    assert torch.allclose(clip.encode_text(ids), wanted, atol=1e-4)


def test_towers_come_back_as_they_were_kept() -> None:
    torch.manual_seed(0)
    first, second = (Towers(build_clip(), build_text_model()) for _ in range(2))
    second.take(first.weights())
    for one, two in zip(first.trained(), second.trained(), strict=True):
        assert torch.equal(one, two)
    names = {name for name, weight in first.text.named_parameters() if weight.requires_grad}
    assert names and not any("token_embedding" in name for name in names)


def test_augmented_pictures_stay_in_range_and_differ() -> None:
    pictures = torch.full((4, 3, 64, 64), 255, dtype=torch.uint8)
    pictures[:, :, 16:40, 16:48] = 0
    changed = augment(pictures, np.random.default_rng(0))
    assert changed.shape == (4, 3, 64, 64)
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    assert not torch.equal(changed[0], changed[1])


def test_vivid_keeps_greys_and_strengthens_colours() -> None:
    grey, red = torch.full((1, 3, 1, 1), 0.3), torch.tensor([0.4, -0.1, -0.1]).view(1, 3, 1, 1)
    assert torch.allclose(vivid(grey), grey, atol=1e-6)
    assert float(vivid(red)[0, 0]) > 0.4
    assert float(vivid(red)[0, 1]) < -0.1


def test_folded_colours_are_those_of_vivid() -> None:
    weights = build_vae().state_dict()
    folded = fold_colours(dict(weights))
    hidden = torch.randn(1, weights["decoder.conv_out.weight"].shape[1], 8, 8)
    names = ("decoder.conv_out.weight", "decoder.conv_out.bias")
    plain, strong = (
        torch.nn.functional.conv2d(hidden, *(source[name] for name in names))
        for source in (weights, folded)
    )
    wanted = torch.einsum("rc,bchw->brhw", colour_matrix(), plain)
    assert torch.allclose(strong, wanted, atol=1e-4)


@torch.inference_mode()
def test_the_preview_decoder_gives_eight_pixels_a_cell() -> None:
    assert build_tiny().decoder(torch.zeros(1, 4, 4, 6)).shape == (1, 3, 32, 48)


def test_a_low_rank_change_begins_as_none() -> None:
    weight = torch.randn(16, 24, 1, 1)
    assert torch.equal(LowRank(weight)(weight), weight)


def test_lora_changes_every_attention_layer_of_the_unet() -> None:
    names = [name for name, _ in build_unet().named_modules() if LORA_LAYERS.search(name)]
    # 16 transformers of two attentions with four layers, and two projections around each.
    assert len(names) == 16 * (2 * 4 + 2)


def test_a_blueprint_is_drawn_on_blue_paper() -> None:
    rgba = np.zeros((128, 128, 4), np.uint8)
    rgba[32:96, 32:96] = (255, 0, 0, 255)
    picture = blueprint(rgba, np.random.default_rng(0))
    assert picture.shape == (128, 128, 3)
    assert tuple(picture[0, 0]) == PAPER
    assert int(picture.min(-1).max()) > 200
