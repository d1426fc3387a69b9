"""Prompts from a file or a text box: one job for each line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easel_plots.order import own_copy
from easel_plots.plot import has_two_passes
from easel_plots.prompt_lines import PromptLine, apply_line, read_lines
from easel_plots.values import read_switch
from modules.core.errors import BadInput
from modules.extensions import Processed, process_images
from modules.processing.p import next_seed

POSITIONS = ("start", "end")


def check_prompts(
    parameters: Sequence[str], iterates: Any, shares_seed: Any, position: Any, text: Any
) -> list[PromptLine]:
    """The lines. parameters: names of those that a line may change. Raises BadInput."""
    if position not in POSITIONS:
        raise BadInput("Insert prompts at the", position, f"allowed: {', '.join(POSITIONS)}")
    read_switch("Iterate seed every line", iterates)
    read_switch("Use same random seed for all lines", shares_seed)
    return read_lines(str(text or ""), parameters)


def run_prompts(p: Any, iterates: Any, shares_seed: Any, position: Any, text: Any) -> Processed:
    """Make the pictures of all lines.

    iterates: whether each line goes on counting from the seed of the line before; shares_seed:
    whether a random seed is drawn once for all lines. Raises BadInput before any picture is made.
    """
    lines = check_prompts(tuple(p.params_class.model_fields), iterates, shares_seed, position, text)
    p.do_not_save_grid = True
    if (iterates or shares_seed) and p.seed == -1:
        p.seed = p.fixed_seed(p.seed)
    jobs, passed = [], 0
    for line in lines:
        own = own_copy(p)
        if iterates:
            own.seed = next_seed(p.seed, passed)
        apply_line(own, line, position)
        passed += p.n_iter * p.batch_size
        jobs.append(own)
    p.job.expect(sum(own.n_iter * (2 if has_two_passes(own) else 1) for own in jobs))
    return _make_all(p, jobs)


def _make_all(p: Any, jobs: list[Any]) -> Processed:
    made = []
    for own in jobs:
        if p.job.is_stopped:
            break
        made.append(process_images(own))
    made = [result for result in made if result.images]
    if not made:
        return Processed(p, [])
    whole = Processed(
        p,
        [image for result in made for image in result.images],
        info=made[0].info,
        all_prompts=[prompt for result in made for prompt in result.all_prompts],
        all_negative_prompts=[text for result in made for text in result.all_negative_prompts],
        all_seeds=[seed for result in made for seed in result.all_seeds],
        all_subseeds=[seed for result in made for seed in result.all_subseeds],
        infotexts=[text for result in made for text in result.infotexts],
    )
    whole.paths = [path for result in made for path in result.paths]
    whole.facts, whole.memory = made[0].facts, made[0].memory
    return whole
