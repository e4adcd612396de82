"""A real `gto` and promptreg read each other's repositories alike. Runs where gto is installed (or named by $GTO)."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from repositories import DATE, commit, tag

from promptreg.core.refs import deprecate_tag, label_tag, release_tag, withdraw_tag
from promptreg.core.semver import Version
from promptreg.registry.history import History
from promptreg.registry.plumbing import Git

GTO = os.environ.get("GTO") or shutil.which("gto")
pytestmark = pytest.mark.skipif(GTO is None, reason="gto is not installed (make test does it; or name one by $GTO)")
NAMES = ("support/triage", "dates")
LABELS = ("production", "staging")

View = Mapping[str, tuple[str | None, dict[str, str]]]  # name → greatest version, label → version


def gto(root: Path, *arguments: str, at: int = 0) -> str:
    assert GTO is not None
    env = {**os.environ, "GIT_COMMITTER_DATE": f"{at} +0000"}
    done = subprocess.run([GTO, *arguments], cwd=root, check=False, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def theirs(root: Path) -> View:
    shown = json.loads(gto(root, "show", "--json"))
    return {
        name: (one["version"], {label: version for label, version in one["stage"].items() if version})
        for name, one in shown.items()
    }


def ours(root: Path) -> View:
    found: dict[str, tuple[str | None, dict[str, str]]] = {}
    for name, artefact in History(Git(root, os.environ)).state.artefacts.items():
        greatest = max(artefact.live, key=lambda release: release.version, default=None)
        labels = {label: f"v{move.version}" for label, move in artefact.labels.items()}
        found[name] = (f"v{greatest.version}" if greatest else None, labels)
    return found


def happenings(seed: int) -> list[tuple[str, str, int, str]]:
    """Operations in any order; withdrawing a version that has a label is not among them: gto then shows an older one."""
    chance = random.Random(seed)
    kinds = ["release"] * 4 + ["promote"] * 4 + ["unlabel"] * 2 + ["withdraw"]
    return [(chance.choice(kinds), chance.choice(NAMES), chance.randrange(9), chance.choice(LABELS)) for _ in range(22)]


class Registry:
    """What has happened so far, so that only what can happen does."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[Version, str]] = {name: {} for name in NAMES}
        self.labels: dict[str, dict[str, list[Version]]] = {name: {label: [] for label in LABELS} for name in NAMES}

    def choose(self, name: str, choice: int) -> Version | None:
        live = list(self.commits[name])
        return live[choice % len(live)] if live else None

    def labelled(self, name: str) -> set[Version]:
        return {version for holders in self.labels[name].values() for version in holders}


@pytest.mark.parametrize("seed", range(2))
def test_gto_agrees_about_what_promptreg_wrote(tmp_path: Path, seed: int) -> None:
    root, known = tmp_path / "repo", Registry()
    counters = dict.fromkeys(NAMES, 0)
    released = dict.fromkeys(NAMES, 0)
    commit(root, {"promptreg.yaml": ""})
    for time, (kind, name, choice, label) in enumerate(happenings(seed)):
        version = known.choose(name, choice)
        if kind == "release":
            made = Version(1, released[name], 0)
            released[name] += 1
            known.commits[name][made] = commit(root, {"notes": str(time)})
            tag(root, str(release_tag(name, made)), DATE + time)
        elif kind == "promote" and version:
            counters[name] += 1
            _hold(known, name, label, version)
            body = f"Promote\n\n---\nversion: {version}\n"
            tag(root, str(label_tag(name, label, counters[name])), DATE + time, known.commits[name][version], body)
        elif kind == "unlabel" and known.labels[name][label]:
            counters[name] += 1
            lost = known.labels[name][label].pop()
            tag(root, str(label_tag(name, label, counters[name], remove=True)), DATE + time, known.commits[name][lost])
        elif kind == "withdraw" and version and version not in known.labelled(name):
            tag(root, str(withdraw_tag(name, version)), DATE + time, known.commits[name].pop(version))
    tag(root, "v9.9.9", DATE)
    assert ours(root) == theirs(root)
    assert History(Git(root, os.environ)).state.warnings == ()


@pytest.mark.parametrize("seed", range(2))
def test_promptreg_agrees_about_what_gto_wrote(tmp_path: Path, seed: int) -> None:
    root, known = tmp_path / "repo", Registry()
    commit(root, {"promptreg.yaml": ""})
    for time, (kind, name, choice, label) in enumerate(happenings(seed)[:14]):
        at = DATE + time
        version = known.choose(name, choice)
        if kind == "release":
            made = Version(1, time, 0)
            known.commits[name][made] = commit(root, {"notes": str(time)})
            gto(root, "register", name, "--version", f"v{made}", at=at)
        elif kind == "promote" and version and version not in known.labels[name][label][-1:]:
            _hold(known, name, label, version)
            gto(root, "assign", name, "--version", f"v{version}", "--stage", label, "--force", at=at)
        elif kind == "unlabel" and known.labels[name][label]:
            gto(root, "deprecate", name, f"v{known.labels[name][label].pop()}", label, at=at)
        elif kind == "withdraw" and version and version not in known.labelled(name):
            known.commits[name].pop(version)
            gto(root, "deprecate", name, f"v{version}", at=at)
    assert ours(root) == theirs(root)
    assert History(Git(root, os.environ)).state.warnings == ()


def test_a_deprecated_name_is_known_to_both(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    commit(root)
    tag(root, "dates@v1.0.0", DATE)
    tag(root, str(deprecate_tag("dates")), DATE + 1, body="Nobody asks.\n\n---\nreplacement: times@^1\n")
    assert theirs(root) == ours(root)
    deprecation = History(Git(root, os.environ)).state.artefact("dates").deprecation
    assert deprecation is not None
    assert deprecation.replacement == "times@^1"
    assert json.loads(gto(root, "history", "dates", "--json"))[0]["event"] == "deprecation"


def _hold(known: Registry, name: str, label: str, version: Version) -> None:
    holders = known.labels[name][label]
    if version in holders:
        holders.remove(version)
    holders.append(version)
