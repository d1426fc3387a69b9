"""A real web server on this machine that serves what a test puts there, well or badly."""

from __future__ import annotations

import json
import re
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modules.core.paths import Paths, paths_of
from modules.downloads.connection import Policy
from modules.downloads.transfer import Transfer
from modules.setup.flags import parse_flags

LOCAL = Policy(private_addresses=True, plain_http=True, timeout_s=5)


def safetensors(*names: str, size: int = 4) -> bytes:
    """A whole safetensors file with one tensor of `size` bytes per name."""
    rows = {
        name: {"dtype": "U8", "shape": [size], "data_offsets": [i * size, (i + 1) * size]}
        for i, name in enumerate(names)
    }
    header = json.dumps(rows).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size * len(names))


TENSORS = {
    "checkpoint": (
        "model.diffusion_model.input_blocks.0.0.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    ),
    "lora": ("lora_unet_x.lora_down.weight",),
    "vae": ("first_stage_model.decoder.conv_in.weight",),
    "embedding": ("emb_params",),
    "upscaler": ("conv_first.weight",),
    "unknown": ("something.else",),
}


@dataclass
class Site:
    """What the server has, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    """Bytes of the body after which the next replies break off."""
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next replies, instead of the file."""
    knows_ranges: bool = True
    etag: str = '"one"'
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def add(self, path: str, what: str, size: int = 300_000) -> str:
        """Serve a file of that kind; returns its address."""
        self.files[path] = safetensors(*TENSORS[what], size=size)
        return self.url + path

    def ranges(self) -> list[str | None]:
        """The Range headers of all requests."""
        return [headers.get("Range") for _, headers in self.asked]


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            site.asked.append((self.path, dict(self.headers)))
            if site.statuses:
                return self._reply(site.statuses.pop(0), {}, b"")
            if self.path in site.redirects:
                return self._reply(302, {"Location": site.redirects[self.path]}, b"")
            data = site.files.get(self.path.partition("?")[0])
            if data is None:
                return self._reply(404, {}, b"")
            found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            same = self.headers.get("If-Range", site.etag) == site.etag
            headers = {"ETag": site.etag, **site.headers.get(self.path, {})}
            if not (found and site.knows_ranges and same):
                return self._reply(200, headers, data)
            start, end = int(found[1]), int(found[2] or len(data) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
            return self._reply(206, headers, data[start : end + 1])

        def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, text in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, text)
            self.end_headers()
            if len(body) > 1 and site.cut_after:
                body = body[: site.cut_after.pop(0)]
                self.close_connection = True
            self.wfile.write(body)

    return Handler


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients that hang up are expected."""


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    server = _QuietServer(("127.0.0.1", 0), _handler(made))
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def transfer() -> Transfer:
    """Reaches this machine, and does not pause before it tries again."""
    return Transfer(policy=LOCAL, wait=lambda seconds: None)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return paths_of(parse_flags(["--data-dir", str(tmp_path)], {}, tmp_path), tmp_path)
