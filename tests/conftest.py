"""The hermetic world: no home, no identity, no keys, no colour, no network but loopback, the same dates everywhere.

The environment is changed once for the whole session, so that subprocesses and fixtures of any scope live in it too.
Only tests marked `model` see the user's real cache of model weights; all others get an empty one.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # shared test values (tests/samples.py) from any folder below

settings.register_profile("house", deadline=None)  # a busy machine is no fault of the code: speed lives in benchmarks/
settings.load_profile("house")

NETWORK_FAMILIES = (socket.AF_INET, socket.AF_INET6)
WHEN = "2024-05-17T12:00:00+00:00"
SCRUBBED = re.compile(
    r"(GIT|XDG|GITHUB|GITLAB|CI|PROMPTREG(?!_SKIP_MODEL$|_DATA$)|LC)(_.*)?|LANG|LANGUAGE|.*_(PROXY|API_KEY|TOKEN|SECRET)|FORCE_COLOR|CLICOLOR.*|PAGER|EDITOR|VISUAL",
    re.IGNORECASE,
)
GITCONFIG = """\
[user]
\tname = Test Author
\temail = author@example.com
[init]
\tdefaultBranch = main
[commit]
\tgpgSign = false
[tag]
\tgpgSign = false
[advice]
\tdetachedHead = false
"""

WORLD = pytest.StashKey[tuple[dict[str, str], Path, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refresh-golden", action="store_true", help="rewrite the files under tests/golden/ with what was rendered now"
    )


def pytest_configure(config: pytest.Config) -> None:
    before = dict(os.environ)
    worker = getattr(config, "workerinput", None)  # a worker of xdist is born into the scrubbed world
    real_cache = worker["real_cache"] if worker else os.environ.get("PROMPTREG_CACHE") or platformdirs.user_cache_dir("promptreg")
    home = Path(tempfile.mkdtemp(prefix="promptreg-home-"))
    (home / ".gitconfig").write_text(GITCONFIG)
    (home / "cache").mkdir()
    for name in [name for name in os.environ if SCRUBBED.fullmatch(name)]:
        del os.environ[name]
    os.environ.update(_world(home))
    config.stash[WORLD] = (before, home, real_cache)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker of xdist, before it starts, where the real cache is."""
    node.workerinput["real_cache"] = node.config.stash[WORLD][2]


def pytest_unconfigure(config: pytest.Config) -> None:
    before, home, _ = config.stash[WORLD]
    os.environ.clear()
    os.environ.update(before)
    shutil.rmtree(home, ignore_errors=True)


def _world(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "PROMPTREG_CACHE": str(home / "cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Test Author",
        "GIT_AUTHOR_EMAIL": "author@example.com",
        "GIT_AUTHOR_DATE": WHEN,
        "GIT_COMMITTER_NAME": "Test Author",
        "GIT_COMMITTER_EMAIL": "author@example.com",
        "GIT_COMMITTER_DATE": WHEN,
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "100",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture(autouse=True)
def _weights(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("model"):
        monkeypatch.setenv("PROMPTREG_CACHE", request.config.stash[WORLD][2])


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Sockets of this process reach loopback and local sockets only."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        def guard(self: socket.socket, address: Any) -> Any:
            if self.family in NETWORK_FAMILIES and not _loopback(address[0]):
                raise OSError(f"a test tried to reach {address[0]}: tests may use loopback only")
            return original(self, address)

        return guard

    socket.socket.connect, socket.socket.connect_ex = guarded(connect), guarded(connect_ex)  # type: ignore[method-assign]
    yield
    socket.socket.connect, socket.socket.connect_ex = connect, connect_ex  # type: ignore[method-assign]


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` compares *text* with tests/golden/*name*; `pytest --refresh-golden` writes it instead."""

    def check(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--refresh-golden"):
            path.write_text(text, encoding="utf-8", newline="\n")
        assert path.exists(), f"{path} is missing: run pytest --refresh-golden and read what it wrote"
        assert text == path.read_text(encoding="utf-8"), f"differs from {path}: if it should, run pytest --refresh-golden"

    return check
