"""The table of settings that have an effect, under A1111's keys and with A1111 1.10's defaults.

One row is one setting: a line here is all that a new setting needs. Names of A1111's that Easel
knows but does not use stand in `a1111_settings.json`, so that config files and clients that set
them keep working.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its key, default and label, and what values it takes.

    The type of the value is the type of the default; None as default means "text or nothing".
    """

    key: str
    default: Any
    label: str
    section: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    infotext: str | None = None
    """Name in a picture's parameters, for settings that change the picture."""
    restricted: bool = False
    """True where the API must not change it."""


S = Setting
FORMATS = ("png", "jpg", "jpeg", "webp")

SETTINGS: tuple[Setting, ...] = (
    # saving: folders
    S("outdir_samples", "", "Folder for all pictures (empty: one per tab)", "saving-paths"),
    S("outdir_txt2img_samples", "outputs/txt2img-images", "Folder of txt2img", "saving-paths"),
    S("outdir_grids", "", "Folder for all grids (empty: one per tab)", "saving-paths"),
    S("outdir_txt2img_grids", "outputs/txt2img-grids", "Folder of txt2img grids", "saving-paths"),
    S("outdir_save", "log/images", "Folder of the Save button", "saving-paths"),
    # saving: pictures
    S("samples_save", True, "Save every picture", "saving-images"),
    S("samples_format", "png", "File format of pictures", "saving-images", choices=FORMATS),
    S("samples_filename_pattern", "", "File name pattern", "saving-images"),
    S("save_images_add_number", True, "Put a running number before the name", "saving-images"),
    S("grid_save", True, "Save grids", "saving-images"),
    S("grid_format", "png", "File format of grids", "saving-images", choices=FORMATS),
    S("grid_only_if_multiple", True, "No grid for a single picture", "saving-images"),
    S("grid_prevent_empty_spots", False, "No empty cells in grids", "saving-images"),
    S("n_rows", -1, "Grid rows (-1: automatic, 0: batch size)", "saving-images", -1, 16),
    S("grid_background_color", "#ffffff", "Background of grids", "saving-images"),
    S("jpeg_quality", 80, "Quality of JPEG and WebP (per cent)", "saving-images", 1, 100),
    S("webp_lossless", False, "Lossless WebP", "saving-images"),
    S("img_max_size_mp", 200, "Largest picture or grid (megapixels)", "saving-images", 1),
    S("save_write_log_csv", True, "Save button writes log.csv", "saving-images"),
    S("save_incomplete_images", False, "Save interrupted pictures", "saving-images"),
    S("save_to_dirs", True, "Pictures into sub-folders", "saving-to-dirs"),
    S("grid_save_to_dirs", True, "Grids into sub-folders", "saving-to-dirs"),
    S("directories_filename_pattern", "[date]", "Sub-folder pattern", "saving-to-dirs"),
    S("directories_max_prompt_words", 8, "Words for [prompt_words]", "saving-to-dirs", 1, 20),
    # model
    S("sd_model_checkpoint", None, "Checkpoint", "sd"),
    S("sd_vae", "Automatic", "VAE", "vae"),
    S("emphasis", "Original", "Emphasis mode", "sd",
      choices=("None", "Ignore", "Original", "No norm"), infotext="Emphasis"),
    S("comma_padding_backtrack", 20, "Tokens to look back for a comma", "sd", 0, 74),
    S("sdxl_clip_l_skip", False, "Clip skip for SDXL's first encoder", "sd"),
    S("CLIP_stop_at_last_layers", 1, "Clip skip", "sd", 1, 12, infotext="Clip skip"),
    S("randn_source", "GPU", "Source of random numbers", "sd",
      choices=("GPU", "CPU", "NV"), infotext="RNG"),
    S("enable_prompt_comments", True, "# starts a comment in prompts", "sd"),
    S("sdxl_crop_top", 0, "SDXL crop top (px)", "sdxl", 0),
    S("sdxl_crop_left", 0, "SDXL crop left (px)", "sdxl", 0),
    # guidance
    S("s_min_uncond", 0.0, "Skip the negative prompt below this sigma", "optimizations", 0, 15,
      infotext="NGMS"),
    S("s_min_uncond_all", False, "… on every step, not every second", "optimizations",
      infotext="NGMS all steps"),
    S("pad_cond_uncond", False, "Pad prompts to the same length", "optimizations",
      infotext="Pad conds"),
    S("pad_cond_uncond_v0", False, "Pad prompts as A1111 1.5 did", "optimizations",
      infotext="Pad conds v0"),
    S("batch_cond_uncond", True, "Prompt and negative prompt in one batch", "optimizations"),
    S("skip_early_cond", 0.0, "Share of early steps without guidance", "sampler-params", 0, 1,
      infotext="Skip Early CFG"),
    # samplers
    S("eta_ddim", 0.0, "Eta of DDIM", "sampler-params", 0, 1, infotext="Eta DDIM"),
    S("eta_ancestral", 1.0, "Eta of ancestral samplers", "sampler-params", 0, 1, infotext="Eta"),
    S("s_churn", 0.0, "Sigma churn", "sampler-params", 0, 100, infotext="Sigma churn"),
    S("s_tmin", 0.0, "Sigma tmin", "sampler-params", 0, 10, infotext="Sigma tmin"),
    S("s_tmax", 0.0, "Sigma tmax (0: no limit)", "sampler-params", 0, 999, infotext="Sigma tmax"),
    S("s_noise", 1.0, "Sigma noise", "sampler-params", 0, 1.1, infotext="Sigma noise"),
    S("sigma_min", 0.0, "Smallest sigma (0: the model's)", "sampler-params", 0,
      infotext="Schedule min sigma"),
    S("sigma_max", 0.0, "Largest sigma (0: the model's)", "sampler-params", 0,
      infotext="Schedule max sigma"),
    S("rho", 0.0, "Rho of the schedule (0: its own)", "sampler-params", 0,
      infotext="Schedule rho"),
    S("eta_noise_seed_delta", 0, "Eta noise seed delta (ENSD)", "sampler-params", -(2**53), 2**53,
      infotext="ENSD"),
    S("always_discard_next_to_last_sigma", False, "Always discard the next-to-last sigma",
      "sampler-params", infotext="Discard penultimate sigma"),
    S("sgm_noise_multiplier", False, "Initial noise as in SGM", "sampler-params",
      infotext="SGM noise multiplier"),
    S("uni_pc_variant", "bh1", "UniPC variant", "sampler-params",
      choices=("bh1", "bh2", "vary_coeff"), infotext="UniPC variant"),
    S("uni_pc_skip_type", "time_uniform", "UniPC skip type", "sampler-params",
      choices=("time_uniform", "time_quadratic", "logSNR"), infotext="UniPC skip type"),
    S("uni_pc_order", 3, "UniPC order", "sampler-params", 1, 50, infotext="UniPC order"),
    S("uni_pc_lower_order_final", True, "UniPC lower order at the end", "sampler-params",
      infotext="UniPC lower order final"),
    S("beta_dist_alpha", 0.6, "Beta schedule alpha", "sampler-params", 0.01, 1,
      infotext="Beta schedule alpha"),
    S("beta_dist_beta", 0.6, "Beta schedule beta", "sampler-params", 0.01, 1,
      infotext="Beta schedule beta"),
    S("enable_quantization", False, "Round sigmas to the training steps", "sd"),
    S("sd_noise_schedule", "Default", "Noise schedule of the model", "sampler-params",
      choices=("Default", "Zero Terminal SNR"), infotext="Noise Schedule"),
    # compatibility
    S("use_downcasted_alpha_bar", False, "Noise levels rounded to half precision",
      "compatibility", infotext="Downcast alphas_cumprod"),
    S("auto_backcompat", True, "Old behaviour for old parameters", "compatibility"),
    S("use_old_karras_scheduler_sigmas", False, "Karras sigmas 0.1 to 10", "compatibility"),
    S("use_old_scheduling", False, "Old prompt editing timelines", "compatibility",
      infotext="Old prompt editing timelines"),
    # infotext
    S("enable_pnginfo", True, "Write the parameters into pictures", "infotext"),
    S("save_txt", False, "Write the parameters beside pictures as .txt", "infotext"),
    S("add_model_name_to_info", True, "Model name in the parameters", "infotext"),
    S("add_model_hash_to_info", True, "Model hash in the parameters", "infotext"),
    S("add_vae_name_to_info", True, "VAE name in the parameters", "infotext"),
    S("add_vae_hash_to_info", True, "VAE hash in the parameters", "infotext"),
    S("add_user_name_to_info", False, "User name in the parameters", "infotext"),
    S("add_version_to_infotext", True, "Version in the parameters", "infotext"),
    # results and live preview
    S("return_grid", True, "Show grids in the results", "ui_gallery"),
    S("live_previews_enable", True, "Show live previews", "ui"),
    S("live_previews_image_format", "png", "Format of live previews", "ui",
      choices=("jpeg", "png", "webp")),
    S("show_progress_grid", True, "Preview of the whole batch as a grid", "ui"),
    S("show_progress_every_n_steps", 10, "Steps between live previews (-1: none)", "ui", -1, 32),
    S("live_preview_refresh_period", 1000, "Time between progress updates (ms)", "ui", 50),
    S("interrupt_after_current", True, "Interrupt waits for the current picture of several",
      "ui_alternatives"),
    S("keyedit_precision_attention", 0.1, "Step of Ctrl+Up/Down", "ui_prompt_editing", 0.01, 0.2),
    S("keyedit_precision_extra", 0.05, "Step of Ctrl+Up/Down in <extra:networks:1>",
      "ui_prompt_editing", 0.01, 0.2),
    S("keyedit_delimiters", r".,\/!?%^*;:{}=`~() ", "Word delimiters for Ctrl+Up/Down",
      "ui_prompt_editing"),
    S("disable_token_counters", False, "No token counters", "ui_prompt_editing"),
    # access
    S("api_enable_requests", False, "Fetch pictures from URLs (nothing does yet)", "API",
      restricted=True),
    S("api_forbid_local_requests", True, "… but not from local addresses", "API",
      restricted=True),
    S("api_useragent", "", "User agent of fetches", "API", restricted=True),
)  # fmt: skip
