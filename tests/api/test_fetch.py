"""Pictures named by URL: only where allowed, nothing private, bounded in size and time."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from modules.api.fetch import TIMEOUT_S, fetch_picture, is_url, with_pictures
from modules.core.errors import BadInput, DownloadFailed, UnsupportedImage
from modules.core.settings import SettingsView, known_settings


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Answers with a picture, an error, a redirect, or without an end."""

    agents: list[str] = []

    def do_GET(self) -> None:
        type(self).agents.append(self.headers["User-Agent"])
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        body = png() if self.path == "/a.png" else bytes(1 << 20)
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def settings(*, enabled: bool = True, forbids_local: bool = False, agent: str = "") -> SettingsView:
    return SettingsView(
        known_settings(),
        {
            "api_enable_requests": enabled,
            "api_forbid_local_requests": forbids_local,
            "api_useragent": agent,
        },
    )


def test_off_by_default() -> None:
    asked = {"init_images": ("https://example.org/a.png",)}
    with pytest.raises(BadInput, match=r"init_images\.0: .*api_enable_requests"):
        with_pictures(asked, SettingsView(known_settings(), {}))


def test_fetched_picture_becomes_base64(server: str) -> None:
    found = with_pictures(
        {"init_images": (f"{server}/a.png", "abc"), "mask": f"{server}/a.png"}, settings()
    )
    encoded = base64.b64encode(png()).decode()
    assert found == {"init_images": (encoded, "abc"), "mask": encoded}


def test_user_agent_is_the_setting(server: str) -> None:
    fetch_picture(f"{server}/a.png", "mask", settings(agent="mine/1"))
    assert Handler.agents[-1] == "mine/1"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/a.png", "http://localhost/a.png", "http://[::1]/a.png",
     "http://10.0.0.1/a.png", "http://169.254.169.254/latest", "http://0.0.0.0/",
     "http://[::ffff:127.0.0.1]/a.png", "http://2130706433/a.png"],
)  # fmt: skip
def test_private_addresses_are_refused(url: str) -> None:
    with pytest.raises(BadInput, match=r"^mask: ") as caught:
        fetch_picture(url, "mask", settings(forbids_local=True))
    assert "address" in caught.value.allowed


def test_private_server_is_refused_though_it_would_answer(server: str) -> None:
    with pytest.raises(BadInput, match="mask"):
        fetch_picture(f"{server}/a.png", "mask", settings(forbids_local=True))


def test_endless_redirects_are_refused(server: str) -> None:
    with pytest.raises(DownloadFailed, match="redirected"):
        fetch_picture(f"{server}/to//to//to//to//to/a.png", "mask", settings())


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a"])
def test_redirect_to_another_scheme_is_refused(server: str, target: str) -> None:
    with pytest.raises(BadInput, match="mask"):
        fetch_picture(f"{server}/to/{target}", "mask", settings())


def test_error_status_is_told(server: str) -> None:
    with pytest.raises(BadInput, match="status 404"):
        fetch_picture(f"{server}/missing", "mask", settings())


def test_too_large_is_refused(server: str) -> None:
    with pytest.raises(UnsupportedImage, match=r"mask: .*0\.125 MiB"):
        fetch_picture(f"{server}/big", "mask", settings(), max_bytes=1 << 17)


def test_too_slow_is_refused(server: str) -> None:
    moments = iter([0.0, 1.0, *[TIMEOUT_S + 1] * 100])
    with pytest.raises(BadInput, match="did not come within"):
        fetch_picture(f"{server}/big", "mask", settings(), clock=lambda: next(moments))


@pytest.mark.parametrize(
    ("text", "found"),
    [("https://a", True), ("HTTP://a", True), ("data:image/png;base64,x", False), (None, False),
     ("httpabc", False)],
)  # fmt: skip
def test_addresses_are_told_from_pictures(text: object, found: bool) -> None:
    assert is_url(text) is found
