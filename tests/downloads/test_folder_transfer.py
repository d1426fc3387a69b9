"""Folders that come whole, in several tries, wrong, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modules.core.errors import DownloadFailed, Interrupted, ModelError, OutOfSpace
from modules.downloads.folder_transfer import FolderTransfer
from modules.downloads.lookup import look
from modules.downloads.source import Folder
from modules.downloads.transfer import Transfer
from tests.downloads.hub_site import (
    CONFIGURATION,
    FULL,
    PICKLED,
    PIPELINE,
    WEIGHTS,
    HubSite,
    pickled_files,
    pipeline_files,
)
from tests.downloads.web_site import Site

VAE, TEXT, UNET = WEIGHTS
Begin = Callable[..., FolderTransfer]


@pytest.fixture
def begin(hub_site: HubSite, transfer: Transfer, tmp_path: Path) -> Begin:
    """A transfer of the pipeline's folder; files and limits can be changed."""

    def make(files: dict[str, bytes] | None = None, **limits: Any) -> FolderTransfer:
        hub_site.put(PIPELINE, pipeline_files() | (files or {}))
        source = look(PIPELINE, hub=hub_site.hub)
        folder = source.file(None)
        assert isinstance(folder, Folder)
        return FolderTransfer(replace(transfer, **limits), source, folder, tmp_path / "x.part")

    return make


def fetch(begun: FolderTransfer) -> list[tuple[int, int | None]]:
    """Fetch all; the progress that was reported."""
    seen: list[tuple[int, int | None]] = []
    begun.fetch(lambda *now: seen.append(now), lambda: False)
    return seen


def there(begun: FolderTransfer) -> dict[str, bytes]:
    files = [path for path in begun.staging.rglob("*") if path.is_file()]
    return {str(path.relative_to(begun.staging)): path.read_bytes() for path in files}


def sent(**changed: bytes) -> dict[str, bytes]:
    return {name: data for name, data in pipeline_files().items() if name in FULL} | changed


def fetched(site: Site) -> list[str]:
    """The files that were asked for, in order."""
    prefix = f"/{PIPELINE}/resolve/"
    asked = [path.removeprefix(prefix) for path, _ in site.asked if path.startswith(prefix)]
    return [path.partition("/")[2] for path in asked]


def test_all_files_come_with_one_progress(begin: Begin, site: Site) -> None:
    begun = begin()
    seen = fetch(begun)
    assert there(begun) == sent()
    assert set(fetched(site)) == FULL and fetched(site)[-3:] == [VAE, TEXT, UNET]
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {begun.folder.size}
    assert seen[-1] == (begun.folder.size, begun.folder.size)


def begin_pickled(
    hub_site: HubSite, transfer: Transfer, staging: Path, files: dict[str, bytes]
) -> FolderTransfer:
    hub_site.put(PIPELINE, files)
    source = look(PIPELINE, pickles=True, hub=hub_site.hub)
    folder = source.file(None)
    assert isinstance(folder, Folder)
    return FolderTransfer(transfer, source, folder, staging)


def test_pickles_come_as_they_are(hub_site: HubSite, transfer: Transfer, tmp_path: Path) -> None:
    files = pickled_files()
    begun = begin_pickled(hub_site, transfer, tmp_path / "x.part", files)
    fetch(begun)
    assert there(begun) == {name: files[name] for name in (*CONFIGURATION, *PICKLED)}


def sharded(named: str) -> dict[str, bytes]:
    """A repository whose unet is two pickles, and an index that names one file."""
    files, stem = pickled_files(), PICKLED[2].removesuffix(".bin")
    del files[PICKLED[2]]
    files |= {f"{stem}-0000{i}-of-00002.bin": b"PK\x03\x04" for i in (1, 2)}
    index = json.dumps({"weight_map": {"w": f"diffusion_pytorch_model-{named}.bin"}})
    return files | {f"{stem}.bin.index.json": index.encode()}


def test_pickled_shards_come_with_their_index(
    hub_site: HubSite, transfer: Transfer, tmp_path: Path
) -> None:
    files = sharded("00002-of-00002")
    begun = begin_pickled(hub_site, transfer, tmp_path / "x.part", files)
    fetch(begun)
    weights = {name for name in files if name.startswith("unet/diff")}
    assert len(weights) == 3
    expected = {*CONFIGURATION, *PICKLED[:2], *weights}
    assert there(begun) == {name: files[name] for name in expected}


def test_index_of_pickles_that_names_another_file_is_thrown_away(
    hub_site: HubSite, transfer: Transfer, tmp_path: Path
) -> None:
    begun = begin_pickled(hub_site, transfer, tmp_path / "x.part", sharded("00003-of-00003"))
    with pytest.raises(ModelError, match=r"names .*-00003-of-00003\.bin, which is not there"):
        fetch(begun)
    assert not begun.staging.exists()


def test_lost_connection_is_taken_up_within_the_file(
    begin: Begin, hub_site: HubSite, site: Site
) -> None:
    begun = begin()
    site.cut_at[hub_site.url(PIPELINE, UNET)] = 60_000
    fetch(begun)
    assert there(begun) == sent()
    ranges = [headers.get("Range") for path, headers in site.asked if path.endswith(UNET)]
    assert ranges == [None, "bytes=60000-"]


def test_later_try_fetches_only_what_is_missing(
    begin: Begin, hub_site: HubSite, site: Site
) -> None:
    site.cut_at[hub_site.url(PIPELINE, UNET)] = 60_000
    with pytest.raises(DownloadFailed, match="ended after 60000"):
        fetch(begin(attempts=0))
    first = len(site.asked)
    begun = begin()
    seen = fetch(begun)
    assert there(begun) == sent()
    again = [(path, headers.get("Range")) for path, headers in site.asked[first + 1 :]]
    assert again == [(hub_site.url(PIPELINE, UNET), "bytes=60000-")]
    small = sum(len(data) for name, data in sent().items() if name != UNET)
    assert seen == sorted(seen)
    assert (small, begun.folder.size) in seen and (small + 60_000, begun.folder.size) in seen


def test_whole_file_that_was_damaged_since_comes_again(begin: Begin, site: Site) -> None:
    begun = begin()
    fetch(begun)
    path = begun.staging / VAE
    path.write_bytes(b"damage" + path.read_bytes()[6:])
    (begun.staging / "model_index.json").write_bytes(b'{"_class_name": "StableDiffusionPipelinE"}')
    before = len(site.asked)
    fetch(begun)
    assert {path.rpartition("/")[2] for path, _ in site.asked[before:]} == {
        "diffusion_pytorch_model.safetensors",
        "model_index.json",
    }
    assert there(begun) == sent()


def test_other_revision_takes_what_is_the_same_and_leaves_nothing_over(
    begin: Begin, hub_site: HubSite, site: Site
) -> None:
    begun = begin()
    fetch(begun)
    changed = {"vae/config.json": b'{"scaling_factor": 0.2}'}
    files = {
        name: data for name, data in pipeline_files().items() if name != "tokenizer/merges.txt"
    }
    hub_site.put(PIPELINE, files | changed, commit="c" * 40)
    source = look(PIPELINE, hub=hub_site.hub)
    folder = source.file(None)
    assert isinstance(folder, Folder)
    before = len(fetched(site))
    newer = replace(begun, source=source, folder=folder)
    fetch(newer)
    assert fetched(site)[before:] == ["vae/config.json"]
    expected = sent(**changed)
    del expected["tokenizer/merges.txt"]
    assert there(newer) == expected


@pytest.mark.parametrize("name", [VAE, "tokenizer/vocab.json"])
def test_wrong_checksum_throws_the_file_away_and_keeps_the_others(
    begin: Begin, hub_site: HubSite, site: Site, name: str
) -> None:
    begun = begin()
    place = hub_site.url(PIPELINE, name)
    right = site.files[place]
    site.files[place] = bytes(len(right))
    with pytest.raises(DownloadFailed, match="checksum is wrong"):
        fetch(begun)
    assert not [path for path in there(begun) if path.startswith(name)]
    assert "vae/config.json" in there(begun)
    site.files[place] = right
    fetch(begun)
    assert there(begun) == sent()


def test_file_of_another_size_is_refused(begin: Begin, hub_site: HubSite, site: Site) -> None:
    begun = begin()
    site.files[hub_site.url(PIPELINE, VAE)] += b"more"
    with pytest.raises(DownloadFailed, match="should have"):
        fetch(begun)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({UNET: b"<!doctype html>"}, "not a whole safetensors file"),
        ({UNET: pipeline_files()[UNET][:-1]}, "truncated"),
        ({"model_index.json": b"<html>"}, "model_index.json: cannot be read"),
    ],
)
def test_what_is_no_model_is_thrown_away(begin: Begin, files: dict[str, bytes], words: str) -> None:
    begun = begin(files)
    with pytest.raises(ModelError, match=words):
        fetch(begun)
    assert not begun.staging.exists()


def test_disk_without_room_for_all_is_told_before_anything_is_fetched(
    begin: Begin, site: Site
) -> None:
    begun = begin(free_bytes=lambda folder: 250_000, spare_bytes=0)
    with pytest.raises(OutOfSpace, match=r"is full: pipeline does not fit. 0\.0 GB more"):
        fetch(begun)
    assert fetched(site) == []


def test_room_is_needed_only_for_what_is_missing(
    begin: Begin, hub_site: HubSite, site: Site
) -> None:
    site.cut_at[hub_site.url(PIPELINE, UNET)] = 100_000
    with pytest.raises(DownloadFailed):
        fetch(begin(attempts=0))
    begun = begin(free_bytes=lambda folder: 51_000, spare_bytes=0)
    fetch(begun)
    assert there(begun) == sent()


def test_disk_that_fills_up_on_the_way_keeps_the_whole_files(begin: Begin) -> None:
    begun = begin()
    part = begun.staging / f"{UNET}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")  # every write to it fails as on a full disk
    with pytest.raises(OutOfSpace, match="is full"):
        fetch(begun)
    assert set(there(begun)) == FULL - {UNET}
    fetch(begun)
    assert there(begun) == sent()


def test_stop_between_two_files_keeps_what_came(begin: Begin) -> None:
    begun = begin()
    with pytest.raises(Interrupted):
        begun.fetch(lambda *_: None, lambda: (begun.staging / TEXT).exists())
    assert set(there(begun)) == FULL - {UNET}


def test_file_that_needs_a_token_says_so(begin: Begin, hub_site: HubSite, site: Site) -> None:
    begun = begin()
    site.statuses = [403]
    with pytest.raises(DownloadFailed, match="HF_TOKEN"):
        fetch(begun)
