"""Whole files, cut-off files, wrong files, full disks."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modules.core.errors import DownloadFailed, Interrupted, OutOfSpace
from modules.downloads.transfer import Order, Transfer


@pytest.fixture
def order(site: Any, tmp_path: Path) -> Order:
    url = site.add("/a.safetensors", "checkpoint", 3_000_000)
    data = site.files["/a.safetensors"]
    sha256 = hashlib.sha256(data).hexdigest()
    return Order(url, tmp_path / "new" / "a.safetensors.part", len(data), sha256)


def fetch(transfer: Transfer, order: Order) -> str:
    return transfer.fetch(order, lambda done, total: None, lambda: False)


def test_whole_file_comes_with_progress(site: Any, transfer: Transfer, order: Order) -> None:
    seen: list[tuple[int, int | None]] = []
    digest = transfer.fetch(order, lambda *now: seen.append(now), lambda: False)
    assert order.part.read_bytes() == site.files["/a.safetensors"]
    assert digest == order.sha256
    assert seen[0] == (0, order.size) and seen[-1] == (order.size, order.size)
    assert seen == sorted(seen)


def test_lost_connection_is_taken_up_where_it_ended(
    site: Any, transfer: Transfer, order: Order
) -> None:
    site.cut_after = [1_000_000, 500_000]
    fetch(transfer, order)
    assert order.part.read_bytes() == site.files["/a.safetensors"]
    assert site.ranges() == [None, "bytes=1000000-", "bytes=1500000-"]


def test_later_try_goes_on_with_what_is_there(site: Any, transfer: Transfer, order: Order) -> None:
    site.cut_after = [1_000_000]
    with pytest.raises(DownloadFailed, match="ended after 1000000 of"):
        fetch(replace(transfer, attempts=0), order)
    fetch(transfer, order)
    assert order.part.read_bytes() == site.files["/a.safetensors"]
    assert site.ranges()[1:] == ["bytes=1000000-"]


def test_server_without_ranges_begins_anew(site: Any, transfer: Transfer, order: Order) -> None:
    site.cut_after, site.knows_ranges = [1_000_000], False
    fetch(transfer, order)
    assert order.part.read_bytes() == site.files["/a.safetensors"]


def test_file_that_changed_on_the_server_begins_anew(
    site: Any, transfer: Transfer, order: Order
) -> None:
    site.cut_after = [1_000_000]
    with pytest.raises(DownloadFailed):
        fetch(replace(transfer, attempts=0), order)
    site.etag = '"two"'
    changed = bytes(reversed(site.files["/a.safetensors"]))
    site.files["/a.safetensors"] = changed
    fetch(transfer, replace(order, sha256=None))  # another order: nothing of the first is used
    assert order.part.read_bytes() == changed


def test_stopped_download_is_kept_and_goes_on(site: Any, transfer: Transfer, order: Order) -> None:
    seen: list[int] = []
    with pytest.raises(Interrupted):
        transfer.fetch(order, lambda done, _: seen.append(done), lambda: len(seen) > 1)
    kept = order.part.stat().st_size
    assert 0 < kept < (order.size or 0)
    fetch(transfer, order)
    assert site.ranges() == [None, f"bytes={kept}-"]


def test_wrong_checksum_throws_the_file_away(transfer: Transfer, order: Order) -> None:
    with pytest.raises(DownloadFailed, match="checksum is wrong"):
        fetch(transfer, replace(order, sha256="0" * 64))
    assert list(order.part.parent.iterdir()) == []


def test_damage_of_the_kept_part_is_found(transfer: Transfer, order: Order, site: Any) -> None:
    site.cut_after = [1_000_000]
    with pytest.raises(DownloadFailed):
        fetch(replace(transfer, attempts=0), order)
    with order.part.open("r+b") as part:
        part.write(b"damage")
    with pytest.raises(DownloadFailed, match="checksum is wrong"):
        fetch(transfer, order)
    assert list(order.part.parent.iterdir()) == []


def test_file_of_another_size_is_not_begun(site: Any, transfer: Transfer, order: Order) -> None:
    with pytest.raises(DownloadFailed, match="should have 17 bytes"):
        fetch(transfer, replace(order, size=17))
    assert not order.part.exists()


def test_file_that_is_too_large_is_not_begun(transfer: Transfer, order: Order) -> None:
    with pytest.raises(DownloadFailed, match="1000 are allowed"):
        fetch(replace(transfer, most_bytes=1000), order)
    assert not order.part.exists()


def test_disk_without_room_is_told_before_anything_is_written(
    transfer: Transfer, order: Order
) -> None:
    full = replace(transfer, free_bytes=lambda folder: 1_000_000, spare_bytes=0)
    with pytest.raises(OutOfSpace, match=r"is full: a\.safetensors does not fit"):
        fetch(full, order)
    assert list(order.part.parent.iterdir()) == []


def test_disk_that_fills_up_on_the_way_leaves_nothing(transfer: Transfer, order: Order) -> None:
    order.part.parent.mkdir()
    order.part.symlink_to("/dev/full")  # every write to it fails as on a full disk
    with pytest.raises(OutOfSpace, match="is full"):
        fetch(transfer, order)
    assert list(order.part.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "words"), [(403, "HF_TOKEN"), (404, "no such file"), (500, "HTTP 500")]
)
def test_refusal_is_passed_on_in_words(
    site: Any, transfer: Transfer, order: Order, status: int, words: str
) -> None:
    site.statuses = [status]
    with pytest.raises(DownloadFailed, match=words):
        fetch(transfer, order)
    assert len(site.asked) == 1


def test_server_that_stumbles_is_asked_again(site: Any, transfer: Transfer, order: Order) -> None:
    site.cut_after = [1_000_000]
    attempts: list[float] = []

    def stumble(seconds: float) -> None:
        attempts.append(seconds)
        site.statuses = [503] if len(attempts) < 3 else []

    fetch(replace(transfer, wait=stumble), order)
    assert len(attempts) == 3
    assert order.part.read_bytes() == site.files["/a.safetensors"]


def test_file_without_a_stated_length_comes_too(
    site: Any, transfer: Transfer, order: Order
) -> None:
    site.headers["/a.safetensors"] = {"Content-Length": ""}
    fetch(transfer, order)
    assert order.part.read_bytes() == site.files["/a.safetensors"]
