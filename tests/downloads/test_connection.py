"""Which addresses a download may reach."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from modules.core.errors import BadInput, DownloadFailed
from modules.downloads.connection import Network, Policy, check_url, get, is_public
from tests.downloads.web_site import LOCAL, Site

ROOT = Path(__file__).parents[2]
NO_TLS = Policy(plain_http=True, timeout_s=5)
TLS = Path(__file__).parents[1] / "data" / "tls"
"""A certificate for localhost that nobody has signed, for these tests only."""


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.safetensors",
        "ftp://example.org/a",
        "file:///etc/passwd",
        "https://",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https://name:word@example.org/",
        "https://example.org/a b",
        "https://example.org/\r\nX: y",
        "https://localhost/a",
        "https://LOCALHOST./a",
        "https://127.0.0.1/a",
        "https://[::1]/a",
        "https://[::ffff:192.168.0.1]/a",
        "https://10.1.2.3/a",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/a",
        "https://router.local/a",
        "https://[bad/a",
    ],
)
def test_address_that_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        check_url(url)


def test_public_https_address_passes() -> None:
    assert check_url("https://huggingface.co/a/b?c=d").path == "/a/b"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("fc00::1", False),
        ("2002:7f00:1::", False),
        ("::", False),
    ],
)
def test_public_address_is_told_from_private_one(address: str, public: bool) -> None:
    assert is_public(address) is public


def finding(port: int) -> Network:
    """A network where every name leads to a port of this machine."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    return Network(find=lambda *_, **__: found)


def test_name_that_leads_to_a_private_address_is_refused_at_the_socket(site: Site) -> None:
    port = int(site.url.rpartition(":")[2])
    policy = replace(NO_TLS, network=finding(port))
    url = f"http://innocent.example:{port}/a"
    with pytest.raises(BadInput, match="private address 127"), get(url, {}, policy):
        pass
    assert site.asked == []


def test_users_own_server_may_be_private_and_nothing_beside_it(site: Site) -> None:
    policy = Policy(own_server=site.url)
    with get(f"{site.url}/a", {}, policy) as reply:
        assert reply.status == 404
    site.redirects["/a"] = site.url.replace("127.0.0.1", "127.0.0.2")
    for url in (f"{site.url}/a", "http://127.0.0.1:9/a", "https://127.0.0.1/a"):
        with pytest.raises(BadInput), get(url, {}, policy):
            pass


def test_redirect_to_a_private_address_is_refused(site: Site) -> None:
    """Here 127.0.0.1 plays a public server, and 127.0.0.2, which reaches it too, a private one."""
    network = Network(is_public=lambda address: address == "127.0.0.1")
    policy = replace(NO_TLS, network=network)
    site.redirects["/a"] = site.url.replace("127.0.0.1", "127.0.0.2") + "/secret"
    with get(f"{site.url}/b", {}, policy) as reply:
        assert reply.status == 404  # the public server itself may be asked
    refused = pytest.raises(BadInput, match="local networks are refused")
    with refused, get(f"{site.url}/a", {}, policy):
        pass
    assert [path for path, _ in site.asked] == ["/b", "/a"]


def test_every_step_of_a_redirect_is_checked(site: Any) -> None:
    site.redirects["/a"] = "ftp://example.org/a"
    with pytest.raises(BadInput, match="ftp"), get(f"{site.url}/a", {}, LOCAL):
        pass


def test_redirects_end(site: Any) -> None:
    site.redirects["/a"] = "/a"
    with pytest.raises(DownloadFailed, match="more than 8"), get(f"{site.url}/a", {}, LOCAL):
        pass


def test_token_stays_with_its_host(site: Any) -> None:
    port = site.url.rpartition(":")[2]
    site.redirects |= {"/a": "/b", "/b": f"http://localhost:{port}/c"}
    with get(f"{site.url}/a", {"Authorization": "Bearer x", "Range": "bytes=1-"}, LOCAL):
        pass
    sent = [(path, headers.get("Authorization")) for path, headers in site.asked]
    assert sent == [("/a", "Bearer x"), ("/b", "Bearer x"), ("/c", None)]
    assert site.ranges() == ["bytes=1-"] * 3


def test_machine_without_network_says_so() -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    policy = Policy(uses_proxy=False, network=Network(find=fail))
    url = "https://example.org/a"
    with pytest.raises(DownloadFailed, match="is this machine offline"), get(url, {}, policy):
        pass


def test_server_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
        failed = pytest.raises(DownloadFailed, match=r"127\.0\.0\.1: the connection failed")
        with failed, get(url, {}, LOCAL):
            pass


class _Secret(BaseHTTPRequestHandler):
    """Answers over TLS."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"secret")


class _Proxy(BaseHTTPRequestHandler):
    """Tunnels CONNECT to the test's TLS server, whatever name is asked for."""

    target = 0
    asked: list[str]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_CONNECT(self) -> None:
        self.asked.append(self.path)
        with socket.create_connection(("127.0.0.1", self.target)) as far:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=self._pump, args=(far, self.connection))
            back.start()
            self._pump(self.connection, far)
            back.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients that hang up are expected."""


@pytest.fixture
def tls_port() -> Iterator[int]:
    """A server on this machine with a certificate for localhost."""
    server = _QuietServer(("127.0.0.1", 0), _Secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.pem", TLS / "localhost-key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    thread.join()
    server.server_close()


def _trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(TLS / "localhost.pem"))


def test_certificate_that_nobody_signed_is_refused(tls_port: int) -> None:
    refused = pytest.raises(DownloadFailed, match="certificate is not valid")
    with refused, get(f"https://localhost:{tls_port}/", {}, LOCAL):
        pass


def test_https_is_spoken_and_its_socket_is_checked_too(tls_port: int) -> None:
    trusting = replace(LOCAL, uses_proxy=False, network=Network(tls=_trusting))
    with get(f"https://localhost:{tls_port}/", {}, trusting) as reply:
        assert reply.read(100) == b"secret"
    strict = Policy(uses_proxy=False, network=replace(finding(tls_port), tls=_trusting))
    refused = pytest.raises(BadInput, match="private address 127")
    with refused, get(f"https://innocent.example:{tls_port}/", {}, strict):
        pass


def test_users_own_proxy_is_used(tls_port: int) -> None:
    handler = type("Proxy", (_Proxy,), {"target": tls_port, "asked": []})
    proxy = _QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
    thread.start()
    at = f"http://127.0.0.1:{proxy.server_address[1]}"
    context = _trusting()
    context.check_hostname = False  # the certificate is localhost's
    policy = Policy(network=Network(proxy_for=lambda host: at, tls=lambda: context))
    try:
        with get("https://models.example/a", {}, policy) as reply:
            assert reply.read(100) == b"secret"
        assert handler.asked == ["models.example:443"]  # type: ignore[attr-defined]
        with pytest.raises(BadInput), get("https://10.0.0.1/a", {}, policy):
            pass
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


@pytest.mark.parametrize(("host", "proxy"), [("models.example", "http://p:1"), ("a.lan", "None")])
def test_proxy_is_the_environments(host: str, proxy: str) -> None:
    kept = {name: text for name, text in os.environ.items() if "proxy" not in name.lower()}
    code = f"from modules.downloads.connection import users_proxy; print(users_proxy({host!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=kept | {"https_proxy": "http://p:1", "no_proxy": ".lan"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == proxy, done.stderr
