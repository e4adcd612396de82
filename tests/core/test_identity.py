"""The two digests of a prompt: bytes, and behaviour."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from promptreg import documents
from promptreg.core.identity import behaviour_digest, included, source_digest
from promptreg.core.prompt import Prompt
from promptreg.core.template.normal import normal
from promptreg.errors import TemplateError

FILE = """\
description: Sorts tickets.
inputs:
  ticket: {type: string}
  queues: {type: array, default: [billing, bug]}
messages:
  - role: system
    content: '{% include "_tone.jinja" %} Queues: {{ queues | join(", ") }}.'
  - role: user
    content: "{{ ticket }}"
params: {temperature: 0}
output: {schema: {type: object}}
"""
PARTIALS = {"_tone.jinja": "Be {% include '_how.jinja' %}.", "_how.jinja": "kind", "_other.jinja": "never used"}


def prompt(text: str = FILE, partials: Mapping[str, str] = PARTIALS, name: str = "triage") -> Prompt:
    return documents.prompt(text.encode(), f"prompts/{name}.yaml", name, partials)


def source(text: str, partials: Mapping[str, str]) -> str:
    used = included(prompt(text, partials))
    return source_digest(text.encode(), {path: partials[path].encode() for path in used})


def changed(old: str, new: str) -> str:
    assert old in FILE
    return FILE.replace(old, new)


def test_partials_count_as_far_as_they_are_included() -> None:
    assert included(prompt()) == ("_how.jinja", "_tone.jinja")


@pytest.mark.parametrize(
    "text",
    [
        changed("Sorts tickets.", "Sorts support tickets."),
        FILE + "# a comment\n",
        FILE + "owners: ['@ada']\n",
        FILE + "trust: {ticket: untrusted}\n",
        changed("{{ ticket }}", "{{ticket}}"),
        changed("{{ ticket }}", "{{- ticket -}}"),
        changed("{{ ticket }}", "{# what they wrote #}{{ ticket }}"),
        changed("{{ queues | join(", "{{queues|join("),
        changed('join(", ")', "join( ', ' )")
        .replace("'{%", '"{%')
        .replace(".'\n", '."\n')
        .replace('"_tone.jinja"', "'_tone.jinja'"),
        changed('    content: "{{ ticket }}"\n', "    content: |\n      {{ ticket }}\n"),
        changed(
            "params: {temperature: 0}\noutput: {schema: {type: object}}\n",
            "output: {schema: {type: object}}\nparams:\n  temperature: 0\n",
        ),
    ],
)
def test_what_no_model_can_notice_changes_the_source_only(text: str) -> None:
    assert behaviour_digest(prompt(text)) == behaviour_digest(prompt())
    assert source(text, PARTIALS) != source(FILE, PARTIALS)


@pytest.mark.parametrize(
    "text",
    [
        changed("Queues:", "queues:"),
        changed("Queues: ", "Queues:  "),
        changed('", "', '","'),
        changed("role: user", "role: assistant"),
        changed("temperature: 0", "temperature: 1"),
        changed("temperature: 0", "temperature: 0, max_tokens: 5"),
        changed("[billing, bug]", "[bug, billing]"),
        changed("{type: string}", "{type: string, maxLength: 9}"),
        changed("{type: object}", "{type: object, required: [q]}"),
        changed('"{{ ticket }}"', '"{% raw %}{{ ticket }}{% endraw %}"'),
        changed('"{{ ticket }}"', '[{type: text, text: "{{ ticket }}"}]'),
        FILE + "tools: [{type: function}]\n",
        changed("{{ ticket }}", "{# a line #}\\n{{ ticket }}"),
    ],
)
def test_what_a_model_may_notice_changes_both(text: str) -> None:
    assert behaviour_digest(prompt(text)) != behaviour_digest(prompt())
    assert source(text, PARTIALS) != source(FILE, PARTIALS)


def test_partials_change_both_unless_they_are_not_used_or_only_say_so() -> None:
    kinder = {**PARTIALS, "_how.jinja": "very kind"}
    assert behaviour_digest(prompt(partials=kinder)) != behaviour_digest(prompt())
    assert source(FILE, kinder) != source(FILE, PARTIALS)
    unused = {**PARTIALS, "_other.jinja": "changed"}
    assert behaviour_digest(prompt(partials=unused)) == behaviour_digest(prompt())
    assert source(FILE, unused) == source(FILE, PARTIALS)
    commented = {**PARTIALS, "_how.jinja": "{# how #}kind\n"}
    assert behaviour_digest(prompt(partials=commented)) == behaviour_digest(prompt())
    assert source(FILE, commented) != source(FILE, PARTIALS)


def test_a_copy_behaves_as_its_original() -> None:
    assert behaviour_digest(prompt(name="copy")) == behaviour_digest(prompt())


def test_digests_are_these_for_ever() -> None:
    """Released tags hold them: if this fails, old evidence would no longer be found."""
    assert behaviour_digest(prompt()) == "sha256:966fbf41174aba43aa9bdfbb514c09052013c9ab5714b8776da8beeb46579710"
    assert source(FILE, PARTIALS) == "sha256:93498aa89256b58b8b1c505552d80b44fe9140c8f89e0de90b8fe126b15a17da"


def test_the_normal_form_of_a_template() -> None:
    assert normal("a{# c #}b {%- if x==1.5 -%}\n'q'{% endif %}\n") == normal("ab{% if x  ==  1.5 -%} \n'q'{%endif%}")
    assert normal("") == []
    assert normal("plain\r\ntext") == ["plain\ntext"]
    assert normal("{{ 'it''s' }}") != normal('{{ "it\'s" }}')
    assert normal("{{ 10 }}") == normal("{{ 1_0 }}") != normal("{{ '10' }}")


def test_a_faulty_template_has_no_digest() -> None:
    with pytest.raises(TemplateError):
        behaviour_digest(prompt(changed("{{ ticket }}", "{{ ticket")))
    with pytest.raises(TemplateError, match="not a template"):
        normal("{{ '")
