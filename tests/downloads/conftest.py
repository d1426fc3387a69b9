"""A web server on this machine, a hub on it, and folders for models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.core.paths import Paths, paths_of
from modules.downloads.transfer import Transfer
from modules.setup.flags import parse_flags
from tests.downloads.hub_site import HubSite
from tests.downloads.web_site import LOCAL, Site, served


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as made:
        yield made


@pytest.fixture
def hub_site(site: Site) -> HubSite:
    """The site is the hub."""
    return HubSite(site)


@pytest.fixture
def transfer() -> Transfer:
    """Reaches this machine, and does not pause before it tries again."""
    return Transfer(policy=LOCAL, wait=lambda seconds: None)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return paths_of(parse_flags(["--data-dir", str(tmp_path)], {}, tmp_path), tmp_path)
