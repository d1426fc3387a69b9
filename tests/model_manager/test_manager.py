from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from modules.core.errors import ModelError, NotFound
from modules.model_manager.catalogue import Catalogue
from modules.model_manager.choice import ModelChoice
from modules.model_manager.device import DeviceChoice
from modules.model_manager.hashes import Hashes
from modules.model_manager.manager import ModelManager
from modules.model_manager.state import ModelState
from modules.model_manager.vae import VaeCatalogue
from tests.model_manager.answers import answer
from tools.make_fixtures import tiny, write_checkpoint

F32 = torch.float32
CPU = DeviceChoice(torch.device("cpu"), F32, F32, "Using the CPU.")
A, B, BROKEN = ModelChoice("a"), ModelChoice("b"), ModelChoice("broken")


def test_use_loads_once(manager: ModelManager) -> None:
    assert manager.state == ModelState()
    with manager.use(A) as first:
        pass
    with manager.use(A) as second:
        pass
    assert first is second
    state = manager.state
    assert (state.status, state.device, state.dtype) == ("ready", "cpu", "float32")
    assert (state.title or "").startswith("a.safetensors")
    assert state.size_bytes > 1_000_000


def test_another_choice_is_another_model(manager: ModelManager) -> None:
    with manager.use(A) as model:
        first = answer(model)
    with manager.use(B) as model:
        assert not torch.equal(answer(model), first)
    with manager.use(A) as model:
        assert torch.equal(answer(model), first)
    assert manager.state.title is not None
    assert manager.state.title.startswith("a.safetensors")


def test_no_name_is_the_first(manager: ModelManager) -> None:
    assert manager.resolve(ModelChoice()).checkpoint.name == "a"


def test_no_checkpoint_at_all_is_not_found(tmp_path: Path) -> None:
    hashes = Hashes(tmp_path / "hashes.json")
    empty = ModelManager(
        Catalogue([tmp_path / "none"], hashes), VaeCatalogue([], [], None), lambda: CPU
    )
    with pytest.raises(NotFound, match="no model yet"), empty.use(ModelChoice()):
        pass


def test_failed_load_leaves_the_model_before_usable(manager: ModelManager) -> None:
    with manager.use(A) as before:
        pass
    with pytest.raises(ModelError, match="truncated"), manager.use(BROKEN):
        pass
    assert manager.state.status == "failed"
    assert "truncated" in (manager.state.reason or "")
    with manager.use(A) as after:
        assert after is before
    assert manager.state.status == "ready"


def test_vae_is_chosen_by_name_and_given_back(manager: ModelManager) -> None:
    latent = torch.zeros(1, 4, 4, 4)
    with manager.use(A) as model:
        own = model.decode(latent)
        network = model
    with manager.use(ModelChoice("a", "othervae")) as model:
        assert model is network
        assert model.decode(latent).shape == (1, 3, 32, 32)
    with manager.use(A) as model:
        assert torch.equal(model.decode(latent), own)


def test_check_of_a_pickled_vae_asks_whether_it_is_used(root: Path, manager: ModelManager) -> None:
    for name in ("model_index.json", "vae/diffusion_pytorch_model.bin"):
        (root / "tale" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "tale" / name).write_bytes(b"")
    manager.catalogue.refresh()
    with pytest.raises(ModelError, match=r"tale: vae/diffusion_pytorch_model\.bin is a pickle"):
        manager.check(ModelChoice("tale"))
    manager.check(ModelChoice("tale", "othervae"))


def test_unknown_names_are_not_found(manager: ModelManager) -> None:
    with pytest.raises(NotFound, match="checkpoint"), manager.use(ModelChoice("nope")):
        pass
    with pytest.raises(NotFound, match="VAE"), manager.use(ModelChoice("a", "nope")):
        pass


def test_deleted_or_truncated_file_does_not_matter_once_loaded(
    manager: ModelManager, root: Path
) -> None:
    with manager.use(A) as model:
        before = answer(model)
    (root / "a.safetensors").write_bytes(b"")
    with manager.use(A) as model:
        assert torch.equal(answer(model), before)
    (root / "a.safetensors").unlink()
    with manager.use(A) as model:
        assert torch.equal(answer(model), before)


def test_changed_file_is_loaded_again(manager: ModelManager, root: Path) -> None:
    with manager.use(A) as model:
        before = answer(model)
    write_checkpoint(root / "a.safetensors", tiny("sd1"), seed=3)
    with manager.use(A) as model:
        assert not torch.equal(answer(model), before)


def test_users_take_turns_and_one_may_ask_twice(manager: ModelManager) -> None:
    order: list[str] = []
    inside = threading.Event()

    def other() -> None:
        inside.wait(20)
        with manager.use(A):
            order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    with manager.use(A) as outer, manager.use(A) as inner:
        assert inner is outer
        inside.set()
        thread.join(0.05)
        order.append("first")
    thread.join(20)
    assert order == ["first", "other"]


def test_preload_is_seen_from_outside(manager: ModelManager) -> None:
    manager.preload(A).join(60)
    assert manager.state.status == "ready"
    manager.preload(BROKEN).join(60)
    assert manager.state.status == "failed"
    manager.preload(ModelChoice("nope")).join(60)
    assert "Unknown checkpoint 'nope'" in (manager.state.reason or "")


def test_unload_forgets_everything(manager: ModelManager) -> None:
    with manager.use(A) as first:
        pass
    manager.unload()
    assert manager.state == ModelState()
    with manager.use(A) as second:
        assert second is not first


def test_hash_is_found_beside_the_load(manager: ModelManager, root: Path) -> None:
    with manager.use(A):
        pass
    short = manager.catalogue.short_hash(manager.resolve(A).checkpoint.path)
    assert short is not None
    assert manager.catalogue.find("a").title == f"a.safetensors [{short}]"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ModelState(), "No model is loaded"),
        (ModelState("loading", "a", 0.25), "Loading a: 25 %"),
        (
            ModelState("ready", "a", device="cpu", dtype="float32", size_bytes=3 << 20),
            "a on cpu in float32, 3 MiB",
        ),
        (ModelState("failed", "a", reason="it is empty."), "a could not be loaded: it is empty."),
    ],
)
def test_state_has_words(state: ModelState, words: str) -> None:
    assert state.words == words
