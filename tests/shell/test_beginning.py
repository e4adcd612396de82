"""`init --git`: a repository of the user's own with a first commit, by whom Git says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from promptreg.cli import invoke
from promptreg.errors import UsageError
from promptreg.registry.beginning import begin


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_init_with_git_leaves_a_clean_repository_with_one_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = tmp_path / "shop"
    assert invoke(["init", str(shop), "--git", "--quiet"]) == 0
    assert git(shop, "status", "--porcelain") == ""
    assert git(shop, "log", "--format=%an <%ae> %s") == "Test Author <author@example.com> A registry of prompts"
    assert git(shop, "rev-parse", "HEAD")[:12] in capsys.readouterr().out
    assert git(shop, "branch", "--show-current") == "main"


def test_a_repository_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(tmp_path, "init", "-q")
    assert invoke(["init", str(tmp_path / "inside"), "--git"]) == 2
    assert "there is a Git repository already" in capsys.readouterr().err
    assert not (tmp_path / "inside" / "promptreg.yaml").exists()


def test_nobody_commits_under_a_made_up_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "new").mkdir()
    with pytest.raises(UsageError, match=r"user\.name is not set"):
        begin(tmp_path / "new", [], "first", {}, now=0)
