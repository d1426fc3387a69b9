"""HTTPS requests that reach public servers only: one GET at a time, redirects followed by hand.

The address is checked on the socket that is opened, not on a look-up before it, so a name that
changes its address in between reaches nothing private. Knows HTTP; knows no files.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import SplitResult, urljoin, urlsplit

from modules.core.app import VERSION
from modules.core.errors import BadInput, DownloadFailed

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_SECRET: Final = ("authorization", "cookie")
"""Headers that stay with the host they were meant for."""


@dataclass(frozen=True, slots=True)
class Network:
    """How this machine finds others and whom it believes; a test brings its own."""

    find: Callable[..., list[Any]] = socket.getaddrinfo
    is_public: Callable[[str], bool] = lambda address: is_public(address)
    """Whether an IP address belongs to the internet."""
    proxy_for: Callable[[str], str | None] = lambda host: users_proxy(host)
    """The address of the proxy through which a host is asked."""
    tls: Callable[[], ssl.SSLContext] = lambda: known_authorities()


@dataclass(frozen=True, slots=True)
class Policy:
    """What a download may reach."""

    private_addresses: bool = False
    """Whether addresses of this machine and of local networks may be asked."""
    plain_http: bool = False
    timeout_s: float = 30.0
    most_redirects: int = 8
    uses_proxy: bool = True
    """Whether the user's proxy may look names up, and so reach what it likes."""
    own_server: str = ""
    """`scheme://host:port` that the user chose: it may be in the local network, and speak http."""
    network: Network = Network()

    def at(self, url: str) -> Policy:
        """What holds for one address: more where it is on the user's own server."""
        if not self.own_server or origin(url) != self.own_server:
            return self
        return replace(self, private_addresses=True, plain_http=True)


PUBLIC: Final = Policy()


@dataclass(slots=True)
class Reply:
    """An answer whose body has not been read."""

    url: str
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    _body: http.client.HTTPResponse = field(repr=False)

    def close(self) -> None:
        """Give the socket back; what was not read is lost."""
        self._body.close()

    def read(self, size: int) -> bytes:
        """The bytes that are there, at least one and at most `size`; b"" at the end.

        Raises DownloadFailed when the connection is lost.
        """
        try:
            return self._body.read1(size)
        except (OSError, http.client.HTTPException) as error:
            raise DownloadFailed(_host(self.url), _reason(error)) from error


@contextmanager
def get(url: str, headers: Mapping[str, str], policy: Policy = PUBLIC) -> Iterator[Reply]:
    """Ask for `url`, following redirects; whatever the final status is, the caller judges it.

    Raises BadInput for an address that may not be asked, DownloadFailed without an answer.
    """
    sent = dict(headers)
    for _ in range(policy.most_redirects + 1):
        parts = check_url(url, policy)
        with closing(_connect(parts, policy.at(url))) as connection:
            reply = _ask(connection, parts, url, sent)
            with closing(reply):
                target = reply.headers.get("location")
                if reply.status not in _REDIRECTS or not target:
                    yield reply
                    return
        following = urljoin(url, target)
        if urlsplit(following).netloc != parts.netloc:
            sent = {name: text for name, text in sent.items() if name.lower() not in _SECRET}
        url = following
    raise DownloadFailed(_host(url), f"it redirected more than {policy.most_redirects} times")


def check_url(url: str, policy: Policy = PUBLIC) -> SplitResult:
    """The parts of an address that may be asked. Raises BadInput that says what is wrong.

    >>> check_url("https://example.org/a.safetensors").hostname
    'example.org'
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadInput("url", url, f"it is no address ({error})") from None
    policy = policy.at(url)
    allowed = ("https", "http") if policy.plain_http else ("https",)
    if parts.scheme not in allowed or not host or port == 0:
        raise BadInput("url", url, "an address that begins with https:// is expected")
    if parts.username or parts.password:
        raise BadInput("url", f"{parts.scheme}://…@{host}", "it may hold no name and password")
    if any(ord(sign) <= 32 or ord(sign) == 127 for sign in url):
        raise BadInput("url", url, "it may hold no blanks")
    if not policy.private_addresses:
        _check_name(url, host, policy.network)
    return parts


def origin(url: str) -> str:
    """`scheme://host:port` of an address, as far as it states them.

    >>> origin("HTTP://Models.lan:8000/a/b?c")
    'http://models.lan:8000'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet, and not to this machine or a local network.

    >>> [is_public(a) for a in ("93.184.216.34", "127.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0")]
    [True, False, False, False]
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    return found.is_global and not found.is_multicast


def users_proxy(host: str) -> str | None:
    """The proxy that the user's environment, or the system, names for asking a host over https."""
    named = urllib.request.getproxies().get("https")
    return named if named and not urllib.request.proxy_bypass(host) else None


def known_authorities() -> ssl.SSLContext:
    """The system's authorities and Mozilla's, which systems without any need."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _check_name(url: str, host: str, network: Network) -> None:
    """Refuse what can be told without asking anybody; the socket is checked later in any case."""
    name = host.rstrip(".").lower()
    try:
        private = not network.is_public(name)
    except ValueError:
        private = name == "localhost" or name.endswith((".localhost", ".local", ".internal"))
    if private:
        raise BadInput("url", url, "addresses of this machine and of local networks are refused")


def _connect(parts: SplitResult, policy: Policy) -> http.client.HTTPConnection:
    """A connection that opens its socket through `_open_socket`, or through the user's proxy."""
    host, port = str(parts.hostname), parts.port
    if parts.scheme == "http":
        made = http.client.HTTPConnection(host, port or 80, timeout=policy.timeout_s)
    else:
        named = policy.network.proxy_for(host) if policy.uses_proxy else None
        proxy = urlsplit(named) if named else None
        at = (proxy.hostname, proxy.port or 8080) if proxy and proxy.hostname else (host, port)
        made = http.client.HTTPSConnection(
            at[0], at[1] or 443, timeout=policy.timeout_s, context=policy.network.tls()
        )
        if proxy and proxy.hostname:
            made.set_tunnel(host, port or 443)
            return made  # the proxy is the user's own, and looks the name up itself

    def open_checked(address: tuple[str, int], timeout: float, source: Any = None) -> socket.socket:
        return _open_socket(address, timeout, policy)

    made._create_connection = open_checked  # type: ignore[attr-defined]  # http.client's own seam
    return made


def _open_socket(address: tuple[str, int], timeout: float, policy: Policy) -> socket.socket:
    """Connect to the first address of a name that answers and may be asked."""
    refused, failure = "", OSError("the name has no address")
    network = policy.network
    for family, kind, protocol, _, place in network.find(*address, type=socket.SOCK_STREAM):
        if not policy.private_addresses and not network.is_public(str(place[0])):
            refused = str(place[0])
            continue
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(timeout)
            opened.connect(place)
            return opened
        except OSError as error:
            opened.close()
            failure = error
    if refused:
        raise BadInput("url", address[0], f"it leads to the private address {refused}")
    raise failure


def _ask(
    connection: http.client.HTTPConnection, parts: SplitResult, url: str, headers: Mapping[str, str]
) -> Reply:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"User-Agent": f"Easel/{VERSION}", "Accept-Encoding": "identity", **headers}
    try:
        connection.request("GET", path, headers=sent)
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise DownloadFailed(_host(url), _reason(error)) from error
    found = {name.lower(): text for name, text in answer.getheaders()}
    return Reply(url, answer.status, found, answer)


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _reason(error: Exception) -> str:
    """Why nothing came, in words."""
    if isinstance(error, socket.gaierror):
        return "its name cannot be looked up; is this machine offline?"
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    if isinstance(error, OSError):
        return f"the connection failed ({error.strerror or error})"
    return f"the connection was lost ({error or type(error).__name__})"
