"""Prompts at versions, labels and revisions of real repositories, friendly and hostile."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from repositories import DATE, PROMPT, SETTINGS, at_revision, commit, git, opened, tag, write

from promptreg.core.refs import parse_selector
from promptreg.errors import DocumentError, UsageError
from promptreg.registry import Registry, open_revision
from promptreg.registry.history import History
from promptreg.registry.plumbing import SHALLOW_HINT, Git
from promptreg.registry.tags import read_tags

FILES = {
    "promptreg.yaml": SETTINGS,
    "prompts/support/triage.yaml": PROMPT.replace("{{ x }}", '{% include "_tone.jinja" %} {{ x }}'),
    "prompts/_tone.jinja": "Be kind.",
    "suites/all.yaml": "prompts: ['**']\nchecks: [exact]\ndataset: rows.jsonl\n",
    "suites/rows.jsonl": '{"inputs": {"x": 1}}\n',
}
TRIAGE = "prompts/support/triage.yaml"


def saying(text: str) -> dict[str, str]:
    return {TRIAGE: PROMPT.replace("{{ x }}", f"{text} {{{{ x }}}}")}


def said(registry: Registry, reference: str) -> str:
    return str(registry.prompt(reference).messages[0].content)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "registry"
    commit(root, FILES | saying("one"))
    tag(root, "support/triage@v1.0.0", DATE)
    tag(root, "support/triage#production#1", DATE + 1)
    commit(root, saying("two"))
    tag(root, "support/triage@v1.1.0", DATE + 10)
    tag(root, "support/triage#staging#2", DATE + 11)
    commit(root, saying("three"))
    tag(root, "support/triage@v2.0.0-rc.1", DATE + 20)
    commit(root, saying("four"))
    write(root, saying("five"))
    return root


@pytest.fixture
def root(tmp_path: Path, template: Path) -> Path:
    """Version 1.0.0 says one, 1.1.0 says two, 2.0.0-rc.1 says three; HEAD says four, the working tree five."""
    return Path(shutil.copytree(template, tmp_path / "registry", symlinks=True))


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ("", "five"),
        ("@working", "five"),
        ("@1.0.0", "one"),
        ("@v1.1.0", "two"),
        ("@^1.0", "two"),
        ("@>=1,<1.1", "one"),
        ("@latest", "two"),
        ("@greatest", "two"),
        ("@2.0.0-rc.1", "three"),
        ("@production", "one"),
        ("@staging", "two"),
        ("@git:HEAD", "four"),
        ("@git:HEAD~3", "one"),
        ("@git:main", "four"),
        ("@git:support/triage@v1.1.0", "two"),
        ("@git::/work", "four"),
    ],
)
def test_prompts_at_references(root: Path, selector: str, text: str) -> None:
    with opened(root) as registry:
        assert said(registry, f"support/triage{selector}") == f"{text} {{{{ x }}}}"


def test_a_resolution_says_where_and_what(root: Path) -> None:
    with opened(root) as registry:
        found = registry.resolve("support/triage@production")
        assert found.commit == git(root, "rev-parse", "HEAD~3")
        assert found.release is not None
        assert (str(found.release.version), found.release.event.by.tagger) == ("1.0.0", "Test Author")
        assert found.prompt.where.path == f"{found.commit[:10]}:prompts/support/triage.yaml"
        here = registry.resolve("support/triage")
        assert (here.commit, here.release) == (None, None)
        assert here.source != found.source
        assert here.behaviour != found.behaviour
        write(root, {TRIAGE: FILES[TRIAGE] + "# only a comment\n"})
        commented = opened(root).resolve("support/triage")
        write(root, {TRIAGE: FILES[TRIAGE]})
        plain = opened(root).resolve("support/triage")
        assert commented.behaviour == plain.behaviour
        assert commented.source != plain.source
        write(root, {"prompts/_tone.jinja": "Be brief."})
        brief = opened(root).resolve("support/triage")
        assert brief.behaviour != plain.behaviour
        assert brief.source != plain.source


def test_digests_are_the_same_at_a_commit_and_in_the_tree(root: Path) -> None:
    git(root, "checkout", "-q", TRIAGE)
    with opened(root) as registry:
        there, here = registry.resolve("support/triage@git:HEAD"), registry.resolve("support/triage")
    assert (there.source, there.behaviour) == (here.source, here.behaviour)


def test_errors_name_what_exists(root: Path) -> None:
    with opened(root) as registry:
        for reference, message in (
            ("support/triage@3.0.0", r"support/triage has no release 3\.0\.0"),
            ("support/triage@prod", "support/triage has no label 'prod'; did you mean 'production'"),
            ("support/triag@latest", "support/triag has no releases; did you mean 'support/triage'"),
            ("support/triag@git:HEAD", "unknown prompt 'support/triag'; did you mean 'support/triage'"),
            ("support/triage@git:nowhere", "Git knows no commit 'nowhere'"),
            ("support/triage@git:HEAD~99", "Git knows no commit 'HEAD~99'"),
            ("support/triage@git:HEAD:prompts", "Git knows no commit 'HEAD:prompts'"),
            ("support/triage@git:HEAD..HEAD~1", r"Git knows no commit 'HEAD\.\.HEAD~1'"),
            ("support/triage@git:--all", "cannot be a Git revision"),
            ("acme:support/triage@1", "no source 'acme' has been pulled"),
        ):
            with pytest.raises(UsageError, match=message):
                registry.prompt(reference)
        with pytest.raises(UsageError, match="'support/triage@git:HEAD' names no release"):
            registry.release("support/triage@git:HEAD")


def test_a_fault_at_a_commit_names_the_commit(root: Path) -> None:
    broken = commit(root, {TRIAGE: "messages: 5\n"})
    with opened(root) as registry, pytest.raises(DocumentError) as caught:
        registry.prompt("support/triage@git:HEAD")
    assert str(caught.value.where).startswith(f"{broken[:10]}:prompts/support/triage.yaml:1")


def test_a_whole_registry_at_a_revision(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD~3")
    with opened(root) as registry:
        old = open_revision(registry, "HEAD~3")
        assert old.head() == (first, False)
        assert said(old, "support/triage") == "one {{ x }}"
        assert old.prompt_names() == ("support/triage",)
        assert [case.inputs for case in old.cases(old.suite("all"))] == [{"x": 1}]
        assert said(old, "support/triage@staging") == "two {{ x }}"
        git(root, "rm", "-rq", "--cached", "promptreg.yaml")
        git(root, "commit", "-qm", "no registry")
        with pytest.raises(UsageError, match=r"there is no file 'promptreg\.yaml' at"):
            open_revision(registry, "HEAD")


def test_bare_repositories_and_linked_worktrees(root: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(root), "bare.git")
    with at_revision(tmp_path / "bare.git") as bare:
        assert said(bare, "support/triage") == "four {{ x }}"
        assert said(bare, "support/triage@production") == "one {{ x }}"
    with pytest.raises(UsageError, match=r"no promptreg\.yaml") as caught:
        opened(tmp_path / "bare.git")
    assert "open it at a revision" in (caught.value.hint or "")
    git(root, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"), "HEAD~1")
    with opened(tmp_path / "side" / "prompts") as side:
        assert said(side, "support/triage") == "three {{ x }}"
        assert said(side, "support/triage@git:HEAD") == "three {{ x }}"
        assert said(side, "support/triage@git:main") == "four {{ x }}"
        assert said(side, "support/triage@latest") == "two {{ x }}"


def test_a_registry_in_a_folder_of_a_repository(tmp_path: Path) -> None:
    top = tmp_path / "mono"
    commit(top, {f"teams/ai/{path}": text for path, text in (FILES | saying("one")).items()} | {"prompts/other.yaml": "no"})
    tag(top, "support/triage@v1.0.0")
    write(top, {"teams/ai/" + path: text for path, text in saying("two").items()})
    with opened(top / "teams/ai") as registry:
        assert said(registry, "support/triage@1.0.0") == "one {{ x }}"
        assert registry.prompt("support/triage@1.0.0").where.path.endswith(":teams/ai/prompts/support/triage.yaml")
        assert open_revision(registry, "HEAD").prompt_names() == ("support/triage",)
    with at_revision(top, folder="teams/ai") as there:
        assert said(there, "support/triage") == "one {{ x }}"


def test_sha256_repositories(tmp_path: Path) -> None:
    root = tmp_path / "new"
    oid = commit(root, FILES | saying("one"), "--object-format=sha256")
    tag(root, "support/triage@v1.0.0")
    tag(root, "support/triage#production#1")
    with opened(root) as registry:
        found = registry.resolve("support/triage@production")
        assert (found.commit, len(oid)) == (oid, 64)
        assert found.release is not None
        assert len(found.release.event.by.oid) == 64
        assert registry.history.git.object_format == "sha256"


def test_packed_refs_and_detached_heads(root: Path) -> None:
    git(root, "checkout", "-qf", "--detach", "HEAD~1")
    git(root, "pack-refs", "--all")
    git(root, "gc", "-q")
    with opened(root) as registry:
        assert said(registry, "support/triage@production") == "one {{ x }}"
        assert said(registry, "support/triage@git:HEAD") == "three {{ x }}"


def test_a_shallow_clone_says_what_to_fetch(root: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{root}", "shallow")
    with opened(tmp_path / "shallow") as shallow:
        assert said(shallow, "support/triage@git:HEAD") == "four {{ x }}"
        for selector in ("latest", "production", "^1", "1.0.0", "git:HEAD~1"):
            with pytest.raises(UsageError, match="shallow clone") as caught:
                shallow.prompt(f"support/triage@{selector}")
            assert caught.value.hint == SHALLOW_HINT
        git(tmp_path / "shallow", "fetch", "-q", "--depth", "1", "origin", "tag", "support/triage@v1.0.0")
    with opened(tmp_path / "shallow") as shallow:
        assert said(shallow, "support/triage@1.0.0") == "one {{ x }}"
        with pytest.raises(UsageError, match="tags may be missing"):
            shallow.prompt("support/triage@latest")
    git(tmp_path / "shallow", "fetch", "-q", "--unshallow", "--tags")
    with opened(tmp_path / "shallow") as whole:
        assert said(whole, "support/triage@latest") == "two {{ x }}"


def test_a_partial_clone_fetches_what_is_asked_for(root: Path, tmp_path: Path) -> None:
    git(root, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{root}", "partial")
    git(tmp_path / "partial", "checkout", "-q", "HEAD", "--", "promptreg.yaml")
    with opened(tmp_path / "partial") as partial:
        assert said(partial, "support/triage@production") == "one {{ x }}"


def test_merge_bases(root: Path) -> None:
    git(root, "checkout", "-qfb", "side", "HEAD~2")
    side = commit(root, {"notes.txt": "x"})
    known = Git(root, os.environ)
    assert known.merge_base(side, git(root, "rev-parse", "main")) == git(root, "rev-parse", "main~2")
    git(root, "checkout", "-q", "--orphan", "alone")
    assert known.merge_base(side, commit(root)) is None
    with pytest.raises(UsageError, match="is not an object id"):
        known.merge_base("--all", side)


# hostile ---------------------------------------------------------------------------------------------------------------------


def test_the_callers_git_variables_do_not_count(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    commit(other, FILES | saying("foreign"))
    tag(other, "support/triage@v9.0.0")
    env = {"GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other), "GIT_OBJECT_DIRECTORY": str(other / ".git/objects")}
    with opened(root, **env, GIT_NAMESPACE="x", GIT_CONFIG_COUNT="bad", GIT_TRACE="1") as registry:
        assert said(registry, "support/triage@latest") == "two {{ x }}"
        assert said(registry, "support/triage@git:HEAD") == "four {{ x }}"


def test_replaced_objects_do_not_count(root: Path) -> None:
    paths = ("HEAD~3", "HEAD~3^{tree}", f"HEAD~3:{TRIAGE}", "support/triage@v1.0.0")
    others = [path.replace("HEAD~3", "HEAD").replace("v1.0.0", "v1.1.0") for path in paths]
    pairs = [(git(root, "rev-parse", path), git(root, "rev-parse", other)) for path, other in zip(paths, others, strict=True)]
    for oid, other in pairs:
        git(root, "replace", oid, other)
    assert "four" in git(root, "show", f"HEAD~3:{TRIAGE}")  # git itself is fooled
    with opened(root) as registry:
        assert said(registry, "support/triage@1.0.0") == "one {{ x }}"


def test_no_hook_filter_or_monitor_runs(root: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\ncat\n")
    trap.chmod(0o755)
    for hook in ("post-checkout", "reference-transaction", "pre-commit", "post-index-change"):
        (root / ".git/hooks" / hook).write_text(trap.read_text())
        (root / ".git/hooks" / hook).chmod(0o755)
    (root / ".gitattributes").write_text("*.yaml filter=evil diff=evil\n*.jinja filter=evil\n")
    for key in (
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.textconv",
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
    ):
        git(root, "config", key, str(trap))
    with opened(root) as registry:
        registry.prompt("support/triage@production")
        open_revision(registry, "HEAD").suite_names()
        assert registry.state.names == ("support/triage",)
    assert not (tmp_path / "sprung").exists()


def test_a_repository_planted_in_the_tree_is_not_asked(tmp_path: Path) -> None:
    """A pull request may add the files of a bare repository beside promptreg.yaml; git would find it before the real one."""
    top = tmp_path / "mono"
    commit(top, {f"ai/{path}": text for path, text in (FILES | saying("one")).items()})
    tag(top, "support/triage@v1.0.0")
    evil = tmp_path / "evil"
    commit(evil, FILES | saying("evil"))
    tag(evil, "support/triage@v9.9.9")
    git(tmp_path, "clone", "-q", "--bare", str(evil), "planted")
    for path in (tmp_path / "planted").iterdir():
        path.rename(top / "ai" / path.name)
    with opened(top / "ai") as registry:
        try:
            found = said(registry, "support/triage@latest")
        except UsageError as fault:
            found = fault.message
    assert "evil" not in found
    assert "git refuses" in found


@pytest.mark.parametrize("name", ["--upload-pack=touch@v1.0.0", "-d@v1.0.0", "a..b@v1.0.0", "é@v1.0.0", "support/triage@v01.0.0"])
def test_hostile_tag_names_are_told_of(root: Path, name: str) -> None:
    path = root / ".git/packed-refs"
    git(root, "pack-refs", "--all")
    path.write_text(path.read_text() + f"{git(root, 'rev-parse', 'support/triage@v1.0.0')} refs/tags/{name}\n")
    with opened(root) as registry:
        assert said(registry, "support/triage@latest") == "two {{ x }}"
        told = [oddity.ref for oddity in registry.state.warnings]
        assert told == ([name] if ".." not in name else [])  # git itself passes over a name that no ref can have


def test_odd_tags_disable_nothing(root: Path) -> None:
    head = git(root, "rev-parse", "HEAD")
    git(root, "tag", "support/triage@v3.0.0")  # lightweight
    git(root, "tag", "-a", "-m", "x", "support/triage@v4.0.0", "HEAD^{tree}")
    git(root, "tag", "-a", "-m", "x", "support/triage@v5.0.0", "support/triage@v1.0.0")  # a tag of a tag
    for version, header in (("v6.0.0", "tagger nobody\n"), ("v7.0.0", "")):
        text = f"object {head}\ntype commit\ntag support/triage@{version}\n{header}\nhi\n"
        oid = git(root, "hash-object", "-t", "tag", "-w", "--literally", "--stdin", stdin=text.encode())
        git(root, "update-ref", f"refs/tags/support/triage@{version}", oid)
    with opened(root) as registry:
        assert said(registry, "support/triage@latest") == "two {{ x }}"
        told = {oddity.ref.removeprefix("support/triage@"): oddity.message for oddity in registry.state.warnings}
    assert told.keys() == {"v3.0.0", "v4.0.0", "v5.0.0", "v6.0.0", "v7.0.0"}
    assert "lightweight" in told["v3.0.0"]
    assert "points at no commit" in told["v4.0.0"]
    assert "points at no commit" in told["v5.0.0"]
    assert "no date" in told["v6.0.0"]


def test_damaged_tags_disable_nothing(root: Path) -> None:
    refs = root / ".git/refs/tags/support"
    (refs / "triage@v3.0.0").write_text("1" * 40 + "\n")
    (refs / "triage@v4.0.0").write_text("junk\n")
    bad = git(root, "hash-object", "-t", "tag", "-w", "--literally", "--stdin", stdin=b"garbage\n")
    (refs / "triage@v5.0.0").write_text(bad + "\n")
    with opened(root) as registry:
        assert said(registry, "support/triage@latest") == "two {{ x }}"
        told = {oddity.ref: oddity.message for oddity in registry.state.warnings}
    assert told.keys() == {"support/triage@v3.0.0", "support/triage@v5.0.0"}  # git passes over junk by itself
    assert "missing object" in told["support/triage@v3.0.0"]


def test_bodies_may_hold_anything(root: Path) -> None:
    head = git(root, "rev-parse", "HEAD")
    bodies = {
        "v3.0.0": b"\xff\xfe not UTF-8\n",
        "v3.0.1": b"a\n\nrefs/tags/x@v1.0.0\ntag\n\x01\x1b[31m\n",
        "v3.0.2": b"before\0after\n",
        "v3.0.3": "é\n\n---\nversion: 1\n".encode(),
        "v3.0.4": b"",
        "v3.0.5": b"text\n-----BEGIN SSH SIGNATURE-----\nnot really\n-----END SSH SIGNATURE-----\n",
    }
    for version, body in bodies.items():
        text = f"object {head}\ntype commit\ntag support/triage@{version}\ntagger A <a@b> {DATE + 99} +0000\n\n".encode() + body
        oid = git(root, "hash-object", "-t", "tag", "-w", "--literally", "--stdin", stdin=text)
        git(root, "update-ref", f"refs/tags/support/triage@{version}", oid)
    read = {tag.ref.removeprefix("support/triage@"): tag for tag in read_tags(Git(root, os.environ))}
    assert read["v3.0.0"].body == "\\xff\\xfe not UTF-8\n"
    assert read["v3.0.1"].body == bodies["v3.0.1"].decode()
    assert read["v3.0.2"].body.startswith("before")
    assert read["v3.0.3"].body == bodies["v3.0.3"].decode()
    assert (read["v3.0.5"].body, read["v3.0.5"].signed) == ("text\n", True)
    assert [tag.email for tag in read.values()].count("a@b") == len(bodies)
    with opened(root) as registry:
        assert str(registry.release("support/triage@greatest").version) == "3.0.5"
        assert registry.state.warnings == ()


def test_the_tags_of_one_name_are_all_of_them(root: Path) -> None:
    for name in ("support/triage#team/eu/prod#3", "support/triage-2@v1.0.0", "support@v1.0.0", "support/triage/x@v1.0.0"):
        tag(root, name)
    known = Git(root, os.environ)
    everything = [one for one in read_tags(known) if one.ref.startswith(("support/triage@", "support/triage#"))]
    assert read_tags(known, ("support/triage",)) == everything
    assert len(everything) == 6


def test_many_names_do_not_mean_many_processes(root: Path, tmp_path: Path) -> None:
    for number in range(5):
        tag(root, f"other{number}@v1.0.0")
    traced = tmp_path / "bin" / "git"
    traced.parent.mkdir()
    traced.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\nPATH={os.environ["PATH"]} exec git "$@"\n')
    traced.chmod(0o755)
    history = History(Git(root, {**os.environ, "PATH": f"{traced.parent}:{os.environ['PATH']}"}))
    latest = parse_selector("latest")
    for name in ("support/triage", "support/triage", *(f"other{number}" for number in range(5)), "support/triage"):
        history.release(name, latest)  # type: ignore[arg-type]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert sum("for-each-ref" in line for line in asked) == 2  # the first name's tags, then all
    assert len(asked) == 3  # and whether the clone is shallow


def test_without_git_or_tags(root: Path, tmp_path: Path) -> None:
    with opened(root, PATH="/nonexistent") as registry:
        assert said(registry, "support/triage") == "five {{ x }}"
        for reference in ("support/triage@latest", "support/triage@git:HEAD"):
            with pytest.raises(UsageError, match="there is no git here"):
                registry.prompt(reference)
    plain = write(tmp_path / "plain", FILES)
    assert opened(plain).state.names == ()
    with pytest.raises(UsageError, match="is not in a Git repository"):
        opened(plain).prompt("support/triage@latest")
    git(plain, "init", "-q")
    with pytest.raises(UsageError, match="support/triage has no releases"):
        opened(plain).prompt("support/triage@latest")
    with pytest.raises(UsageError, match="Git knows no commit 'HEAD'"):
        opened(plain).prompt("support/triage@git:HEAD")


def test_an_old_git_is_named(root: Path, tmp_path: Path) -> None:
    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    old.write_text('#!/bin/sh\ncase "$*" in *version*) echo git version 2.20.1;; *) echo "unknown option" >&2; exit 129;; esac\n')
    old.chmod(0o755)
    with opened(root, PATH=f"{old.parent}:/bin:/usr/bin") as registry:
        for reference in ("support/triage@latest", "support/triage@git:HEAD"):
            with pytest.raises(UsageError, match=r"git 2\.20\.1 is too old") as caught:
                registry.prompt(reference)
            assert "2.36" in (caught.value.hint or "")


def test_ten_thousand_tags_are_read_with_one_process(tmp_path: Path) -> None:
    root = tmp_path / "big"
    commit(root, {"promptreg.yaml": SETTINGS})
    head = git(root, "rev-parse", "HEAD")
    stream = "".join(
        f"tag p{n % 2000}@v1.{n // 2000}.0\nfrom {head}\ntagger A <a@b> {DATE + n} +0000\ndata 4\ntext\n" for n in range(10_000)
    )
    git(root, "fast-import", "--quiet", stdin=stream.encode())
    counter = tmp_path / "count"
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {counter}\nPATH={os.environ["PATH"]} exec git "$@"\n')
    wrapper.chmod(0o755)
    history = History(Git(root, {**os.environ, "PATH": f"{wrapper.parent}:{os.environ['PATH']}"}))
    begun = time.perf_counter()
    assert len(history.state.artefacts) == 2000
    latest = [str(history.state.artefact(name).latest.version) for name in history.state.names]  # type: ignore[union-attr]
    assert time.perf_counter() - begun < 5  # a whole second is the goal, which benchmarks/registry.py measures
    assert set(latest) == {"1.4.0"}
    assert len(counter.read_text().splitlines()) == 1
    assert str(history.release("p7", parse_selector("^1")).version) == "1.4.0"  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_user_is_refused_with_the_remedy(root: Path) -> None:
    for path in (root, root / ".git"):
        os.chown(path, 12345, 12345)
    with opened(root) as registry:
        assert said(registry, "support/triage") == "five {{ x }}"
        for ask in (lambda: registry.prompt("support/triage@latest"), lambda: registry.prompt("support/triage@git:HEAD")):
            with pytest.raises(UsageError, match="detected dubious ownership") as caught:
                ask()
            assert "git config --global --add safe.directory" in (caught.value.hint or "")
    trusted = root.parent / "gitconfig"
    trusted.write_text(f"[safe]\n\tdirectory = {root}\n")
    with opened(root, GIT_CONFIG_GLOBAL=str(trusted)) as registry:
        assert said(registry, "support/triage@latest") == "two {{ x }}"
