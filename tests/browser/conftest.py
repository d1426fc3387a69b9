"""A real server in its own process, with the tiny model, and a real headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.downloads.hub_site import PIPELINE, HubSite, pipeline_files
from tests.downloads.web_site import served

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "tests" / "data" / "models"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
START_S = 180
"""Longest start of the server; a laptop needs 5 s, a busy machine much more."""
MANY_LORAS = 2000
PATIENCE_MS = 60_000
"""How long a page may take to show what it should; only failures ever wait so long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a browser."""
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)


@dataclass
class Server:
    """A running Easel, spoken to over HTTP."""

    url: str
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=30) as reply:
            return json.load(reply)

    def post(self, path: str) -> None:
        request = urllib.request.Request(f"{self.url}/{path}", data=b"{}", method="POST")
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request, timeout=30).close()

    def jobs(self) -> list[str]:
        """Ids of the jobs that run or wait."""
        status = self.get("easel/v1/status")
        return [job["id"] for job in (status["current"], *status["queue"]) if job]

    def clear(self) -> None:
        """Stop and cancel everything."""
        while ids := self.jobs():
            for job in reversed(ids):
                try:
                    self.post(f"easel/v1/jobs/{urllib.parse.quote(job)}/cancel")
                except urllib.error.HTTPError as error:
                    error.close()
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_up(server: Server, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            server.get("easel/v1/status")
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"The server did not start:\n{log.read_text(encoding='utf-8')[-3000:]}")


def _make_loras(folder: Path) -> Path:
    """A folder that tests may write to: the tiny model's LoRAs, and many that are only names."""
    shutil.copytree(MODELS / "Lora", folder)
    header = b'{"__metadata__":{"ss_network_dim":"4"},'
    header += b'"x.lora_up.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    data = len(header).to_bytes(8, "little") + header + bytes(4)
    for number in range(MANY_LORAS):
        path = folder / ("even", "odd")[number % 2] / f"many{number}.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.fixture(scope="session")
def hub() -> Iterator[str]:
    """The address of a hub on this machine, with one model; no test reaches the real one."""
    with served() as site:
        HubSite(site).put(PIPELINE, pipeline_files(), license="mit")
        yield site.url


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, hub: str) -> Iterator[Server]:
    """`webui.py` on a free port, in an empty data folder."""
    data = tmp_path_factory.mktemp("easel")
    port = _free_port()
    command = [sys.executable, "webui.py", "--skip-install", "--port", str(port)]
    command += ["--data-dir", str(data), "--models-dir", str(MODELS)]
    command += ["--lora-dir", str(_make_loras(data / "Lora"))]
    quiet = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    quiet |= {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0"}
    log = data / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | quiet, stdout=out, stderr=subprocess.STDOUT
        )
    running = Server(f"http://127.0.0.1:{port}", process)
    try:
        _wait_until_up(running, log)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's Chromium.

    Per file: playwright keeps an event loop running in the thread while it is open, in which the
    tests of other files could not start their own.
    """
    path = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        reason = "no Chromium here; Debian and Ubuntu: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=arguments)
        yield launched
        launched.close()


@dataclass
class Visitor:
    """A page as a person sees it."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors of scripts, and requests that went elsewhere."""

    def value(self, element: str) -> str:
        return self.page.input_value(f"#{element} :is(textarea, input)")

    def write(self, element: str, text: str) -> None:
        """Type into a field and leave it."""
        box = self.page.locator(f"#{element} :is(textarea, input:not([type=range]))").first
        box.fill(text)
        box.blur()

    def ask(self, prompt: str, **fields: int) -> None:
        """Fill the form with something quick, or with what `fields` say."""
        for name, number in {"width": 64, "height": 64, "steps": 4, **fields}.items():
            self.write(f"txt2img_{name}", str(number))
        self.write("txt2img_prompt", prompt)

    def generate(self) -> None:
        self.page.click("#txt2img_generate")

    def wait_for_text(self, element: str, text: str) -> None:
        """Until the element shows `text`, however long a job of the tiny model may take."""
        self.page.locator(f"#{element}").filter(has_text=text).wait_for(timeout=PATIENCE_MS)

    def wait_for_picture(self, prompt: str) -> None:
        """Until a picture of `prompt` and its parameters are shown and nothing runs here."""
        self.wait_for_text("txt2img_infotext", prompt)
        self.page.locator("#txt2img_gallery .preview img").first.wait_for(timeout=PATIENCE_MS)
        self.page.locator("#txt2img_live").wait_for(state="hidden", timeout=PATIENCE_MS)

    def wait_for_step(self) -> None:
        """Until the progress of a job is shown."""
        self.wait_for_text("txt2img_progress_text", "step ")

    def reload(self) -> None:
        self.page.reload()
        self.settle()

    def settle(self) -> None:
        """Until the page has asked the server how it is."""
        self.page.locator("#easel_model_state[data-state]").wait_for(timeout=PATIENCE_MS)


OpenPage = Callable[..., Visitor]


@pytest.fixture
def open_page(server: Server, browser: Browser) -> Iterator[OpenPage]:
    """Opens the page; pages of one `context` share the browser's memory, others do not."""
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def open_it(
        *, beside: Visitor | None = None, size: tuple[int, int] = (1440, 900), **options: Any
    ) -> Visitor:
        context = beside.page.context if beside else _context(browser, size, options)
        if context not in contexts:
            contexts.append(context)
        visitor = Visitor(context.new_page())
        visitors.append(visitor)
        _listen(visitor, server.url)
        visitor.page.set_default_timeout(PATIENCE_MS)
        visitor.page.goto(server.url)
        visitor.settle()
        return visitor

    yield open_it
    for context in contexts:
        context.close()
    server.clear()
    assert [line for visitor in visitors for line in visitor.complaints] == []


@pytest.fixture
def visitor(open_page: OpenPage) -> Visitor:
    """One fresh page on a desktop screen."""
    return open_page()


def _context(browser: Browser, size: tuple[int, int], options: dict[str, Any]) -> BrowserContext:
    return browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)


def _listen(visitor: Visitor, url: str) -> None:
    def requested(address: str) -> None:
        if not address.startswith((url, "data:", "blob:")):
            visitor.complaints.append(f"asked {address}")

    visitor.page.on("request", lambda request: requested(request.url))
    visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))


@pytest.fixture(scope="module")
def shared_visitor(server: Server, browser: Browser) -> Iterator[Visitor]:
    """One page for tests that only ask its scripts."""
    context = browser.new_context()
    visitor = Visitor(context.new_page())
    visitor.page.goto(server.url)
    visitor.settle()
    yield visitor
    context.close()
