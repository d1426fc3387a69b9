"""Downloads as the page and the command line see them: found, fetched, checked, put in place."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modules.core.errors import BadInput, DownloadFailed, ModelError, NotFound
from modules.core.paths import Paths
from modules.downloads.hub import Hub
from modules.downloads.kinds import Kind, folder_of
from modules.downloads.lookup import look
from modules.downloads.manager import Download, Downloads, State, Wish
from modules.downloads.transfer import Transfer
from modules.model_manager import Catalogue, Hashes
from tests.downloads.hub_site import FULL, PIPELINE, HubSite, pipeline_files
from tests.downloads.web_site import LOCAL, Site


@pytest.fixture
def came() -> list[tuple[Path, Kind]]:
    return []


@pytest.fixture
def downloads(
    paths: Paths, transfer: Transfer, came: list[tuple[Path, Kind]]
) -> Iterator[Downloads]:
    made = Downloads(paths, transfer, lambda path, kind: came.append((path, kind)))
    yield made
    made.close(10)


def wish(url: str, **choices: Any) -> Wish:
    source = look(url, policy=LOCAL, pickles=True, hub=Hub())
    return Wish(source, source.file(None), **choices)


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def finished(downloads: Downloads, id: int) -> Download:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = next(one for one in downloads.all() if one.id == id)
        if found.is_over:
            return found
        time.sleep(0.01)
    raise AssertionError("the download does not end")


def quietly(done: int, total: int | None) -> None:
    """No progress is shown."""


@pytest.mark.parametrize("kind", ["checkpoint", "lora", "vae", "embedding", "upscaler"])
def test_content_decides_the_folder(
    site: Any, downloads: Downloads, paths: Paths, came: list[Any], kind: str
) -> None:
    begun = downloads.start(wish(site.add("/a.safetensors", kind)))
    done = finished(downloads, begun.id)
    path = folder_of(Kind(kind), paths) / "a.safetensors"
    assert (done.state, done.path, done.message) == (State.DONE, path, str(path))
    assert path.read_bytes() == site.files["/a.safetensors"]
    assert came == [(path, Kind(kind))]
    assert list((paths.models / ".downloads").iterdir()) == []


def test_chosen_kind_wins(site: Any, downloads: Downloads, paths: Paths) -> None:
    path, kind = downloads.fetch(wish(site.add("/a.safetensors", "lora"), kind=Kind.VAE), quietly)
    assert (path.parent, kind) == (paths.vaes[0], Kind.VAE)


def test_unknown_content_is_kept_until_a_kind_is_chosen(site: Any, downloads: Downloads) -> None:
    asked = wish(site.add("/a.safetensors", "unknown"))
    with pytest.raises(BadInput, match="choose its kind"):
        downloads.fetch(asked, quietly)
    before = len(site.asked)
    path, _ = downloads.fetch(replace(asked, kind=Kind.LORA), quietly)
    assert path.is_file() and len(site.asked) == before


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html><html>log in</html>", "web page"),
        (b"PK\x03\x04" + bytes(100), "pickle or an archive"),
        (b"\x80\x02}q\x00.", "pickle or an archive"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"", "0 bytes"),
        (b"\xff" * 200, "not a whole safetensors file"),
    ],
)
def test_what_is_no_model_never_reaches_the_folder(
    site: Any, downloads: Downloads, paths: Paths, data: bytes, words: str
) -> None:
    site.files["/a.safetensors"] = data
    with pytest.raises(ModelError, match=words) as caught:
        downloads.fetch(wish(f"{site.url}/a.safetensors", kind=Kind.CHECKPOINT), quietly)
    assert str(caught.value).startswith("a.safetensors: ")
    assert [path for path in paths.models.rglob("*") if path.is_file()] == []


def test_truncated_model_never_reaches_the_folder(
    site: Any, downloads: Downloads, paths: Paths
) -> None:
    url = site.add("/a.safetensors", "checkpoint")
    site.files["/a.safetensors"] = site.files["/a.safetensors"][:-1]
    with pytest.raises(ModelError, match="truncated"):
        downloads.fetch(wish(url), quietly)
    assert [path for path in paths.models.rglob("*") if path.is_file()] == []


def test_checksum_that_was_given_counts(site: Any, downloads: Downloads) -> None:
    url = site.add("/a.safetensors", "lora")
    with pytest.raises(DownloadFailed, match="checksum"):
        downloads.fetch(wish(url, sha256="1" * 64), quietly)
    right = hashlib.sha256(site.files["/a.safetensors"]).hexdigest().upper()
    assert downloads.fetch(wish(url, sha256=right), quietly)[0].is_file()


def test_file_that_is_here_is_not_overwritten(
    site: Any, downloads: Downloads, paths: Paths
) -> None:
    paths.loras[0].mkdir(parents=True)
    (paths.loras[0] / "a.safetensors").write_bytes(b"mine")
    with pytest.raises(BadInput, match="here already"):
        downloads.start(wish(site.add("/a.safetensors", "lora")))
    assert (paths.loras[0] / "a.safetensors").read_bytes() == b"mine"


def test_failed_download_is_listed_and_taken_up_again(site: Any, downloads: Downloads) -> None:
    url = site.add("/a.safetensors", "lora")
    asked = wish(url)
    site.statuses = [500]
    failed = finished(downloads, downloads.start(asked).id)
    assert failed.state is State.FAILED and "HTTP 500" in failed.message
    again = downloads.resume(failed.id)
    assert finished(downloads, again.id).state is State.DONE
    assert [one.id for one in downloads.all()] == [again.id]


def test_running_download_is_stopped_and_the_waiting_one_goes_on(
    site: Any, paths: Paths, transfer: Transfer
) -> None:
    go = threading.Event()
    slow = replace(transfer, free_bytes=lambda folder: go.wait(20) and 10**12)
    downloads = Downloads(paths, slow)
    first = downloads.start(wish(site.add("/a.safetensors", "lora")))
    second = downloads.start(wish(site.add("/b.safetensors", "lora")))
    third = downloads.start(wish(site.add("/c.safetensors", "lora")))
    downloads.stop(first.id)
    downloads.stop(second.id)
    go.set()
    assert finished(downloads, third.id).state is State.DONE
    assert [one.state for one in downloads.all()] == [State.STOPPED, State.STOPPED, State.DONE]
    downloads.forget(first.id)
    with pytest.raises(NotFound):
        downloads.stop(first.id)
    downloads.close(10)
    assert not (paths.models / ".downloads" / "a.safetensors.part").exists()


def test_forgetting_a_download_keeps_what_another_goes_on_with(
    site: Any, downloads: Downloads, paths: Paths
) -> None:
    part = paths.models / ".downloads" / "a.safetensors.part"
    old, new = (wish(site.add(f"/{one}/a.safetensors", "lora")) for one in ("old", "new"))
    site.statuses = [404]
    failed = finished(downloads, downloads.start(old).id)
    site.hold_after["/new/a.safetensors"] = 60_000
    begun = downloads.start(new)
    assert site.is_held.wait(20)
    eventually(part.is_file)
    downloads.forget(failed.id)
    assert part.is_file()
    site.go_on.set()
    assert finished(downloads, begun.id).state is State.DONE


def test_a_file_that_is_started_again_is_listed_once(site: Any, downloads: Downloads) -> None:
    asked = wish(site.add("/a.safetensors", "lora"))
    site.statuses = [404]
    failed = finished(downloads, downloads.start(asked).id)
    again = downloads.start(asked)
    assert failed.id != again.id and finished(downloads, again.id).state is State.DONE
    assert [one.id for one in downloads.all()] == [again.id]


def test_a_download_that_cannot_be_taken_up_stays_listed(
    site: Any, downloads: Downloads, paths: Paths
) -> None:
    asked = wish(site.add("/a.safetensors", "lora"))
    site.statuses = [404]
    failed = finished(downloads, downloads.start(asked).id)
    paths.loras[0].mkdir(parents=True)
    (paths.loras[0] / "a.safetensors").write_bytes(b"mine")
    with pytest.raises(BadInput, match="here already"):
        downloads.resume(failed.id)
    assert [one.id for one in downloads.all()] == [failed.id]


def test_same_file_is_not_fetched_twice_at_once(
    site: Any, paths: Paths, transfer: Transfer
) -> None:
    go = threading.Event()
    downloads = Downloads(paths, replace(transfer, free_bytes=lambda _: go.wait(20) and 10**12))
    asked = wish(site.add("/a.safetensors", "lora"))
    downloads.start(asked)
    with pytest.raises(BadInput, match="already"):
        downloads.start(asked)
    go.set()
    downloads.close(10)


def pipeline(hub_site: HubSite, **choices: Any) -> Wish:
    hub_site.put(PIPELINE, pipeline_files())
    source = look(PIPELINE, hub=hub_site.hub)
    return Wish(source, source.file(None), **choices)


def listed(paths: Paths) -> list[str]:
    """The checkpoints that would be offered."""
    catalogue = Catalogue(paths.checkpoints, Hashes(paths.cache / "hashes.json"))
    return [one.title for one in catalogue.checkpoints()]


def test_folder_comes_as_a_checkpoint(
    hub_site: HubSite, downloads: Downloads, paths: Paths, came: list[Any]
) -> None:
    begun = downloads.start(pipeline(hub_site))
    done = finished(downloads, begun.id)
    path = paths.checkpoints[0] / "pipeline"
    assert (done.state, done.path, done.message) == (State.DONE, path, str(path))
    assert (done.done, done.total) == (begun.total, begun.total)
    sent = {name: data for name, data in pipeline_files().items() if name in FULL}
    found = [file for file in path.rglob("*") if file.is_file()]
    assert {str(file.relative_to(path)): file.read_bytes() for file in found} == sent
    assert listed(paths) == ["pipeline"]
    assert came == [(path, Kind.CHECKPOINT)]
    assert list((paths.models / ".downloads").iterdir()) == []


def test_folder_on_its_way_is_no_model_and_is_thrown_away_when_forgotten(
    hub_site: HubSite, downloads: Downloads, paths: Paths, site: Site
) -> None:
    weights = hub_site.url(PIPELINE, "unet/diffusion_pytorch_model.safetensors")
    site.hold_after[weights] = 60_000
    begun = downloads.start(pipeline(hub_site))
    assert site.is_held.wait(20)
    assert listed(paths) == []
    downloads.stop(begun.id)
    site.go_on.set()
    assert finished(downloads, begun.id).state is State.STOPPED
    assert any((paths.models / ".downloads").rglob("*.safetensors"))
    everywhere = Catalogue([paths.models], Hashes(paths.cache / "hashes.json"))
    assert everywhere.checkpoints() == ()
    downloads.forget(begun.id)
    assert list((paths.models / ".downloads").iterdir()) == []


def test_stopped_folder_goes_on_with_what_is_missing(
    hub_site: HubSite, downloads: Downloads, paths: Paths, site: Site
) -> None:
    weights = hub_site.url(PIPELINE, "unet/diffusion_pytorch_model.safetensors")
    site.hold_after[weights] = 60_000
    begun = downloads.start(pipeline(hub_site))
    assert site.is_held.wait(20)
    downloads.stop(begun.id)
    site.go_on.set()
    finished(downloads, begun.id)
    before = len(site.asked)
    assert finished(downloads, downloads.resume(begun.id).id).state is State.DONE
    asked = [path for path, _ in site.asked[before:]]
    assert asked in ([weights], [])  # nothing where all of it had come when it was stopped
    assert listed(paths) == ["pipeline"]


@pytest.mark.parametrize(
    ("choices", "words"),
    [({"kind": Kind.LORA}, "is a checkpoint"), ({"sha256": "0" * 64}, "file by file")],
)
def test_choices_that_do_not_fit_a_folder_are_refused(
    hub_site: HubSite, downloads: Downloads, choices: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        downloads.start(pipeline(hub_site, **choices))
    with pytest.raises(BadInput, match=words):
        downloads.fetch(pipeline(hub_site, **choices), quietly)


def test_folder_that_is_here_is_not_overwritten(
    hub_site: HubSite, downloads: Downloads, paths: Paths
) -> None:
    (paths.checkpoints[0] / "pipeline").mkdir(parents=True)
    with pytest.raises(BadInput, match="pipeline is here already"):
        downloads.start(pipeline(hub_site))
