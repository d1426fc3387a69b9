"""The settings that change how a sampler walks, as one frozen value. Keys are A1111's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RandomSource = Literal["GPU", "CPU", "NV"]


@dataclass(frozen=True, slots=True)
class SamplerOptions:
    """Sampler settings of one job, request overrides already merged in.

    `eta` is the request's value and goes before eta_ddim and eta_ancestral. 0 means "the
    sampler's own" for sigma_min, sigma_max, rho and s_tmax (where it is infinity).
    """

    eta: float | None = None
    eta_ddim: float = 0.0
    eta_ancestral: float = 1.0
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = 0.0
    s_noise: float = 1.0
    sigma_min: float = 0.0
    sigma_max: float = 0.0
    rho: float = 0.0
    eta_noise_seed_delta: int = 0
    randn_source: RandomSource = "GPU"
    always_discard_next_to_last_sigma: bool = False
    sgm_noise_multiplier: bool = False
    use_old_karras_scheduler_sigmas: bool = False
    enable_quantization: bool = False
    skip_early_cond: float = 0.0
    s_min_uncond: float = 0.0
    s_min_uncond_all: bool = False
    batch_cond_uncond: bool = True
    pad_cond_uncond: bool = False
    pad_cond_uncond_v0: bool = False
    uni_pc_variant: Literal["bh1", "bh2", "vary_coeff"] = "bh1"
    uni_pc_skip_type: Literal["time_uniform", "time_quadratic", "logSNR"] = "time_uniform"
    uni_pc_order: int = 3
    uni_pc_lower_order_final: bool = True
    beta_dist_alpha: float = 0.6
    beta_dist_beta: float = 0.6
    sd_noise_schedule: Literal["Default", "Zero Terminal SNR"] = "Default"
    use_downcasted_alpha_bar: bool = False
