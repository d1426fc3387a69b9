"""What names, hub ids and addresses stand for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from modules.core.errors import BadInput, DownloadFailed, NotFound
from modules.downloads.connection import Policy
from modules.downloads.kinds import Kind
from modules.downloads.known import KNOWN
from modules.downloads.source import look, safe_name

LOCAL = Policy(private_addresses=True, plain_http=True, timeout_s=5)
SHA = "a" * 40


@pytest.fixture
def hub(site: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The test's server is the hub; a call puts a repository there."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", site.url)
    template = site.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    def put(repository: str, *files: str, **card: Any) -> None:
        siblings = [
            {
                "rfilename": name,
                "size": 10,
                "lfs": {"size": 10, "sha256": "b" * 64, "pointerSize": 1},
            }
            for name in files
        ]
        info = {"id": repository, "sha": SHA, "siblings": siblings, "cardData": card, "tags": []}
        site.files[f"/api/models/{repository}"] = json.dumps(info).encode()
        site.headers[f"/api/models/{repository}?blobs=true"] = {"Content-Type": "application/json"}

    return put


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: row.name)
def test_every_known_model_is_complete(row: Any) -> None:
    source = look(row.name)
    file = source.file(None)
    assert file.url == f"https://huggingface.co/{row.repository}/resolve/main/{row.file}"
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256 or "")
    assert (file.size or 0) > 1_000_000 and row.licence and row.words.endswith(".")
    assert safe_name(file.saved_as) == file.saved_as
    assert source.kind is row.kind
    assert look(source.page + "/blob/main/" + row.file).file(None) == file


def test_names_of_known_models_differ() -> None:
    assert len({row.name for row in KNOWN}) == len(KNOWN)


def test_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(NotFound, match="did you mean 'sdxl-turbo'"):
        look("sdxl-turbi")


def test_repository_with_one_file(hub: Callable[..., None], site: Any) -> None:
    hub("me/mine", "mine.safetensors", "README.md", "unet/x.safetensors", license="mit")
    source = look("me/mine")
    file = source.file(None)
    assert (source.licence, source.kind, source.page) == ("mit", None, f"{site.url}/me/mine")
    assert file.url == f"{site.url}/me/mine/resolve/{SHA}/mine.safetensors"
    assert (file.size, file.sha256) == (10, "b" * 64)
    assert source.headers == {"Authorization": "Bearer hf_secret"}
    assert "hf_secret" not in repr(source)


def test_repository_with_several_files_wants_a_choice(hub: Callable[..., None]) -> None:
    hub("me/mine", "a.safetensors", "b.safetensors", license="other", license_name="my own")
    source = look("https://huggingface.co/me/mine/tree/main")
    assert [file.name for file in source.files] == ["a.safetensors", "b.safetensors"]
    assert source.licence == "my own"
    with pytest.raises(NotFound, match=r"known: a\.safetensors, b\.safetensors"):
        source.file(None)
    assert look("me/mine/b.safetensors").file(None).saved_as == "b.safetensors"


def test_vague_file_name_gets_the_name_of_its_repository(hub: Callable[..., None]) -> None:
    hub("me/ink", "pytorch_lora_weights.safetensors", "vae/diffusion_pytorch_model.safetensors")
    assert look("me/ink").file(None).saved_as == "ink.safetensors"
    inner = look("me/ink/vae/diffusion_pytorch_model.safetensors")
    assert inner.file(None).saved_as == "ink-vae.safetensors"


def test_pickles_are_offered_only_where_allowed(hub: Callable[..., None]) -> None:
    hub("me/old", "old.ckpt")
    with pytest.raises(NotFound, match="model file in me/old"):
        look("me/old")
    assert look("me/old", pickles=True).file(None).saved_as == "old.ckpt"


def test_repository_that_is_not_there(hub: Callable[..., None]) -> None:
    with pytest.raises(NotFound, match="me/none"):
        look("me/none")


def test_hub_that_is_kept_offline_says_why() -> None:
    with pytest.raises(DownloadFailed, match="HF_HUB_OFFLINE is set"):
        look("me/mine")


def test_hub_that_cannot_be_reached_says_so(
    hub: Callable[..., None], site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadFailed, match="is this machine offline"):
        look("me/mine")


def test_address_tells_name_and_size(site: Any) -> None:
    url = site.add("/api/download/models/17", "lora", 1000)
    site.headers["/api/download/models/17"] = {
        "Content-Disposition": 'attachment; filename="../Ink 2.safetensors"'
    }
    source = look(url, policy=LOCAL)
    file = source.file(None)
    assert (file.saved_as, file.size) == (
        "Ink 2.safetensors",
        len(site.files["/api/download/models/17"]),
    )
    assert "not stated" in source.licence
    assert site.ranges() == ["bytes=0-0"]


def test_address_of_a_pickle_is_refused_with_the_reason(site: Any) -> None:
    site.files["/a.ckpt"] = b"x"
    with pytest.raises(BadInput, match="may run code"):
        look(f"{site.url}/a.ckpt", policy=LOCAL)
    assert look(f"{site.url}/a.ckpt", policy=LOCAL, pickles=True).file(None).saved_as == "a.ckpt"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a.safetensors", "a.safetensors"),
        ("/x/%2e%2e/é%20b.SafeTensors", "é b.safetensors"),
        ("..\\..\\c.safetensors", "c.safetensors"),
        ("CON.safetensors", "_CON.safetensors"),
        ("a\x00\n\u202eb.safetensors", "ab.safetensors"),
        ("x" * 300 + ".safetensors", "x" * 180 + ".safetensors"),
        ("...hidden.safetensors", "hidden.safetensors"),
    ],
)
def test_file_name_is_made_safe(given: str, name: str) -> None:
    assert safe_name(given) == name


@pytest.mark.parametrize("given", ["", "/", ".safetensors", "a", "a.exe", "a.safetensors.html"])
def test_name_that_is_no_models_is_refused(given: str) -> None:
    with pytest.raises(BadInput):
        safe_name(given)


def test_kinds_are_those_of_the_command_line() -> None:
    assert Kind("vae-approx") is Kind.APPROXIMATION
