from __future__ import annotations

import pytest
import torch

from modules.core.errors import BadInput
from modules.model_manager.device import (
    DeviceFlags,
    Hardware,
    choose_device,
    measure_speedup,
    probe_hardware,
)

CPU = Hardware(None)
MODERN = Hardware("cuda", ("NVIDIA GeForce RTX 4090", "NVIDIA A100"), ((8, 9), (8, 0)))
PASCAL = Hardware("cuda", ("NVIDIA GeForce GTX 1080",), ((6, 1),))
TURING_16 = Hardware("cuda", ("NVIDIA GeForce GTX 1660 SUPER",), ((7, 5),))
APPLE = Hardware("mps", ("Apple GPU",))
F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16


@pytest.mark.parametrize(
    ("hardware", "flags", "device", "dtype", "vae", "words"),
    [
        (CPU, DeviceFlags(), "cpu", F32, F32, "there is no other device"),
        (CPU, DeviceFlags(precision="half"), "cpu", BF16, BF16, "--precision half"),
        (CPU, DeviceFlags(precision="half", no_half=True), "cpu", F32, F32, "in float32."),
        (CPU, DeviceFlags(precision="half", no_half_vae=True), "cpu", BF16, F32, "bfloat16"),
        (MODERN, DeviceFlags(), "cuda:0", F16, F16, "RTX 4090 in float16"),
        (MODERN, DeviceFlags(device_id="1"), "cuda:1", F16, F16, "A100"),
        (MODERN, DeviceFlags(no_half=True), "cuda:0", F32, F32, "--no-half"),
        (MODERN, DeviceFlags(precision="full"), "cuda:0", F32, F32, "--precision full"),
        (MODERN, DeviceFlags(no_half_vae=True), "cuda:0", F16, F32, "--no-half-vae"),
        (MODERN, DeviceFlags(use_cpu=("all",)), "cpu", F32, F32, "--use-cpu"),
        (MODERN, DeviceFlags(use_cpu=("interrogate",)), "cuda:0", F16, F16, "RTX 4090"),
        (PASCAL, DeviceFlags(), "cuda:0", F32, F32, "does not compute float16 well"),
        (TURING_16, DeviceFlags(), "cuda:0", F32, F32, "does not compute float16 well"),
        (APPLE, DeviceFlags(), "mps:0", F16, F16, "Apple GPU"),
    ],
)
def test_choice_follows_hardware_and_flags(
    hardware: Hardware,
    flags: DeviceFlags,
    device: str,
    dtype: torch.dtype,
    vae: torch.dtype,
    words: str,
) -> None:
    choice = choose_device(hardware, flags, lambda device, dtype: 2.0)
    assert (str(choice.device), choice.dtype, choice.vae_dtype) == (device, dtype, vae)
    assert words in choice.reason
    assert choice.reason.endswith(".")


@pytest.mark.parametrize(
    ("hardware", "flags", "times", "dtype", "words"),
    [
        (CPU, DeviceFlags(), 1.9, F32, "1.9 times as fast"),
        (CPU, DeviceFlags(), 0.4, F32, "in float32, its exact format."),
        (CPU, DeviceFlags(precision="full"), 1.9, F32, "in float32."),
        (CPU, DeviceFlags(precision="half"), 0.4, F32, "in bfloat16 it is 0.4 times as fast only"),
        (CPU, DeviceFlags(precision="half"), 0.0, F32, "0.0 times"),
        (CPU, DeviceFlags(precision="half"), 1.9, BF16, "1.9 times as fast"),
        (MODERN, DeviceFlags(), 0.5, F32, "in float16 it is 0.5 times as fast only"),
        (MODERN, DeviceFlags(precision="half"), 0.5, F16, "in float16"),
        (APPLE, DeviceFlags(), 1.0, F16, "half the memory"),
    ],
)
def test_what_was_measured_decides_and_is_told(
    hardware: Hardware, flags: DeviceFlags, times: float, dtype: torch.dtype, words: str
) -> None:
    choice = choose_device(hardware, flags, lambda device, asked: times)
    assert choice.dtype == dtype
    assert words in choice.reason


def test_measuring_answers_for_formats_that_work_and_others() -> None:
    cpu = torch.device("cpu")
    assert measure_speedup(cpu, torch.bfloat16) > 0
    assert measure_speedup(cpu, torch.bool) == 0.0


@pytest.mark.parametrize("device_id", ["2", "-1", "cuda"])
def test_card_that_is_not_there_is_refused(device_id: str) -> None:
    with pytest.raises(BadInput, match=r"0 \(NVIDIA GeForce RTX 4090\), 1 \(NVIDIA A100\)"):
        choose_device(MODERN, DeviceFlags(device_id=device_id))


def test_probe_answers_on_any_machine() -> None:
    hardware = probe_hardware()
    assert (hardware.accelerator is None) == (not hardware.names)
