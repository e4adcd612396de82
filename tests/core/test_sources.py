"""Addresses that prompts may be pulled from, and those that nobody may even try."""

from __future__ import annotations

import pytest

from promptreg.core.sources import check_source_name, check_url, is_local, name_for
from promptreg.errors import UsageError


@pytest.mark.parametrize(
    ("url", "local", "name"),
    [
        ("https://github.com/acme/prompts.git", False, "prompts"),
        ("https://[::1]:8443/acme/prompts/", False, "prompts"),
        ("ssh://git@example.org:22/acme/prompts", False, "prompts"),
        ("git@example.org:acme/prompts.git", False, "prompts"),
        ("example.org:prompts", False, "prompts"),
        ("file:///srv/git/prompts.git", True, "prompts"),
        ("../our prompts", True, "our-prompts"),
        ("/srv/a:b", True, "b"),
    ],
)
def test_addresses(url: str, local: bool, name: str) -> None:
    assert check_url(url) == url
    assert is_local(url) is local
    assert name_for(url) == name


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-oProxyCommand=id",
        "--upload-pack=id",
        "ext::sh -c id",
        "fd::3",
        "::x",
        "ssh://-oProxyCommand=id/x",
        "git@-oProxyCommand=id:x",
        "-x:y",
        "http://example.org/x",
        "git://example.org/x",
        "ftp://example.org/x",
        "file://elsewhere/x",
        "file://",
        "file:///",
        "https:///x",
        "https://example.org",
        "a\nb",
        " https://example.org/x",
        "https://example.org/a b",
        "https://example.org/x" + "x" * 3000,
    ],
)
def test_refused(url: str) -> None:
    with pytest.raises(UsageError):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:hunter2@example.org/x",
        "https://hunter2@example.org/x",
        "https://ada:hunt/er2@example.org/x",
        "HTTPS://ada:hunter2@example.org/x",
        "ssh://git:hunter2@example.org/x",
        "http://ada:hunter2@example.org/x",
        "-https://ada:hunter2@example.org/x",
        "https://ada:hun ter2@example.org/x",
        "https://example.org/x?token=hunter2",
        "https://example.org/x#hunter2",
        "ada:hunter2@example.org:x",
        "ext::https://ada:hunter2@example.org/x",
    ],
)
def test_secrets_are_refused_and_never_shown(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_url(url)
    assert "hunt" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("name", ["", "..", "a/b", "-a", "a.b", ".git", "a" * 61, "a\n", "é"])
def test_names_that_no_source_can_have(name: str) -> None:
    with pytest.raises(UsageError):
        check_source_name(name)


@pytest.mark.parametrize("url", ["..", "///"])
def test_a_name_cannot_always_be_made(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        name_for(url)
    assert "--as NAME" in (caught.value.hint or "")
