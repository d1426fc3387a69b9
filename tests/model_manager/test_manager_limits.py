"""How many models the manager keeps, which goes first, and what comes back when one is lent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from modules.core.errors import ModelError
from modules.core.settings import Settings
from modules.model_manager.choice import ModelChoice
from modules.model_manager.device import DeviceChoice
from modules.model_manager.idle import IdleWatch
from modules.model_manager.load import load_checkpoint
from modules.model_manager.manager import ModelManager
from modules.model_manager.state import ModelState
from modules.pipelines.sd import StableDiffusion
from tests.model_manager.answers import answer
from tools.make_fixtures import tiny, write_checkpoint

F32 = torch.float32
CPU = DeviceChoice(torch.device("cpu"), F32, F32, "Using the CPU.")
A, B, BROKEN = ModelChoice("a"), ModelChoice("b"), ModelChoice("broken")


def make(manager: ModelManager, changes: dict[str, Any], **others: Any) -> ModelManager:
    """Another manager over the same files, under changed settings."""
    settings = Settings(None)
    settings.update(changes)
    return ModelManager(
        manager.catalogue, manager.vaes, lambda: CPU, settings=settings.view, **others
    )


class CountingLoader:
    """Loads for real and remembers what."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def __call__(self, path: Path, *args: Any, **options: Any) -> StableDiffusion:
        self.loaded.append(path.stem)
        return load_checkpoint(path, *args, **options)


def take(manager: ModelManager, *names: str) -> None:
    for name in names:
        with manager.use(ModelChoice(name)):
            pass


@pytest.mark.parametrize(
    ("changes", "free", "expected"),
    [
        ({"sd_checkpoints_limit": 1}, 1 << 40, ["a", "b", "a", "b"]),
        ({"sd_checkpoints_limit": 2}, 1 << 40, ["a", "b"]),
        ({"sd_checkpoints_limit": 2}, 0, ["a", "b", "a", "b"]),
        ({"sd_checkpoints_limit": 2, "models_memory_limit_gb": 0.001}, 1 << 40,
         ["a", "b", "a", "b"]),
        ({"sd_checkpoints_limit": 2, "models_memory_limit_gb": 1}, 1 << 40, ["a", "b"]),
    ],
)  # fmt: skip
def test_models_stay_within_count_and_memory(
    manager: ModelManager, changes: dict[str, Any], free: int, expected: list[str]
) -> None:
    loader = CountingLoader()
    limited = make(manager, changes, loader=loader, free=lambda device: free)
    take(limited, "a", "b", "a", "b")
    assert loader.loaded == expected


def test_least_recently_used_goes_first(manager: ModelManager, root: Path) -> None:
    write_checkpoint(root / "c.safetensors", tiny("sd1"), seed=3)
    manager.catalogue.refresh()
    loader = CountingLoader()
    limited = make(manager, {"sd_checkpoints_limit": 2}, loader=loader)
    take(limited, "a", "b", "a", "c", "a", "b")
    assert loader.loaded == ["a", "b", "c", "b"]


def test_lent_model_stays_though_another_is_used_inside(manager: ModelManager) -> None:
    loader = CountingLoader()
    one = make(manager, {"sd_checkpoints_limit": 1}, loader=loader, free=lambda device: 0)
    with one.use(A) as outer:
        before = answer(outer)
        for _ in range(2):
            with one.use(B) as inner:
                assert inner is not outer
                assert not torch.equal(answer(inner), before)
            assert torch.equal(answer(outer), before)
    take(one, "a")
    assert loader.loaded == ["a", "b"]
    take(one, "b")
    with one.use(A) as again:
        assert torch.equal(answer(again), before)
    assert loader.loaded == ["a", "b", "b", "a"]


def test_model_is_given_back_when_the_user_fails(manager: ModelManager) -> None:
    one = make(manager, {"sd_checkpoints_limit": 1})
    with pytest.raises(ZeroDivisionError), one.use(A), one.use(B):
        raise ZeroDivisionError
    take(one, "b")
    assert [path.stem for path in one._cache] == ["b"]


def test_vae_asked_for_inside_is_taken_back(manager: ModelManager, root: Path) -> None:
    latent = torch.zeros(1, 4, 4, 4)
    with manager.use(A) as outer:
        own = outer.decode(latent)
        with manager.use(ModelChoice("a", "othervae")) as inner:
            assert inner is outer
            assert inner.decode(latent).shape[-1] == 32
        assert torch.equal(outer.decode(latent), own)
    with manager.use(ModelChoice("a", "othervae")):
        (root / "a.safetensors").unlink()
    with manager.use(A) as after:
        assert torch.equal(after.decode(latent), own), "its own is kept while it is away"


def test_vae_that_cannot_be_read_leaves_the_one_before(manager: ModelManager, root: Path) -> None:
    (root / "bad.vae.safetensors").write_bytes(b"nothing")
    manager.vaes.refresh()
    latent = torch.zeros(1, 4, 4, 4)
    with manager.use(A) as model:
        own = model.decode(latent)
    with pytest.raises(ModelError, match=r"bad\.vae"), manager.use(ModelChoice("a", "bad.vae")):
        pass
    with manager.use(A) as model:
        assert torch.equal(model.decode(latent), own)


def test_vae_files_are_kept_as_the_setting_says(manager: ModelManager) -> None:
    other = ModelChoice("a", "othervae")
    for keeps, count in ((0, 0), (1, 1)):
        some = make(manager, {"sd_vae_checkpoint_cache": keeps})
        with some.use(other) as model:
            first = model.networks.vae  # type: ignore[attr-defined]
        take(some, "a")
        assert len(some._cache._vaes) == count
        with some.use(other) as model:
            assert (model.networks.vae is first) is (keeps == 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("setting", "wins", "preferred", "expected"),
    [
        ("Automatic", True, "othervae.safetensors", "othervae"),
        ("Automatic", True, "gone.safetensors", None),
        ("Automatic", True, None, None),
        ("None", True, "othervae.safetensors", None),
        ("None", False, "othervae.safetensors", "othervae"),
        ("othervae.safetensors", False, "None", None),
        ("othervae.safetensors", False, None, "othervae"),
    ],
)
def test_checkpoint_may_prefer_a_vae(
    manager: ModelManager,
    root: Path,
    setting: str,
    wins: bool,
    preferred: str | None,
    expected: str | None,
) -> None:
    (root / "a.json").write_text(json.dumps({"vae": preferred}))
    vae = manager.resolve(ModelChoice("a", setting, vae_wins=wins)).vae
    assert (vae.stem if vae else None) == expected


class HandTimer:
    """A timer that the test lets go off."""

    def __init__(self, after_s: float, act: Callable[[], None]) -> None:
        self.after_s, self.act, self.is_on = after_s, act, False

    def start(self) -> None:
        self.is_on = True

    def cancel(self) -> None:
        self.is_on = False


def test_idle_models_give_their_memory_back(manager: ModelManager) -> None:
    timers: list[HandTimer] = []

    def make_timer(after_s: float, act: Callable[[], None]) -> HandTimer:
        timers.append(HandTimer(after_s, act))
        return timers[-1]

    idle = make(manager, {"unload_idle_models_min": 5}, make_timer=make_timer)
    with idle.use(A):
        with idle.use(B):
            pass
        assert timers == [], "nothing is idle inside a job"
    assert [(timer.after_s, timer.is_on) for timer in timers] == [(300, True)]
    with idle.use(A):
        assert not timers[0].is_on
        other = threading.Thread(target=timers[0].act)  # it went off just then
        other.start()
        other.join()
        assert len(idle._cache) == 1
    timers[-1].act()
    assert len(idle._cache) == 0
    assert idle.state == ModelState()
    never = make(manager, {}, make_timer=make_timer)
    count = len(timers)
    take(never, "a")
    assert len(timers) == count


def test_real_timer_is_a_daemon_and_can_be_stopped() -> None:
    acted = threading.Event()
    watch = IdleWatch(acted.set)
    watch.end(3600)
    timer = watch._timer
    assert isinstance(timer, threading.Timer)
    assert timer.daemon
    watch.begin()
    timer.join(10)
    watch.end(1e-6)
    assert acted.wait(10)


def test_unload_inside_a_job_leaves_what_is_lent(manager: ModelManager) -> None:
    with manager.use(A) as model:
        before = answer(model)
        manager.unload()
        assert torch.equal(answer(model), before)
        assert manager.state.status == "ready"
    manager.unload()
    assert manager.state == ModelState()


def test_fp8_is_a_model_of_its_own(manager: ModelManager) -> None:
    with manager.use(A) as model:
        exact, size = answer(model), model.size_bytes  # type: ignore[attr-defined]
    with manager.use(ModelChoice("a", fp8="Enable")) as model:
        rough = answer(model)
        assert model.dtype == F32
        assert model.size_bytes < size  # type: ignore[attr-defined]
    assert not torch.equal(rough, exact)
    assert (rough - exact).std() < 0.2 * exact.std()
    with manager.use(ModelChoice("a", fp8="Enable for SDXL")) as model:
        assert torch.equal(answer(model), exact)


def test_pickles_are_loaded_only_where_the_user_allows_them(
    manager: ModelManager, root: Path
) -> None:
    state = load_file(root / "a.safetensors")
    torch.save({"state_dict": state, "global_step": 3}, root / "p.ckpt")
    vae = {k.removeprefix("first_stage_model."): v for k, v in state.items() if "first" in k}
    torch.save({"state_dict": vae}, root / "q.vae.pt")
    manager.catalogue.refresh()
    manager.vaes.refresh()
    with pytest.raises(ModelError, match="allow_pickles"), manager.use(ModelChoice("p")):
        pass
    allowing = make(manager, {"allow_pickles": True})
    with manager.use(A) as model:
        expected = answer(model)
    with allowing.use(ModelChoice("p", "q.vae.pt")) as model:
        assert torch.equal(answer(model), expected)
        assert model.decode(torch.zeros(1, 4, 4, 4)).shape == (1, 3, 8, 8)


def test_settings_reach_the_vae(manager: ModelManager) -> None:
    rows: list[tuple[dict[str, Any], tuple[torch.dtype, ...]]] = [
        ({}, (F32,)),
        ({"auto_vae_precision_bfloat16": True}, (torch.bfloat16, F32)),
        ({"auto_vae_precision": False}, ()),
    ]
    for changes, expected in rows:
        with make(manager, changes).use(A) as model:
            assert model.vae_fallbacks == expected  # type: ignore[attr-defined]


def test_a_model_whose_weights_cannot_be_given_back_is_loaded_again(
    manager: ModelManager, root: Path
) -> None:
    loader = CountingLoader()
    one = make(manager, {}, loader=loader)
    with one.use(A) as model:
        before = answer(model)
    with pytest.raises(ModelError, match="changed"), one.use(A) as model:
        assert isinstance(model, StableDiffusion)
        model.is_spoilt = True
        raise ModelError(root / "a.safetensors", "was changed on the disk.")
    with one.use(A) as again:
        assert again is not model
        assert torch.equal(answer(again), before)
    assert loader.loaded == ["a", "a"]
