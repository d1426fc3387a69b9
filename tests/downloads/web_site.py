"""A real web server on this machine that serves what a test puts there, well or badly."""

from __future__ import annotations

import json
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from modules.downloads.connection import Policy

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
    statuses: list[int | tuple[int, dict[str, str]]] = field(default_factory=list)
    """Statuses of the next replies, perhaps with headers, instead of the file."""
    cut_at: dict[str, int] = field(default_factory=dict)
    """The same for the next reply to one path."""
    hold_after: dict[str, int] = field(default_factory=dict)
    """Bytes of a path's body after which its next reply waits for `go_on`."""
    is_held: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
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
                status = site.statuses.pop(0)
                given = status if isinstance(status, tuple) else (status, {})
                return self._reply(*given, b"")
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
            if self.path in site.cut_at and body:
                body = body[: site.cut_at.pop(self.path)]
                self.close_connection = True
            held_at = site.hold_after.pop(self.path, None) if body else None
            if held_at is not None:
                self.wfile.write(body[:held_at])
                body = body[held_at:]
                site.is_held.set()
                site.go_on.wait(30)
            self.wfile.write(body)

    return Handler


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients that hang up are expected."""


@contextmanager
def served() -> Iterator[Site]:
    """A site that answers on this machine."""
    made = Site()
    server = _QuietServer(("127.0.0.1", 0), _handler(made))
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        made.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
