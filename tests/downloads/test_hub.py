"""What the hub answers, and what it refuses to whom."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from modules.core.errors import BadInput, DownloadFailed, NotFound
from modules.downloads.connection import PUBLIC, Policy
from modules.downloads.hub import Hub
from tests.downloads.hub_site import TOKEN, HubSite
from tests.downloads.web_site import LOCAL, Site

ROOT = Path(__file__).parents[2]
API = "/api/models/me/mine?blobs=true"


def test_repository_that_is_not_there(hub_site: HubSite) -> None:
    with pytest.raises(NotFound, match="me/none"):
        hub_site.hub.describe("me/none", None, LOCAL)


def test_unknown_revision_is_named(hub_site: HubSite, site: Site) -> None:
    site.statuses = [(404, {"X-Error-Code": "RevisionNotFound"})]
    with pytest.raises(BadInput, match="revision: 'v9' .* no such branch, tag or commit"):
        hub_site.hub.describe("me/mine", "v9", LOCAL)


def test_gated_repository_asks_for_a_token_before_anything_is_fetched(hub_site: HubSite) -> None:
    hub_site.put("me/mine", {"a.safetensors": b"x"}, gated="manual")
    stranger = replace(hub_site.hub, token=None)
    with pytest.raises(DownloadFailed, match=r"needs a token: accept its licence at .*HF_TOKEN"):
        stranger.describe("me/mine", None, LOCAL)
    assert hub_site.hub.describe("me/mine", None, LOCAL).id == "me/mine"


@pytest.mark.parametrize(
    ("status", "headers", "token", "words"),
    [
        (401, {}, None, "if there is one, it needs a token: set HF_TOKEN"),
        (401, {}, TOKEN, "refuses the token in HF_TOKEN for me/mine .HTTP 401"),
        (403, {"X-Error-Code": "GatedRepo"}, TOKEN, "accept its licence at http"),
        (429, {}, None, "HTTP 429"),
        (500, {}, None, "HTTP 500"),
    ],
)
def test_refusal_says_what_helps(
    hub_site: HubSite,
    site: Site,
    status: int,
    headers: dict[str, str],
    token: str | None,
    words: str,
) -> None:
    site.statuses = [(status, headers)]
    with pytest.raises(DownloadFailed, match=words):
        replace(hub_site.hub, token=token).describe("me/mine", None, LOCAL)


def test_token_goes_to_the_hub_alone(hub_site: HubSite, site: Site) -> None:
    hub_site.put("me/mine", {})
    site.redirects[API] = site.url.replace("127.0.0.1", "localhost") + "/api/models/me/mine"
    hub_site.hub.describe("me/mine", None, LOCAL)
    sent = [headers.get("Authorization") for _, headers in site.asked]
    assert sent == [f"Bearer {TOKEN}", None]
    assert TOKEN not in repr(hub_site.hub)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"siblings": 3}'])
def test_answer_that_is_no_description_is_refused(
    hub_site: HubSite, site: Site, body: bytes
) -> None:
    site.files["/api/models/me/mine"] = body
    with pytest.raises(DownloadFailed, match="no description of a repository"):
        hub_site.hub.describe("me/mine", None, LOCAL)


def test_hub_that_is_kept_offline_says_why(hub_site: HubSite, site: Site) -> None:
    with pytest.raises(DownloadFailed, match="HF_HUB_OFFLINE is set"):
        replace(hub_site.hub, is_offline=True).describe("me/mine", None, LOCAL)
    assert site.asked == []


def test_hub_that_cannot_be_reached_says_so() -> None:
    with pytest.raises(DownloadFailed, match=r"127.0.0.1: the connection failed"):
        Hub("http://127.0.0.1:9").describe("me/mine", None, LOCAL)


def test_users_own_hub_may_be_anywhere_and_the_official_one_not() -> None:
    assert Hub().own_server == "" and PUBLIC.at(Hub().endpoint) == PUBLIC
    mirror = Hub("http://models.lan:80/hub")
    policy = Policy(own_server=mirror.own_server)
    assert policy.at(mirror.url("a/b", "c")).plain_http
    assert policy.at("http://models.lan:8080/hub") == policy


def test_environment_says_which_hub_is_asked_and_as_whom(tmp_path: Path) -> None:
    environment = os.environ | {
        "HF_ENDPOINT": "http://models.lan/",
        "HF_TOKEN": "hf_mine",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path),
    }
    code = (
        "from modules.downloads.hub import users_hub; hub = users_hub()\n"
        "print(hub.endpoint, hub.token, hub.is_offline)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["http://models.lan", "hf_mine", "False"], done.stderr
