"""Random histories, made by the commands: promptreg, a naive model, and a real gto agree on where every version and label is."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from dataclasses import dataclass, field

import pytest
from conftest import User
from repositories import DATE, git
from test_releasing import SETTINGS, TRIAGE, commit

UNGATED = ("--no-gate", "a test of tags")

GTO = os.environ.get("GTO") or shutil.which("gto")
NAMES = ("support/triage", "dates")
LABELS = ("production", "staging")
KINDS = ["release"] * 4 + ["promote"] * 5 + ["rollback"] * 3 + ["demote", "withdraw"]


@dataclass
class Naive:
    """What somebody would write on a sheet of paper about one name."""

    versions: list[str] = field(default_factory=list)
    withdrawn: set[str] = field(default_factory=set)
    paths: dict[str, list[str]] = field(default_factory=lambda: {label: [] for label in LABELS})

    @property
    def live(self) -> list[str]:
        return [version for version in self.versions if version not in self.withdrawn]

    @property
    def labels(self) -> dict[str, str]:
        return {label: path[-1] for label, path in self.paths.items() if path}

    def promote(self, version: str, label: str) -> None:
        if self.paths[label][-1:] != [version]:
            self.paths[label].append(version)

    def rollback(self, label: str) -> bool:
        path = list(self.paths[label])
        if not path:
            return False
        now = path.pop()
        while path and (path[-1] in self.withdrawn or path[-1] == now):
            path.pop()
        if path:
            self.paths[label] = path
        return bool(path)

    def demote(self, label: str) -> bool:
        had = bool(self.paths[label])
        self.paths[label] = []
        return had

    def withdraw(self, version: str) -> bool:
        if version in self.labels.values():
            return False
        self.withdrawn.add(version)
        return True


def does(user: User, *arguments: str) -> bool:
    said = user(*arguments)
    assert said.code in (0, 2), said.err
    return said.code == 0


def act(user: User, kind: str, name: str, known: Naive, chance: random.Random) -> None:
    """One command, and the same on paper; both refuse, or neither does."""
    label = chance.choice(LABELS)
    if kind == "release":
        user.write(f"prompts/{name}.yaml", TRIAGE.replace("Sort", f"Sort {len(known.versions)}"))
        commit(user)
        assert does(user, "release", *UNGATED, name)
        known.versions.append(f"1.0.{len(known.versions)}")
    elif kind in ("promote", "withdraw") and known.live:
        version = chance.choice(known.live)
        if kind == "promote":
            assert does(user, "promote", f"{name}@{version}", label)
            known.promote(version, label)
        else:
            assert does(user, "withdraw", f"{name}@{version}", "--reason", "chance") == known.withdraw(version)
    elif kind == "rollback":
        assert does(user, "rollback", name, label) == known.rollback(label)
    elif kind == "demote":
        assert does(user, "demote", name, label) == known.demote(label)


def told(user: User) -> dict[str, tuple[str | None, dict[str, str]]]:
    rows = user("list", "--json").json["prompts"]
    return {row["prompt"]: (row["version"], row["labels"]) for row in rows}


@pytest.mark.parametrize("seed", range(4))
def test_commands_a_sheet_of_paper_and_gto_agree(user: User, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    user.write("promptreg.yaml", SETTINGS)
    git(user.root, "init", "-q")
    paper = {name: Naive() for name in NAMES}
    for place, kind in enumerate(["release"] * 2 + [chance.choice(KINDS) for _ in range(28)]):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{DATE + place} +0000")
        name = NAMES[place] if place < 2 else chance.choice(NAMES)
        act(user, kind, name, paper[name], chance)
    wanted = {name: (known.live[-1] if known.live else None, known.labels) for name, known in paper.items()}
    assert told(user) == wanted
    if GTO is not None:
        assert theirs(user) == wanted


def theirs(user: User) -> dict[str, tuple[str | None, dict[str, str]]]:
    assert GTO is not None
    done = subprocess.run([GTO, "show", "--json"], cwd=user.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {
        name: (_bare(one["version"]), {label: version[1:] for label, version in one["stage"].items() if version})
        for name, one in json.loads(done.stdout).items()
    }


def _bare(version: str | None) -> str | None:
    return version[1:] if version else None


@pytest.mark.skipif(GTO is None, reason="gto is not installed (pip install gto, or name it by $GTO)")
def test_gto_reads_each_event_as_what_it_is(user: User) -> None:
    assert GTO is not None
    user.write("promptreg.yaml", SETTINGS)
    user.write("prompts/dates.yaml", TRIAGE)
    git(user.root, "init", "-q")
    commit(user)
    for words in (
        ("release", *UNGATED, "dates", "-m", "Two\n\nlines"),
        ("promote", "dates@1.0.0", "production"),
        ("demote", "dates", "production"),
        ("withdraw", "dates@1.0.0", "--reason", "bad"),
        ("deprecate", "dates", "--reason", "old"),
    ):
        assert does(user, *words)
    done = subprocess.run([GTO, "history", "dates", "--json"], cwd=user.root, capture_output=True, text=True, check=True)
    events = sorted(each["event"] for each in json.loads(done.stdout) if each["event"] != "commit")
    assert events == ["assignment", "deprecation", "deregistration", "registration", "unassignment"]
