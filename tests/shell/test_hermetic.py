"""The world of the tests is closed: what conftest.py promises."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest


def test_home_and_cache_are_temporary() -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "PROMPTREG_CACHE", "GIT_CONFIG_GLOBAL"):
        assert Path(os.environ[name]).is_relative_to(tempfile.gettempdir())


@pytest.mark.parametrize("address", [("192.0.2.1", 443), ("example.com", 80)])
def test_the_network_is_out_of_reach(address: tuple[str, int]) -> None:
    with socket.socket() as far, pytest.raises(OSError, match="loopback only"):
        far.connect(address)


def test_loopback_is_within_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        assert near.getpeername() == server.getsockname()


def test_no_key_of_the_user_is_seen() -> None:
    assert not [name for name in os.environ if name.upper().endswith(("_API_KEY", "_TOKEN", "_SECRET", "_PROXY"))]


def test_commits_have_a_fixed_author_and_date(tmp_path: Path) -> None:
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    shown = subprocess.run(["git", "log", "--format=%an %aI %H"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert shown.startswith("Test Author 2024-05-17T12:00:00+00:00 ")
