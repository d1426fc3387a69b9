"""Downloads as the page and the command line see them: found, fetched, checked, put in place."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modules.core.errors import BadInput, DownloadFailed, ModelError, NotFound
from modules.core.paths import Paths
from modules.downloads.connection import Policy
from modules.downloads.kinds import Kind, folder_of
from modules.downloads.manager import Download, Downloads, State, Wish
from modules.downloads.source import look
from modules.downloads.transfer import Transfer

LOCAL = Policy(private_addresses=True, plain_http=True, timeout_s=5)


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
    source = look(url, policy=LOCAL, pickles=True)
    return Wish(source, source.file(None), **choices)


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


def test_models_on_another_disk_are_moved_there(
    site: Any, downloads: Downloads, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    rename = Path.replace

    def across(self: Path, target: Path) -> Path:
        if self.parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", across)
    path, _ = downloads.fetch(wish(site.add("/a.safetensors", "lora")), quietly)
    assert path.read_bytes() == site.files["/a.safetensors"]
    assert list((paths.models / ".downloads").iterdir()) == []
