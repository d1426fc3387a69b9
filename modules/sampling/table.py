"""The samplers and the schedules: names, aliases, what each needs. Feeds UI, API and tests.

Loads no torch: a row names its function, which is imported when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, cast

from modules.core.errors import NotFound

if TYPE_CHECKING:
    from modules.sampling.sigmas import Schedule
    from modules.sampling.walk import Sampler

Levels = Literal["sigmas", "range", "timesteps"]

CFG_PLUS_PLUS_SCALE = 1 / 12.5
"""What the CFG scale is multiplied by, to put CFG++'s 0..1 on the usual slider."""


@dataclass(frozen=True, slots=True)
class Scheduler:
    """One schedule. `function` ("module:name" here) None: Automatic. `default_rho` -1: no rho."""

    name: str
    label: str
    function: str | None = None
    default_rho: float = -1.0
    need_inner_model: bool = False
    aliases: tuple[str, ...] = ()

    def schedule(self) -> Schedule | None:
        """The function that makes the sigmas; None for Automatic. Loads torch."""
        return cast("Schedule", _load(self.function)) if self.function else None


@dataclass(frozen=True, slots=True)
class SamplerRow:
    """One sampler.

    function: "module:name" here. levels: what it walks over; "range" takes only the ends of the
    sigmas in txt2img. scheduler: the schedule that Automatic means. is_second_order: two network
    calls a step, so prompt schedules count twice the steps. uses_*: which options reach it
    (A1111 1.10). needs_uncond: the negative is never skipped.
    """

    name: str
    aliases: tuple[str, ...]
    function: str
    levels: Levels = "sigmas"
    scheduler: str = "automatic"
    is_second_order: bool = False
    uses_brownian_noise: bool = False
    discards_next_to_last_sigma: bool = False
    uses_ensd: bool = False
    uses_eta: bool = False
    uses_churn: bool = False
    uses_s_noise: bool = False
    is_consistency: bool = False
    needs_uncond: bool = False
    cfg_multiplier: float = 1.0
    solver_type: str = ""

    def sampler(self) -> Sampler:
        """The function that samples. Loads torch."""
        return cast("Sampler", _load(self.function))

    @property
    def options(self) -> dict[str, str]:
        """The option strings that the REST list of samplers shows."""
        shown = {
            "scheduler": "" if self.scheduler == "automatic" else self.scheduler,
            "second_order": "True" if self.is_second_order else "",
            "brownian_noise": "True" if self.uses_brownian_noise else "",
            "solver_type": self.solver_type,
            "discard_next_to_last_sigma": "True" if self.discards_next_to_last_sigma else "",
            "uses_ensd": "True" if self.uses_ensd else "",
        }
        return {key: value for key, value in shown.items() if value}

    def total_steps(self, steps: int) -> int:
        """Network calls that prompt schedules count with."""
        return steps * 2 if self.is_second_order else steps


SCHEDULERS: tuple[Scheduler, ...] = (
    Scheduler("automatic", "Automatic"),
    Scheduler("uniform", "Uniform", "sigmas:uniform", need_inner_model=True),
    Scheduler("karras", "Karras", "sigmas:karras", default_rho=7.0),
    Scheduler("exponential", "Exponential", "sigmas:exponential"),
    Scheduler("polyexponential", "Polyexponential", "sigmas:polyexponential", default_rho=1.0),
    Scheduler(
        "sgm_uniform",
        "SGM Uniform",
        "sigmas:sgm_uniform",
        need_inner_model=True,
        aliases=("SGMUniform",),
    ),
    Scheduler("kl_optimal", "KL Optimal", "sigmas:kl_optimal"),
    Scheduler("align_your_steps", "Align Your Steps", "sigmas:align_your_steps"),
    Scheduler("simple", "Simple", "sigmas:simple", need_inner_model=True),
    Scheduler("normal", "Normal", "sigmas:normal", need_inner_model=True),
    Scheduler("ddim", "DDIM", "sigmas:ddim_uniform", need_inner_model=True),
    Scheduler("beta", "Beta", "sigmas:beta", need_inner_model=True),
)

SAMPLERS: tuple[SamplerRow, ...] = (
    SamplerRow("DPM++ 2M", ("k_dpmpp_2m",), "dpmpp:dpmpp_2m", scheduler="karras"),
    SamplerRow(
        "DPM++ SDE",
        ("k_dpmpp_sde",),
        "sde:dpmpp_sde",
        scheduler="karras",
        is_second_order=True,
        uses_brownian_noise=True,
        uses_eta=True,
        uses_s_noise=True,
    ),
    SamplerRow(
        "DPM++ 2M SDE",
        ("k_dpmpp_2m_sde",),
        "sde:dpmpp_2m_sde",
        scheduler="exponential",
        uses_brownian_noise=True,
        uses_eta=True,
        uses_s_noise=True,
    ),
    SamplerRow(
        "DPM++ 2M SDE Heun",
        ("k_dpmpp_2m_sde_heun",),
        "sde:dpmpp_2m_sde_heun",
        scheduler="exponential",
        uses_brownian_noise=True,
        uses_eta=True,
        uses_s_noise=True,
        solver_type="heun",
    ),
    SamplerRow(
        "DPM++ 2S a",
        ("k_dpmpp_2s_a",),
        "dpmpp:dpmpp_2s_ancestral",
        scheduler="karras",
        is_second_order=True,
        uses_ensd=True,
        uses_eta=True,
        uses_s_noise=True,
    ),
    SamplerRow(
        "DPM++ 3M SDE",
        ("k_dpmpp_3m_sde",),
        "sde:dpmpp_3m_sde",
        scheduler="exponential",
        discards_next_to_last_sigma=True,
        uses_brownian_noise=True,
        uses_eta=True,
        uses_s_noise=True,
    ),
    SamplerRow(
        "Euler a",
        ("k_euler_a", "k_euler_ancestral"),
        "euler:euler_ancestral",
        uses_ensd=True,
        uses_eta=True,
    ),
    SamplerRow("Euler", ("k_euler",), "euler:euler", uses_churn=True, uses_s_noise=True),
    SamplerRow("LMS", ("k_lms",), "euler:lms"),
    SamplerRow(
        "Heun",
        ("k_heun",),
        "euler:heun",
        is_second_order=True,
        uses_churn=True,
        uses_s_noise=True,
    ),
    SamplerRow(
        "DPM2",
        ("k_dpm_2",),
        "dpm:dpm_2",
        scheduler="karras",
        is_second_order=True,
        discards_next_to_last_sigma=True,
        uses_churn=True,
        uses_s_noise=True,
    ),
    SamplerRow(
        "DPM2 a",
        ("k_dpm_2_a",),
        "dpm:dpm_2_ancestral",
        scheduler="karras",
        is_second_order=True,
        discards_next_to_last_sigma=True,
        uses_ensd=True,
        uses_eta=True,
        uses_s_noise=True,
    ),
    SamplerRow(
        "DPM fast",
        ("k_dpm_fast",),
        "dpm:dpm_fast",
        levels="range",
        uses_ensd=True,
        uses_eta=True,
        uses_s_noise=True,
    ),
    SamplerRow(
        "DPM adaptive",
        ("k_dpm_ad",),
        "dpm:dpm_adaptive",
        levels="range",
        uses_ensd=True,
        uses_eta=True,
    ),
    SamplerRow(
        "Restart", ("restart",), "restart:restart", scheduler="karras", is_second_order=True
    ),
    SamplerRow("DDIM", ("ddim",), "timestep_samplers:ddim", levels="timesteps", uses_eta=True),
    SamplerRow(
        "DDIM CFG++",
        ("ddim_cfgpp",),
        "timestep_samplers:ddim_cfgpp",
        levels="timesteps",
        uses_eta=True,
        needs_uncond=True,
        cfg_multiplier=CFG_PLUS_PLUS_SCALE,
    ),
    SamplerRow("PLMS", ("plms",), "timestep_samplers:plms", levels="timesteps"),
    SamplerRow("UniPC", ("unipc",), "unipc:unipc", levels="timesteps"),
    SamplerRow("LCM", ("k_lcm",), "euler:lcm", is_consistency=True),
)


def find_sampler(name: str) -> SamplerRow:
    """The row with this exact name or alias, else without regard to case. Raises NotFound."""
    for row in SAMPLERS:
        if name in (row.name, *row.aliases):
            return row
    for row in SAMPLERS:
        if name.lower() in (row.name.lower(), *row.aliases):
            return row
    raise NotFound("sampler", name, [row.name for row in SAMPLERS])


def find_scheduler(name: str | None) -> Scheduler:
    """The row with this name, label or alias; None and "" mean Automatic. Raises NotFound."""
    wanted = (name or "automatic").lower()
    for row in SCHEDULERS:
        if wanted in (known.lower() for known in (row.name, row.label, *row.aliases)):
            return row
    raise NotFound("schedule type", name, [row.label for row in SCHEDULERS])


def scheduler_for(row: SamplerRow, name: str | None) -> Scheduler:
    """The schedule in force: what was asked for, or what Automatic means for this sampler."""
    asked = find_scheduler(name)
    return asked if asked.function else find_scheduler(row.scheduler)


def split_old_name(name: str, scheduler: str | None) -> tuple[str, str | None]:
    """Sampler and schedule of a name from before A1111 1.9, when the name held both.

    >>> split_old_name("DPM++ 2M SDE Karras", None)
    ('DPM++ 2M SDE', 'Karras')
    >>> split_old_name("Euler a", "Karras")
    ('Euler a', 'Karras')
    """
    if name in {row.name for row in SAMPLERS}:
        return name, scheduler
    for row in SCHEDULERS:
        for label in (row.label, row.name, *row.aliases):
            stem = name.removesuffix(f" {label}")
            if stem != name:
                return stem, row.label
    return name, scheduler


def _load(reference: str) -> object:
    """The function that "module:name" within this folder stands for."""
    module, name = reference.split(":")
    return getattr(import_module(f"modules.sampling.{module}"), name)
