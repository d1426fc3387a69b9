"""Exported names are those of an SD 1 checkpoint, which diffusers' own converter reads back."""

import doctest

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)

from tools.embedded_model import ldm_names
from tools.embedded_model.block_pca import build_vae
from tools.embedded_model.unet import build_unet


def test_doctests_hold() -> None:
    assert doctest.testmod(ldm_names).failed == 0


def test_unet_survives_the_way_to_ldm_and_back() -> None:
    unet = build_unet()
    weights = unet.state_dict()
    ldm = ldm_names.to_ldm(weights, {}, {})
    back = convert_ldm_unet_checkpoint(ldm, config=dict(unet.config))
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weight) for name, weight in weights.items())


def test_vae_survives_the_way_to_ldm_and_back() -> None:
    vae = build_vae()
    weights = vae.state_dict()
    ldm = ldm_names.to_ldm({}, weights, {})
    back = convert_ldm_vae_checkpoint(ldm, config=dict(vae.config))
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weight) for name, weight in weights.items())


def test_text_prefix_is_written_once_whether_or_not_it_was_there() -> None:
    weight = torch.zeros(1)
    wanted = {"cond_stage_model.transformer.text_model.final_layer_norm.bias"}
    for name in ("final_layer_norm.bias", "text_model.final_layer_norm.bias"):
        assert ldm_names.to_ldm({}, {}, {name: weight}).keys() == wanted


def test_an_unknown_weight_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"not a weight of SD's UNet: add_embedding\.bias"):
        ldm_names.unet_name("add_embedding.bias")
