"""Lint: one table row for each rule, and what must not be found."""

from __future__ import annotations

from typing import Any

import pytest

from promptreg.core.catalogue import ModelSpec
from promptreg.core.lint import RULES, SECRETS, Finding, dead_partials, lint
from promptreg.core.prompt import MessageTemplate, Parameters, Part, Prompt
from promptreg.errors import Where

FILE = Where("prompts/t.yaml")
SMALL = ModelSpec(alias="small", provider="echo", model="m", context=1000)
UNKNOWN = ModelSpec(alias="unknown", provider="echo", model="m")
TEXT = {"type": "string"}


def prompt(*contents: Any, roles: tuple[Any, ...] = ("user", "assistant"), **rest: Any) -> Prompt:
    messages = tuple(
        MessageTemplate(role=role, content=content, where=Where("prompts/t.yaml", 10 * position + 10))
        for position, (role, content) in enumerate(zip(roles, contents, strict=False))
    )
    return Prompt(name="t", messages=messages, where=FILE, **rest)


def system(text: Any, **rest: Any) -> Prompt:
    return prompt(text, "{{ ticket }}", roles=("system", "user"), inputs={"ticket": TEXT}, trust={"ticket": "untrusted"}, **rest)


CLEAN = system(
    "Be {% include 's/_tone.jinja' %}.",
    partials={"s/_tone.jinja": "kind"},
    params=Parameters(temperature=0, max_tokens=16),
    output_schema={"type": "object", "properties": {"queue": {"enum": ["a"]}}},
    tools=({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},),
)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "objec"}}}


def test_a_clean_prompt_has_no_findings() -> None:
    assert lint(CLEAN, [SMALL, UNKNOWN]) == []


CASES: list[tuple[str, str, Prompt, str, int]] = [
    ("no-messages", "error", prompt(), "no messages", 0),
    ("empty-message", "error", prompt("a", " \n"), "assistant message is empty", 20),
    ("no-user-message", "note", prompt("a", roles=("system",)), "role user", 0),
    ("input-schema", "error", prompt("{{ a }}", inputs={"a": {"type": "strin"}}), "input 'a': not a JSON Schema", 0),
    ("input-schema", "error", prompt("{{ a }}", inputs={"a": {"$ref": "https://x.y/z"}}), "nothing is fetched", 0),
    ("input-default", "error", prompt("{{ a }}", inputs={"a": {"type": "string", "default": 3}}), "default of 'a'", 0),
    ("output-schema", "error", prompt("a", output_schema={"type": "objec"}), "output: not a JSON Schema", 0),
    ("tool-schema", "error", prompt("a", tools=(TOOL,)), "tool 1: not a JSON Schema", 0),
    ("template", "error", prompt("a\n{% if %}"), "Expected an expression", 11),
    ("template", "error", prompt("{% include 's/_tine.jinja' %}", partials={"s/_tone.jinja": ""}), "did you mean", 10),
    (
        "template",
        "error",
        prompt("{% include 's/_x.jinja' %}", partials={"s/_x.jinja": "\n\n{{ a | uper }}"}),
        "did you mean 'upper'",
        3,
    ),
    ("undeclared-variable", "error", prompt("a\n\n{{ tickt }}"), "'tickt' is not a declared input", 12),
    (
        "undeclared-variable",
        "error",
        prompt("{% include 'p' %}", partials={"p": "\n{% for x in y %}{{ x }}{% endfor %}"}),
        "'y' is not",
        2,
    ),
    ("unused-input", "error", prompt("a", inputs={"ticket": TEXT}), "'ticket' is declared but no message uses it", 0),
    ("input-name", "error", prompt("{{ loop }}", inputs={"loop": TEXT}), "cannot be named 'loop'", 0),
    ("unknown-trust", "error", prompt("a", trust={"x": "untrusted"}), "trust names 'x'", 0),
    ("untrusted-in-system", "error", system("a\nYou got {{ ticket }}"), "'ticket' reaches a system message", 11),
    ("untrusted-in-system", "error", system("{% if 'x' in ticket %}a{% endif %}"), "'ticket' reaches", 10),
    ("untrusted-in-system", "error", system("{% set a %}{{ ticket }}{% endset %}{{ a }}"), "'ticket' reaches", 10),
    ("untrusted-in-system", "error", system("{% include 'p' %}", partials={"p": "\n{{ ticket }}"}), "'ticket' reaches", 2),
    (
        "untrusted-in-system",
        "error",
        system("{% from 'p' import f %}{{ f(ticket) }}", partials={"p": "{% macro f(a) %}{{ a }}{% endmacro %}"}),
        "'ticket' reaches",
        10,
    ),
    (
        "untrusted-in-system",
        "error",
        system("{% from 'p' import f with context %}{{ f() }}", partials={"p": "{% macro f() %}{{ ticket }}{% endmacro %}"}),
        "'ticket' reaches",
        1,
    ),
    ("untrusted-in-system", "error", system((Part(type="text", value="{{ ticket }}"),)), "'ticket' reaches", 10),
    ("unreachable-branch", "warning", prompt("a\n{% if false %}b{% endif %}"), "always false", 11),
    (
        "unreachable-branch",
        "warning",
        prompt("{% if q == 'c' %}b{% endif %}", inputs={"q": {"enum": ["a", "b"]}}),
        "always false",
        10,
    ),
    ("unreachable-branch", "warning", prompt("{{ 1 if q is true or true else 2 }}", inputs={"q": TEXT}), "always true", 10),
    (
        "unreachable-branch",
        "warning",
        prompt("{% include 'p' %}", partials={"p": "\n{% if 1 > 2 %}{% endif %}"}),
        "always false",
        2,
    ),
    ("context-overflow", "error", prompt("a" * 4004), "exceed the 1,000 of 'small'", 0),
    ("context-overflow", "error", prompt("a", params=Parameters(max_tokens=1000)), "exceed", 0),
    ("context-overflow", "error", prompt("{% include 'p' %}", partials={"p": "a" * 4004}), "exceed", 0),
    ("context-nearly-full", "warning", prompt("a" * 2000, params=Parameters(max_tokens=400)), "nearly fill", 0),
    ("secret", "error", prompt("a\nuse sk-abcdefghijklmnopqrstuvw1"), "OpenAI or Anthropic key: sk-a…", 11),
]


@pytest.mark.parametrize(("rule", "level", "faulty", "words", "line"), CASES)
def test_rules(rule: str, level: str, faulty: Prompt, words: str, line: int) -> None:
    found = lint(faulty, [SMALL, UNKNOWN])
    [finding] = [finding for finding in found if finding.rule == rule]
    assert finding.level == level
    assert words in finding.message
    assert finding.where.line == line
    assert finding.hint
    assert all(other.rule == rule or other.level == "note" for other in found), found


def test_every_rule_is_documented_and_tested() -> None:
    assert {rule for rule, *_ in CASES} | {"dead-partial", "model-retires"} == set(RULES)


KEYS = {
    "an OpenAI or Anthropic key": ["sk-proj-" + "a1B2" * 8, "sk-ant-api03-" + "aB3_" * 8],
    "a GitHub token": ["ghp_" + "a1B2" * 9, "github_pat_" + "a1B2_" * 12],
    "a GitLab token": ["glpat-" + "a1B2-" * 5],
    "an AWS access key": ["AKIA" + "ABCD" * 4],
    "a Google API key": ["AIza" + "a1B2-" * 7],
    "a Slack token": ["xoxb-" + "1234567890-abc"],
    "a Hugging Face token": ["hf_" + "aBcD" * 9],
    "a private key": ["-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----"],
    "a bearer token": ["Authorization: Bearer " + "a1B2c3D4" * 4],
    "a JSON web token": ["eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + "c2lnbmF0dXJlLXNpZw"],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in KEYS.items() for text in texts])
def test_secrets_are_found_wherever_they_stand(kind: str, text: str) -> None:
    for faulty in (
        prompt(f"a {text} b"),
        prompt("{% include 'p' %}", partials={"p": f"\n{text}"}),
        prompt("a", description=text),
        prompt("{{ a }}", inputs={"a": {"default": [text], "description": text}}),
        prompt("a", tools=({"description": text},)),
        prompt("a", params=Parameters(extra={"key": text})),
    ):
        found = [finding for finding in lint(faulty) if finding.rule == "secret"]
        assert any(kind in finding.message for finding in found)
        assert not any(text in finding.message for finding in found), "a finding must not repeat the secret"


def test_every_kind_of_secret_is_tested() -> None:
    assert set(KEYS) == set(SECRETS)


@pytest.mark.parametrize(
    "text",
    [
        "The sk-learn-based-classification-methods",
        "ask-for-something-rather-long-in-this-sentence",
        "risk-free and task-oriented-programming-languages",
        "Explain what a Bearer token is, and sk-… keys too.",
        "The Bearer authentication-scheme-is-described-in the RFC",
        "sha256:" + "ab12" * 16,
        "AKIA is a prefix; eyJ starts a token",
        "d41d8cd98f00b204e9800998ecf8427e",
        "-----BEGIN PUBLIC KEY-----",
    ],
)
def test_ordinary_text_is_no_secret(text: str) -> None:
    assert lint(prompt(text)) == []


def test_an_untrusted_input_in_a_user_message_is_fine() -> None:
    assert lint(system("a")) == []
    assert lint(prompt("{{ a }}", roles=("system",), inputs={"a": TEXT}, trust={"a": "trusted"}))[0].rule == "no-user-message"


def test_a_name_set_in_the_system_message_is_not_the_input() -> None:
    assert lint(system("{% set ticket = 'x' %}{{ ticket }}")) == []


def test_long_branches_and_loops_do_not_count_as_certain_text() -> None:
    text = "{% if a %}" + "x" * 8000 + "{% endif %}{% for i in a %}" + "x" * 8000 + "{% endfor %}"
    assert lint(prompt(text, inputs={"a": {"type": "array"}}), [SMALL]) == []


def test_findings_are_sorted_and_said_once() -> None:
    source = "{% include 'p' %}{% include 'p' %}"
    found = lint(prompt(source, source, roles=("assistant", "assistant"), partials={"p": "{% if false %}a{% endif %}{{ x }}"}))
    assert [(finding.level, finding.rule) for finding in found] == [
        ("error", "undeclared-variable"),
        ("warning", "unreachable-branch"),
        ("note", "no-user-message"),
    ]


def test_dead_partials() -> None:
    partials = {"a": "{% include 'b' %}", "b": "", "c": ""}
    using = prompt("{% include 'a' %}", partials=partials)
    assert dead_partials([using], ["a", "b", "c", "d/_x.jinja"]) == [
        Finding(
            level="warning", rule="dead-partial", message=f"no prompt includes {path!r}", where=Where(f"prompts/{path}"), hint=hint
        )
        for path, hint in (("c", "include it, or delete the file"), ("d/_x.jinja", "include it, or delete the file"))
    ]
    assert dead_partials([using, prompt("{% if %}", partials=partials)], ["a", "c"]) == []


@pytest.mark.parametrize(
    "piece", ["sk-", "sk-a", "Bearer ", "Bearer a", "eyJaaaaaaaa-", "eyJaaaaaaaa.", "-----BEGIN ", "ghp_", "AKIA", "xoxb-a "]
)
def test_hostile_text_is_scanned_in_linear_time(piece: str) -> None:
    """A quadratic pattern would need minutes for this."""
    assert isinstance(lint(prompt(piece * (400_000 // len(piece)))), list)
