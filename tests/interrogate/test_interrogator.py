from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from modules.core.errors import ModelError, NotFound
from modules.core.settings import known_settings
from modules.interrogate import Interrogator
from modules.interrogate.clip_files import WEIGHTS
from modules.model_manager.lending import lend_cpu

ROOT = Path(__file__).parents[2]
LISTS = ROOT / "models/interrogate"

Load = Callable[[str], Image.Image]


def make(cache: Path, *lists: Path, lend: Any = lend_cpu, **settings: Any) -> Interrogator:
    chosen = {**known_settings(), **settings}
    folders = lists or (LISTS,)
    return Interrogator([ROOT / "models/CLIP"], folders, cache, lend, settings=lambda: chosen)


@pytest.mark.parametrize("name", ["cat", "pizza", "rocket", "owl"])
def test_real_drawing_is_named_first(shipped: Interrogator, load: Load, name: str) -> None:
    assert shipped.caption(load(name)).split(", ")[0] == name


def test_thing_on_a_coloured_ground_is_named_with_the_ground(
    shipped: Interrogator, load: Load
) -> None:
    words = shipped.caption(load("umbrella-blue")).split(", ")
    assert words[:2] == ["umbrella", "blue background"]


def test_other_pictures_get_other_words(shipped: Interrogator, load: Load) -> None:
    texts = {shipped.caption(load(name)) for name in ("cat", "pizza", "rocket", "owl")}
    assert len(texts) == 4


def test_ranking_holds_the_whole_list_best_first(shipped: Interrogator, load: Load) -> None:
    ranks = shipped.ranking(load("cat"), "concepts")
    shares = [one.share for one in ranks]
    assert ranks[0].word == "cat"
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert len(ranks) == len((LISTS / "concepts.txt").read_text(encoding="utf-8").splitlines())
    assert shipped.ranking(load("cat"), "no such list") == []


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "1"])
@pytest.mark.parametrize("size", [(1, 1), (3, 400), (64, 64)])
def test_any_mode_and_size_gets_a_text(
    shipped: Interrogator, mode: str, size: tuple[int, int]
) -> None:
    assert shipped.caption(Image.new(mode, size))


def test_huge_picture_gets_the_text_of_the_small_one(shipped: Interrogator, load: Load) -> None:
    small = load("cat").convert("RGB")
    huge = small.resize((8192, 8192), Image.Resampling.NEAREST)
    assert shipped.caption(huge).split(", ")[0] == "cat"


def test_picture_is_not_changed(shipped: Interrogator, load: Load) -> None:
    image = load("umbrella-blue").convert("RGB")
    before = image.tobytes()
    shipped.caption(image)
    assert image.tobytes() == before


def test_shares_lists_and_limits_follow_the_settings(tmp_path: Path, load: Load) -> None:
    skipped = make(
        tmp_path,
        interrogate_return_ranks=True,
        interrogate_clip_skip_categories=["backgrounds", "styles"],
        interrogate_clip_dict_limit=3,
    )
    text = skipped.caption(load("cat"))
    assert re.fullmatch(r"\(cat:[01]\.\d{3}\)", text)
    assert skipped.ranking(load("cat"), "concepts")[0].word == "cat"
    assert len(skipped.ranking(load("cat"), "concepts")) == 3


def test_several_words_of_a_users_list_are_taken(tmp_path: Path, load: Load) -> None:
    words = [f"thing {number}" for number in range(40)]
    (tmp_path / "flavors.top3.txt").write_text("\n".join(words), encoding="utf-8")
    found = make(tmp_path / "cache", tmp_path).caption(load("cat")).split(", ")
    assert len(found) == 3 and set(found) < set(words)


def test_words_are_read_once_and_again_when_they_change(tmp_path: Path, load: Load) -> None:
    lists, cache = tmp_path / "lists", tmp_path / "cache"
    lists.mkdir()
    (lists / "concepts.txt").write_text("cat\ndog\npizza", encoding="utf-8")
    one = make(cache, lists)
    assert one.caption(load("cat")) == "cat"
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    assert make(cache, lists).caption(load("pizza")) == "pizza"
    assert file.stat().st_mtime_ns == written
    (lists / "concepts.txt").write_text("rocket\npizza", encoding="utf-8")
    assert one.caption(load("rocket")) == "rocket"
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"not a tensor file", b"\xff" * 64])
def test_damaged_cache_is_made_again(tmp_path: Path, load: Load, content: bytes) -> None:
    (tmp_path / "concepts.txt").write_text("cat\ndog", encoding="utf-8")
    cache = tmp_path / "cache"
    make(cache, tmp_path).caption(load("cat"))
    (file,) = cache.iterdir()
    file.write_bytes(content)
    assert make(cache, tmp_path).caption(load("cat")) == "cat"
    assert file.read_bytes() != content


def test_cache_that_cannot_be_written_does_no_harm(tmp_path: Path, load: Load) -> None:
    (tmp_path / "cache").write_text("a file where a folder is needed", encoding="utf-8")
    assert make(tmp_path / "cache").caption(load("cat")).startswith("cat")


def test_nothing_is_kept_unless_the_setting_says_so(
    tmp_path: Path, load: Load, shipped: Interrogator
) -> None:
    one = make(tmp_path)
    one.caption(load("cat"))
    assert one._kept is None
    shipped.caption(load("cat"))
    assert shipped._kept is not None
    kept = shipped._kept.clip
    shipped.caption(load("owl"))
    assert shipped._kept is not None and shipped._kept.clip is kept


def test_without_words_the_error_says_where_lists_belong(tmp_path: Path, load: Load) -> None:
    with pytest.raises(ModelError, match=r"no words to compare with. Put lists .* into .*lists"):
        make(tmp_path, tmp_path / "lists").caption(load("cat"))


def test_missing_model_folder_is_a_clear_error(tmp_path: Path, load: Load) -> None:
    one = Interrogator([tmp_path / "CLIP"], [LISTS], tmp_path, lend_cpu)
    with pytest.raises(ModelError, match="no CLIP model"):
        one.caption(load("cat"))
    with pytest.raises(NotFound, match="easel-clip"):
        make(tmp_path, interrogate_clip_model="other").caption(load("cat"))


@pytest.mark.parametrize("cut", [0, 7, 100_000])
def test_cut_off_weights_are_a_clear_error(tmp_path: Path, load: Load, cut: int) -> None:
    shutil.copytree(ROOT / "models/CLIP/easel-clip", tmp_path / "CLIP/mine")
    weights = tmp_path / "CLIP/mine" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:cut])
    one = Interrogator([tmp_path / "CLIP"], [LISTS], tmp_path, lend_cpu)
    with pytest.raises(ModelError, match="mine: it cannot be loaded"):
        one.caption(load("cat"))


def test_weights_of_another_shape_are_a_clear_error(tmp_path: Path, load: Load) -> None:
    shutil.copytree(ROOT / "models/CLIP/easel-clip", tmp_path / "CLIP/mine")
    config = tmp_path / "CLIP/mine/open_clip_config.json"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('"embed_dim": 128', '"embed_dim": 64'), encoding="utf-8")
    one = Interrogator([tmp_path / "CLIP"], [LISTS], tmp_path, lend_cpu)
    with pytest.raises(ModelError, match="mine: it cannot be loaded"):
        one.caption(load("cat"))


def test_device_is_asked_for_with_the_models_size_and_given_back(
    tmp_path: Path, load: Load
) -> None:
    asked: list[int] = []

    @contextmanager
    def lend(size_bytes: int) -> Iterator[torch.device]:
        asked.append(size_bytes)
        yield torch.device("cpu")
        asked.append(-1)

    make(tmp_path, lend=lend).caption(load("cat"))
    assert asked == [2 * (ROOT / "models/CLIP/easel-clip" / WEIGHTS).stat().st_size, -1]


def test_script_of_a_job_that_has_the_device_gets_a_caption_while_another_waits(
    tmp_path: Path, load: Load
) -> None:
    device = threading.RLock()
    waits = threading.Event()

    @contextmanager
    def lend(size_bytes: int) -> Iterator[torch.device]:
        waits.set()
        with device:
            yield torch.device("cpu")

    one, texts = make(tmp_path, lend=lend), []
    other = threading.Thread(target=lambda: texts.append(one.caption(load("owl"))))
    with device:
        other.start()
        assert waits.wait(10)
        texts.append(one.caption(load("cat")))
    other.join(60)
    assert [text.split(", ")[0] for text in texts] == ["cat", "owl"]


def test_importing_loads_no_torch() -> None:
    code = "import sys, modules.interrogate; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
