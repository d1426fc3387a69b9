"""What names, hub ids and addresses stand for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from modules.core.errors import BadInput, NotFound
from modules.downloads.connection import Policy
from modules.downloads.hub import Hub
from modules.downloads.known import KNOWN
from modules.downloads.lookup import look
from modules.downloads.source import Folder, Source, safe_name
from tests.downloads.hub_site import (
    COMMIT,
    CONFIGURATION,
    FULL,
    PICKLED,
    PIPELINE,
    HubSite,
    pickled_files,
    pipeline_files,
)
from tests.downloads.web_site import LOCAL, Site

OFFICIAL = Hub()


def find(hub_site: HubSite, text: str, **choices: Any) -> Source:
    """With the strict policy: only the hub itself is reached on this machine."""
    return look(text, hub=hub_site.hub, **choices)


def put(hub_site: HubSite, repository: str, *files: str, **card: Any) -> None:
    hub_site.put(repository, dict.fromkeys(files, b"0123456789"), **card)


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: row.name)
def test_every_known_model_is_complete(row: Any) -> None:
    source = look(row.name, hub=OFFICIAL)
    file = source.file(None)
    assert not isinstance(file, Folder)
    assert file.url == f"https://huggingface.co/{row.repository}/resolve/main/{row.file}"
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256 or "")
    assert (file.size or 0) > 1_000_000 and row.licence and row.words.endswith(".")
    assert safe_name(file.saved_as) == file.saved_as
    assert source.kind is row.kind
    assert look(source.page + "/blob/main/" + row.file, hub=OFFICIAL).file(None) == file


def test_names_of_known_models_differ() -> None:
    assert len({row.name for row in KNOWN}) == len(KNOWN)


def test_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(NotFound, match="did you mean 'sdxl-turbo'"):
        look("sdxl-turbi", hub=OFFICIAL)


def test_repository_with_one_file(hub_site: HubSite, site: Site) -> None:
    put(hub_site, "me/mine", "mine.safetensors", "README.md", "unet/x.safetensors", license="mit")
    source = find(hub_site, "me/mine")
    file = source.file(None)
    assert not isinstance(file, Folder)
    assert (source.licence, source.kind, source.page) == ("mit", None, f"{site.url}/me/mine")
    assert file.url == f"{site.url}/me/mine/resolve/{COMMIT}/mine.safetensors"
    assert file.size == 10 and re.fullmatch(r"[0-9a-f]{64}", file.sha256 or "")
    assert source.headers == {"Authorization": "Bearer hf_secret"}
    assert "hf_secret" not in repr(source)


def test_repository_with_several_files_wants_a_choice(hub_site: HubSite, site: Site) -> None:
    put(hub_site, "me/mine", "a.safetensors", "b.safetensors", license="other", license_name="own")
    source = find(hub_site, f"{site.url}/me/mine")
    assert [file.name for file in source.files] == ["a.safetensors", "b.safetensors"]
    assert (source.licence, source.asked) == ("own", f"{site.url}/me/mine")
    with pytest.raises(NotFound, match=r"known: a\.safetensors, b\.safetensors"):
        source.file(None)
    assert find(hub_site, "me/mine/b.safetensors").file(None).saved_as == "b.safetensors"


def test_vague_file_name_gets_the_name_of_its_repository(hub_site: HubSite) -> None:
    vae = "vae/diffusion_pytorch_model.safetensors"
    put(hub_site, "me/ink", "pytorch_lora_weights.safetensors", vae)
    assert find(hub_site, "me/ink").file(None).saved_as == "ink.safetensors"
    assert find(hub_site, f"me/ink/{vae}").file(None).saved_as == "ink-vae.safetensors"


def test_pickles_are_offered_only_where_allowed(hub_site: HubSite) -> None:
    put(hub_site, "me/old", "old.ckpt")
    with pytest.raises(NotFound, match="model file in me/old"):
        find(hub_site, "me/old")
    assert find(hub_site, "me/old", pickles=True).file(None).saved_as == "old.ckpt"


@pytest.mark.parametrize("asked", [PIPELINE, f"{PIPELINE}/model_index.json"])
def test_repository_of_a_pipeline_is_a_folder(hub_site: HubSite, site: Site, asked: str) -> None:
    hub_site.put(PIPELINE, pipeline_files(), license="mit")
    folder = find(hub_site, asked).file(None)
    assert isinstance(folder, Folder)
    assert {file.name for file in folder.files} == FULL and folder.has_checksum
    by_name = {file.name: file for file in folder.files}
    index = by_name["model_index.json"]
    assert index.url == f"{site.url}/{PIPELINE}/resolve/{COMMIT}/model_index.json"
    assert index.sha256 is None and re.fullmatch(r"[0-9a-f]{40}", index.blob_id or "")


def test_folder_and_files_on_top_are_both_offered(hub_site: HubSite) -> None:
    hub_site.put(PIPELINE, pipeline_files() | {"whole.safetensors": b"x"})
    source = find(hub_site, PIPELINE)
    offered = ["diffusers", "diffusers.fp16", "whole.safetensors"]
    assert [one.name for one in source.files] == offered
    assert source.file("diffusers.fp16").saved_as == "pipeline-fp16"


def test_pipeline_that_cannot_be_read_says_why(hub_site: HubSite) -> None:
    put(hub_site, "me/flow", "model_index.json", "transformer/model.safetensors")
    assert find(hub_site, "me/flow/transformer/model.safetensors").files
    put(hub_site, "me/flow", "model_index.json", "transformer/config.json")
    with pytest.raises(BadInput, match="me/flow' cannot be used; .* no unet and vae"):
        find(hub_site, "me/flow")


def test_pipeline_of_pickles_is_offered_only_where_allowed(hub_site: HubSite) -> None:
    hub_site.put(PIPELINE, pickled_files())
    words = r"me/pipeline' cannot be used; its text_encoder has only \.bin .*allow_pickles in"
    with pytest.raises(BadInput, match=words):
        find(hub_site, PIPELINE)
    folder = find(hub_site, PIPELINE, pickles=True).file(None)
    assert isinstance(folder, Folder) and folder.has_checksum
    assert {file.name for file in folder.files} == CONFIGURATION | set(PICKLED)


def test_unknown_repository_is_one_sentence(hub_site: HubSite) -> None:
    with pytest.raises(NotFound, match=r"^Unknown repository of the hub 'me/gone'\.$"):
        find(hub_site, "me/gone")


@pytest.mark.parametrize("revision", ["v2", "refs/pr/1"])
def test_revision_is_asked_for(hub_site: HubSite, site: Site, revision: str) -> None:
    quoted = revision.replace("/", "%2F")
    second = "b" * 40
    put(hub_site, "me/mine", "a.safetensors")
    hub_site.put("me/mine", {"b.safetensors": b"x"}, revision=quoted, commit=second)
    for found in (
        find(hub_site, "me/mine", revision=revision),
        find(hub_site, f"{site.url}/me/mine/tree/{quoted}"),
    ):
        file = found.file(None)
        assert not isinstance(file, Folder)
        assert file.url == f"{site.url}/me/mine/resolve/{second}/b.safetensors"


@pytest.mark.parametrize("asked", ["sd15", "https://example.org/a.safetensors"])
def test_revision_of_what_has_none_is_refused(asked: str) -> None:
    with pytest.raises(BadInput, match="only repositories of the hub have revisions"):
        look(asked, revision="v2", hub=OFFICIAL)


def test_hub_of_ones_own_is_the_only_private_server(hub_site: HubSite, site: Site) -> None:
    put(hub_site, "me/mine", "a.safetensors")
    assert find(hub_site, "me/mine").own_server == site.url
    other = site.url.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(BadInput, match="begins with https://"):
        find(hub_site, f"{other}/me/mine")
    site.redirects["/api/models/me/mine?blobs=true"] = f"{other}/elsewhere"
    with pytest.raises(BadInput, match="begins with https://"):
        find(hub_site, "me/mine")


def test_address_tells_name_and_size(site: Site) -> None:
    url = site.add("/api/download/models/17", "lora", 1000)
    site.headers["/api/download/models/17"] = {
        "Content-Disposition": 'attachment; filename="../Ink 2.safetensors"'
    }
    source = look(url, policy=LOCAL, hub=OFFICIAL)
    file = source.file(None)
    size = len(site.files["/api/download/models/17"])
    assert (file.saved_as, file.size) == ("Ink 2.safetensors", size)
    assert "not stated" in source.licence
    assert site.ranges() == ["bytes=0-0"]


def test_address_of_a_pickle_is_refused_with_the_reason(site: Site) -> None:
    site.files["/a.ckpt"] = b"x"
    with pytest.raises(BadInput, match="may run code"):
        look(f"{site.url}/a.ckpt", policy=LOCAL, hub=OFFICIAL)
    found = look(f"{site.url}/a.ckpt", policy=LOCAL, pickles=True, hub=OFFICIAL)
    assert found.file(None).saved_as == "a.ckpt"


def test_policy_of_other_addresses_stays_strict(site: Site) -> None:
    with pytest.raises(BadInput):
        look(f"{site.url}/a.safetensors", policy=Policy(), hub=OFFICIAL)
