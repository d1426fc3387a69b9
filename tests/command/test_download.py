"""The command line's way to a model: list, licence, question, file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.command.download import download
from modules.downloads import KNOWN
from modules.downloads.transfer import Transfer
from modules.model_manager import Catalogue, Hashes
from tests.downloads.hub_site import (
    CONFIGURATION,
    FULL,
    PICKLED,
    PIPELINE,
    HubSite,
    half,
    pickled_files,
    pipeline_files,
)
from tests.downloads.web_site import LOCAL, Site, served

ROOT = Path(__file__).parents[2]
TRANSFER = Transfer(policy=LOCAL, wait=lambda seconds: None)
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as made:
        yield made


@pytest.fixture
def hub_site(site: Site) -> HubSite:
    made = HubSite(site)
    made.put(PIPELINE, pipeline_files(), license="mit")
    return made


@pytest.fixture
def url(site: Site) -> str:
    """The address of a LoRA on this machine."""
    return site.add("/ink.safetensors", "lora", 100)


def test_list_names_every_known_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert download(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [row.name for row in KNOWN]


def test_file_lands_in_the_folder_of_its_kind(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert download([url, "--yes", "--data-dir", str(tmp_path)], transfer=TRANSFER) == 0
    path = tmp_path / "models" / "Lora" / "ink.safetensors"
    assert path.is_file()
    said = capsys.readouterr().out
    assert "Licence: not stated" in said and said.rstrip().endswith(f"lora: {path}")


def test_chosen_kind_decides_the_folder(url: str, tmp_path: Path) -> None:
    arguments = [url, "-y", "--kind", "vae", "--data-dir", str(tmp_path)]
    assert download(arguments, transfer=TRANSFER) == 0
    assert (tmp_path / "models" / "VAE" / "ink.safetensors").is_file()


@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("", 1), ("y", 0), ("YES ", 0)])
def test_licence_is_shown_and_asked_about(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: str, status: int
) -> None:
    shown: list[str] = []

    def ask(question: str) -> str:
        shown.append(capsys.readouterr().out + question)
        return answer

    arguments = [url, "--data-dir", str(tmp_path)]
    assert download(arguments, transfer=TRANSFER, ask=ask) == status
    assert "Licence:" in shown[0] and "Accept the licence" in shown[0]
    assert (tmp_path / "models" / "Lora" / "ink.safetensors").exists() == (status == 0)


def test_mistakes_are_one_line_and_status_1(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data-dir", str(tmp_path)]
    wrong = {
        "sd51": "did you mean 'sd15'",
        "owner/name": "HF_HUB_OFFLINE is set",
        "http://example.org/a.safetensors": "begins with https://",
        "https://192.168.0.1/a.safetensors": "local networks are refused",
    }
    for source, words in wrong.items():
        assert download([source, "-y", *data]) == 1
        assert words in capsys.readouterr().err
    assert download([url, "-y", "--kind", "Lora2", *data], transfer=TRANSFER) == 1
    assert "allowed: checkpoint, vae" in capsys.readouterr().err
    assert download([url, "-y", "--sha256", "0" * 64, *data], transfer=TRANSFER) == 1
    assert "checksum is wrong" in capsys.readouterr().err
    assert [path for path in (tmp_path / "models").rglob("*") if path.is_file()] == []


def test_webui_py_knows_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "webui.py", "download", "--list", "--skip-install"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "sdxl-turbo" in done.stdout


def files_in(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


FOLDER = {name: data for name, data in pipeline_files().items() if name in FULL}


def test_repository_of_a_pipeline_comes_as_a_folder(
    hub_site: HubSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [PIPELINE, "--yes", "--data-dir", str(tmp_path)]
    assert download(arguments, transfer=TRANSFER, hub=hub_site.hub) == 0
    path = tmp_path / "models" / "Stable-diffusion" / "pipeline"
    assert files_in(path) == FOLDER
    said = capsys.readouterr().out
    assert "diffusers, 10 files, 0.3 MB" in said and "Licence: mit" in said
    assert "Others:  --file diffusers.fp16\n" in said
    assert "SHA-256: of each file, from the hub" in said
    assert said.rstrip().endswith(f"checkpoint: {path}")


def test_variant_and_revision_are_chosen(hub_site: HubSite, tmp_path: Path) -> None:
    hub_site.put(PIPELINE, pipeline_files(10_000), revision="v2", commit="c" * 40)
    arguments = [PIPELINE, "-y", "--variant", "fp16", "--revision", "v2"]
    arguments += ["--data-dir", str(tmp_path)]
    assert download(arguments, transfer=TRANSFER, hub=hub_site.hub) == 0
    path = tmp_path / "models" / "Stable-diffusion" / "pipeline-fp16"
    assert (path / half(UNET)).read_bytes() == pipeline_files(10_000)[half(UNET)]
    assert not (path / UNET).exists()


def test_pipeline_of_pickles_comes_where_they_are_allowed(
    hub_site: HubSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_site.put(PIPELINE, pickled_files())
    arguments = [PIPELINE, "--yes", "--data-dir", str(tmp_path)]
    assert download(arguments, transfer=TRANSFER, hub=hub_site.hub) == 1
    assert "only taken when pickles are allowed" in capsys.readouterr().err
    arguments.append("--allow-pickle")
    assert download(arguments, transfer=TRANSFER, hub=hub_site.hub) == 0
    there = files_in(tmp_path / "models" / "Stable-diffusion" / "pipeline")
    assert there == {name: pickled_files()[name] for name in (*CONFIGURATION, *PICKLED)}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--variant", "bf16"], "diffusers.bf16"),
        (["--variant", "fp16", "--file", "a.safetensors"], "leave --file out"),
        (["--kind", "lora"], "a folder of diffusers is a checkpoint"),
        (["--revision", "v9"], "has no such branch|Unknown repository"),
    ],
)
def test_mistake_with_a_folder_is_named_before_the_question(
    hub_site: HubSite, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str],
    words: str,
) -> None:  # fmt: skip
    arguments = [PIPELINE, *more, "--data-dir", str(tmp_path)]
    assert download(arguments, transfer=TRANSFER, hub=hub_site.hub, ask=str) == 1
    said = capsys.readouterr()
    assert any(one in said.err for one in words.split("|")) and said.out == ""


def test_killed_download_goes_on_where_it_ended(hub_site: HubSite, tmp_path: Path) -> None:
    """The real program, killed with SIGKILL in the middle of a file, and started again."""
    weights = hub_site.url(PIPELINE, UNET)
    hub_site.site.hold_after[weights] = 100_000
    command = [sys.executable, "webui.py", "download", PIPELINE, "--yes", "--skip-install"]
    command += ["--data-dir", str(tmp_path)]
    environment = os.environ | {
        "HF_ENDPOINT": hub_site.site.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_mine",
    }  # fmt: skip
    killed = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    part = tmp_path / "models" / ".downloads" / "pipeline.part" / f"{UNET}.part"
    with killed:
        assert hub_site.site.is_held.wait(60)
        wait_for_bytes(part)
        killed.kill()
    came = part.stat().st_size
    assert 0 < came < len(FOLDER[UNET])
    assert listed(tmp_path) == []
    hub_site.site.go_on.set()

    before = len(hub_site.site.asked)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    asked = [
        (path, headers.get("Range"), headers["Authorization"])
        for path, headers in hub_site.site.asked[before + 1 :]
    ]
    assert asked == [(weights, f"bytes={came}-", "Bearer hf_mine")]
    assert files_in(tmp_path / "models" / "Stable-diffusion" / "pipeline") == FOLDER
    assert files_in(tmp_path / "models" / ".downloads") == {}
    assert listed(tmp_path) == ["pipeline"]


def wait_for_bytes(part: Path) -> None:
    """Until something of a file is on the disk."""
    deadline = time.monotonic() + 30
    while not part.is_file() or not part.stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def listed(data: Path) -> list[str]:
    """The checkpoints that would be offered."""
    folder = data / "models" / "Stable-diffusion"
    catalogue = Catalogue([folder], Hashes(data / "hashes.json"))
    return [one.title for one in catalogue.checkpoints()]
