"""The command line's way to a model: list, licence, question, file."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modules.command.download import download
from modules.downloads import KNOWN
from modules.downloads.connection import Policy
from modules.downloads.transfer import Transfer

ROOT = Path(__file__).parents[2]
TRANSFER = Transfer(
    policy=Policy(private_addresses=True, plain_http=True, timeout_s=5), wait=lambda seconds: None
)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of a LoRA on this machine."""
    row = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({"lora_unet_x.lora_down.weight": row}).encode()
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "ink.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/ink.safetensors"
    server.shutdown()
    thread.join()
    server.server_close()


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
