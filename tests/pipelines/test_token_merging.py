from __future__ import annotations

import pytest
import torch

from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.token_merging import find_merge, merging_tokens
from modules.sampling.conditioning import concatenate


def tokens(rows: int = 2, height: int = 6, width: int = 8, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, height * width, 5, generator=generator)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 1.0])
def test_share_of_tokens_is_left_out_and_comes_back(ratio: float) -> None:
    x = tokens()
    merge = find_merge(x, 6, 8, ratio)
    assert merge is not None
    fewer = merge.merge(x)
    assert fewer.shape == (2, 48 - min(int(48 * ratio), 36), 5)
    assert merge.unmerge(fewer).shape == x.shape


def test_merging_is_the_papers_by_the_letter() -> None:
    """Pair each source with its most similar destination; average the most similar pairs."""
    x = tokens(rows=1)
    merge = find_merge(x, 6, 8, 0.25)
    assert merge is not None
    result = merge.unmerge(merge.merge(x))[0]
    rows = x[0].tolist()
    targets = [y * 8 + z for y in range(0, 6, 2) for z in range(0, 8, 2)]
    sources = [n for n in range(48) if n not in targets]

    def alike(one: int, other: int) -> float:
        return float(torch.nn.functional.cosine_similarity(x[0, one], x[0, other], dim=0))

    best = {s: max(targets, key=lambda t, s=s: alike(s, t)) for s in sources}  # type: ignore[misc]
    chosen = sorted(sources, key=lambda s: -alike(s, best[s]))[:12]
    for target in targets:
        group = [target, *(s for s in chosen if best[s] == target)]
        mean = torch.tensor([rows[n] for n in group]).mean(dim=0)
        for member in group:
            assert torch.allclose(result[member], mean, atol=1e-6)
    for source in set(sources) - set(chosen):
        assert torch.equal(result[source], x[0, source])


def test_odd_sides_leave_the_rest_unmerged_into() -> None:
    x = tokens(height=3, width=5)
    merge = find_merge(x, 3, 5, 0.5)
    assert merge is not None
    assert merge.destinations.tolist() == [0, 2]
    assert merge.unmerge(merge.merge(x)).shape == x.shape


@pytest.mark.parametrize("size", [(1, 1), (1, 9)])
def test_too_few_tokens_are_not_merged(size: tuple[int, int]) -> None:
    assert find_merge(tokens(1, *size), *size, 0.5) is None


def test_ratio_0_merges_nothing() -> None:
    assert find_merge(tokens(), 6, 8, 0.0) is None


def predict(pipeline: StableDiffusion, texts: list[str]) -> torch.Tensor:
    conds = [pipeline.encode_prompts([text], EncodeOptions())[0] for text in texts]
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    return pipeline.predict(
        x.expand(len(texts), -1, -1, -1), torch.full((len(texts),), 400.0), concatenate(conds)
    )


def test_prediction_changes_a_little_and_is_as_before_afterwards(tiny15: StableDiffusion) -> None:
    plain = predict(tiny15, ["fox"])
    with tiny15.merging_tokens(0.5):
        merged = predict(tiny15, ["fox"])
    assert torch.equal(predict(tiny15, ["fox"]), plain)
    difference = (merged - plain).norm() / plain.norm()
    assert 1e-4 < difference < 0.5


def test_rows_are_merged_apart(tiny15: StableDiffusion) -> None:
    with tiny15.merging_tokens(0.5):
        together = predict(tiny15, ["fox", "snow"])
        alone = torch.cat([predict(tiny15, ["fox"]), predict(tiny15, ["snow"])])
    assert torch.allclose(together, alone, atol=1e-3)


def test_attention_sees_fewer_tokens_at_the_top_only(tiny15: StableDiffusion) -> None:
    seen: list[int] = []
    unet = tiny15.networks.unet
    with tiny15.merging_tokens(0.5):
        handles = [
            module.to_q.register_forward_hook(lambda _, args, out: seen.append(args[0].shape[1]))
            for name, module in unet.named_modules()
            if name.endswith("attn1")
        ]
        predict(tiny15, ["fox"])
    for handle in handles:
        handle.remove()
    assert seen.count(128) == 5 and 256 not in seen
    assert set(seen) == {128, 64, 16, 4}


def test_failure_inside_leaves_no_hook_behind(tiny15: StableDiffusion) -> None:
    unet = tiny15.networks.unet
    with pytest.raises(RuntimeError), merging_tokens(unet, 0.5):
        raise RuntimeError("stopped")
    for module in unet.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
