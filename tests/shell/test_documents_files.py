# ruff: noqa: E501  the table of mistakes reads as a table
"""Prompt, suite and settings files: what they become, and every class of mistake at its place; schemas that agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import jsonschema
import pytest

from promptreg import documents
from promptreg.core.catalogue import Limits, Price
from promptreg.core.prompt import MessageTemplate, Parameters, Part
from promptreg.core.settings import Budget, Runs, Settings
from promptreg.core.suite import Case, CheckSpec, Limit, Policy, Quarantine, Require, Sample, Slices, Suite
from promptreg.documents.prompt import ParameterShape
from promptreg.documents.settings import LimitsShape
from promptreg.documents.suite import GateShape
from promptreg.errors import DocumentError, UsageError

PROMPT = b"""\
description: Sorts a support ticket into one queue.
owners: ["@support-ai"]
inputs:
  ticket: {type: string, maxLength: 4000}
  queues: {type: array, items: {type: string}, default: [billing, bug, other]}
  photo: {}
messages:
  - role: system
    content: |
      {% include "support/_tone.jinja" %}
      One of: {{ queues | join(", ") }}.
  - role: user
    content:
      - {type: text, text: "{{ ticket }}"}
      - {type: image, source: "{{ photo }}"}
params: {temperature: 0, max_tokens: 16, stop: END, extra: {logit_bias: {"5": -1}}}
output: {schema: {type: object}}
tools: [{type: function, function: {name: lookup}}]
trust: {ticket: untrusted}
"""
SUITE = b"""\
description: Triage must stay right.
prompts: [support/triage, "sales/*"]
models: small
dataset: ../data/triage.jsonl
sample: {n: 400, seed: 7, by: tags.queue}
repeats: 2
checks:
  - exact: "{{ expected.queue }}"
  - metric: json
    schema: {type: object, required: [queue]}
    threshold: 0.5
  - json
  - one_of: {labels: ["yes", "no"], weight: 2}
    required: false
  - not_contains: 1.10
gate:
  floor: 0.80
  slices: {by: [tags.queue], mode: block}
  guard: {cost: +10%, refusal: +2pt}
quarantine:
  - {case: 007, owner: "@ada", until: 2027-01-31, reason: the judge wavers}
  - {case: t-9, owner: ops, until: 2026-12-01}
"""
SETTINGS = b"""\
registry: acme/prompts
plugins: [plugins/house_style.py]
models:
  small: {provider: local, model: smollm2, serve: {kv_cache: q4_0}}
  gpt-4.1: {provider: openai, model: 4.10, price: {input: 2.5, output: 10}, retires: 2027-01-14, api_key_env: BIG_KEY}
  app: {provider: http, url: "http://127.0.0.1:9000/answer", limits: {concurrency: 4, timeout_s: 30}, context: 8192}
defaults: {model: small}
labels: [staging, production]
uncovered: warn
runs: {branch: runs/here, retention: redacted}
budget: {usd: 5, calls: 20000}
"""


def read_prompt(source: bytes) -> Any:
    return documents.prompt(source, "prompts/p.yaml", "p", {})


def read_suite(source: bytes) -> Suite:
    return documents.suite(source, "suites/deep/s.yaml", "deep/s")


def read_settings(source: bytes) -> Settings:
    return documents.settings(source, "promptreg.yaml")


READERS: dict[str, Callable[[bytes], Any]] = {"prompt": read_prompt, "suite": read_suite, "settings": read_settings}


def test_a_prompt_is_read_whole() -> None:
    prompt = documents.prompt(PROMPT, "prompts/support/triage.yaml", "support/triage", {"support/_tone.jinja": "Be kind."})
    assert prompt.name == "support/triage"
    assert prompt.messages == (
        MessageTemplate(role="system", content='{% include "support/_tone.jinja" %}\nOne of: {{ queues | join(", ") }}.\n'),
        MessageTemplate(role="user", content=(Part(type="text", value="{{ ticket }}"), Part(type="image", value="{{ photo }}"))),
    )
    assert prompt.inputs["photo"] == {}
    assert prompt.inputs["queues"]["default"] == ["billing", "bug", "other"]
    assert prompt.params == Parameters(temperature=0, max_tokens=16, stop=("END",), extra={"logit_bias": {"5": -1}})
    assert prompt.output_schema == {"type": "object"}
    assert prompt.tools == ({"type": "function", "function": {"name": "lookup"}},)
    assert prompt.trust == {"ticket": "untrusted"}
    assert prompt.owners == ("@support-ai",)
    assert prompt.partials == {"support/_tone.jinja": "Be kind."}
    assert str(prompt.place("inputs.queues.default")) == "prompts/support/triage.yaml:5:48, key 'inputs.queues.default'"


def test_a_message_knows_where_its_text_begins() -> None:
    system, user = read_prompt(PROMPT).messages
    assert (system.where.line, user.where.line) == (10, 14)
    assert read_prompt(b"messages:\n - role: user\n   content: hello").messages[0].where.line == 3


def test_a_suite_is_read_whole() -> None:
    suite = read_suite(SUITE)
    assert (suite.name, suite.prompts, suite.models, suite.repeats) == ("deep/s", ("support/triage", "sales/*"), ("small",), 2)
    assert suite.dataset == "suites/data/triage.jsonl"
    assert suite.sample == Sample(n=400, seed=7, by="tags.queue")
    assert suite.checks == (
        CheckSpec(metric="exact", options={"": "{{ expected.queue }}"}, short=True),
        CheckSpec(metric="json", options={"schema": {"type": "object", "required": ["queue"]}}, threshold=0.5),
        CheckSpec(metric="json", name="json_2"),
        CheckSpec(metric="one_of", options={"labels": ["yes", "no"]}, weight=2.0, required=False),
        CheckSpec(metric="contains", options={"": 1.1}, short=True, negate=True),
    )
    assert suite.policy == Policy(
        floor=0.8,
        slices=Slices(by=("tags.queue",), mode="block"),
        guard={"cost": Limit(amount=0.1, relative=True), "refusal": Limit(amount=0.02, relative=False)},
    )
    assert suite.quarantine == (
        Quarantine(case="007", owner="@ada", until="2027-01-31", reason="the judge wavers"),
        Quarantine(case="t-9", owner="ops", until="2026-12-01"),
    )
    assert suite.quarantine[1].where.line == 22


def test_a_case_is_out_of_quarantine_when_its_day_is_over() -> None:
    suite = read_suite(SUITE)
    assert suite.quarantined("2026-12-01") == {"007", "t-9"}
    assert suite.quarantined("2026-12-02") == {"007"}
    assert suite.quarantined("2027-02-01") == frozenset()
    assert read_suite(S.encode()).quarantined("2026-01-01") == frozenset()


@pytest.mark.parametrize(
    ("written", "days"), [("30d", 30.0), ("12h", 0.5), ("1.5d", 1.5), ("0.25h", 0.25 / 24), ("'30d'", 30.0), ("007d", 7.0)]
)
def test_an_age_is_days_or_hours(written: str, days: float) -> None:
    assert read_settings(M.encode() + f"max_age: {written}}}".encode()).models["m"].max_age_days == pytest.approx(days)


def test_a_check_knows_where_its_options_stand_and_how_they_were_written() -> None:
    exact, json, _, one_of, contains = read_suite(SUITE).checks
    assert exact.marks[""].line == 8
    assert (json.where.line, json.marks["schema.required"].line) == (9, 10)
    assert one_of.marks["labels[1]"].key == "checks[3].one_of.labels[1]"
    assert contains.written[""] == "1.10"


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("exact", CheckSpec(metric="exact")),
        ("not_exact", CheckSpec(metric="exact", negate=True)),
        ("exact: 5", CheckSpec(metric="exact", options={"": 5}, short=True)),
        ("exact: [a]", CheckSpec(metric="exact", options={"": ["a"]}, short=True)),
        ("exact:", CheckSpec(metric="exact", options={"": None}, short=True)),
        ("exact: {}", CheckSpec(metric="exact")),
        ("{exact: x, threshold: 0.5, name: e}", CheckSpec(metric="exact", options={"": "x"}, short=True, threshold=0.5, name="e")),
        ("exact: {expected: x, negate: true}", CheckSpec(metric="exact", options={"expected": "x"}, negate=True)),
        ("{metric: not_exact, expected: x}", CheckSpec(metric="exact", options={"expected": "x"}, negate=True)),
        ("{metric: exact, required: false}", CheckSpec(metric="exact", required=False)),
        ("{exact: x, name: yes}", CheckSpec(metric="exact", options={"": "x"}, short=True, name="yes")),
    ],
)
def test_forms_of_a_check(check: str, expected: CheckSpec) -> None:
    assert read_suite(f"prompts: p\ndataset: d.jsonl\nchecks:\n  - {check}\n".encode()).checks == (expected,)


def test_inline_cases_are_rows_like_any_other() -> None:
    suite = read_suite(
        b"""prompts: p
checks: [exact]
cases:
  - {id: 7, inputs: {x: no}, expected: {a: [1]}, tags: {v: 1.10, flag: true}, cluster: c, require: {k: 3, of: 5}}
  - inputs: {x: 1}
"""
    )
    assert suite.cases == (
        Case(
            id="7",
            inputs={"x": "no"},
            expected={"a": [1]},
            tags={"v": "1.10", "flag": "true"},
            cluster="c",
            require=Require(k=3, of=5),
        ),
        Case(id=documents.case_id({"x": 1}), inputs={"x": 1}),
    )
    assert [str(case.where) for case in suite.cases] == [
        "suites/deep/s.yaml:4:5, key 'cases[0]'",
        "suites/deep/s.yaml:5:5, key 'cases[1]'",
    ]
    assert suite.models == ()


def test_settings_are_read_whole() -> None:
    settings = read_settings(SETTINGS)
    assert (settings.registry, settings.plugins, settings.labels) == (
        "acme/prompts",
        ("plugins/house_style.py",),
        ("staging", "production"),
    )
    assert (settings.defaults.model, settings.uncovered) == ("small", "warn")
    assert settings.runs == Runs(branch="runs/here", retention="redacted")
    assert settings.budget == Budget(usd=5.0, calls=20000)
    small, big, app = settings.models.values()
    assert (small.alias, small.provider, small.options) == ("small", "local", {"serve": {"kv_cache": "q4_0"}})
    assert (big.model, big.price, big.retires) == ("4.10", Price(input=2.5, output=10.0), "2027-01-14")
    assert big.options == {"api_key_env": "BIG_KEY"}
    assert str(big.marks["api_key_env"]) == "promptreg.yaml:5:98, key 'models[\"gpt-4.1\"].api_key_env'"
    assert (app.model, app.context, app.limits) == ("", 8192, Limits(concurrency=4, timeout_s=30.0))
    assert read_settings(b"") == Settings()


P = "messages: [{role: user, content: x}]\n"
S = "prompts: p\nchecks: [exact]\ndataset: d.jsonl\n"
M = "models:\n  m: {provider: openai, model: x, "

# kind, text, message, line:column, and whether the JSON Schema also sees it
MISTAKES = [
    ("prompt", "", "expected a mapping, found nothing", "", True),
    ("prompt", "tempate: x\nmessages: [{role: user, content: x}]", "unknown key 'tempate'", "1:1", True),
    ("prompt", "description: x", "missing key 'messages'", "", True),
    ("prompt", "mesages: []", "unknown key 'mesages'; did you mean 'messages'?", "1:1", True),
    ("prompt", "messages: []", "must not be empty", "1:1", True),
    ("prompt", "messages: [{role: usr, content: x}]", "'usr' is not one of system, user, assistant; did you mean 'user'?", "1:13", True),
    ("prompt", "messages: [{role: user}]", "missing key 'content'", "1:12", True),
    ("prompt", "messages: [{role: user, content: []}]", "must not be empty", "1:25", True),
    ("prompt", "messages: [{role: user, content: [{type: image, text: x}]}]", "a part of type image has exactly one other key, 'source'", "1:35", False),
    ("prompt", P + "params: {temprature: 1}", "unknown key 'temprature'; did you mean 'temperature'?", "2:10", True),
    ("prompt", P + "params: {temperature: -1}", "-1.0 is too small; at least 0", "2:10", True),
    ("prompt", P + "params: {max_tokens: 1.5}", "expected a whole number, found the number 1.5", "2:10", True),
    ("prompt", P + "inputs: {a-b: {}}", "'a-b' cannot be a template variable", "2:10", False),
    ("prompt", P + "inputs: {a: string}", "expected a mapping, found the text 'string'", "2:10", True),
    ("prompt", P + "inputs: {ticket: {}}\ntrust: {tiket: untrusted}", "'tiket' is not a declared input; did you mean 'ticket'?", "3:9", False),
    ("prompt", P + "description:", "expected text, found nothing", "2:1", True),
    ("prompt", P + "output: {schema: {}}", "must not be empty", "2:10", True),
    ("suite", "prompts: p\ndataset: d.jsonl", "missing key 'checks'", "", True),
    ("suite", "prompts: p\nchekcs: [exact]\ndataset: d.jsonl", "unknown key 'chekcs'; did you mean 'checks'?", "2:1", True),
    ("suite", "prompts: p\nchecks: []\ndataset: d.jsonl", "must not be empty", "2:1", True),
    ("suite", "prompts: []\nchecks: [exact]\ndataset: d.jsonl", "must not be empty", "1:1", True),
    ("suite", "prompts: [p, p]\nchecks: [exact]\ndataset: d.jsonl", "'p' stands twice", "1:1", True),
    ("suite", S + "models: []", "must not be empty", "4:1", True),
    ("suite", "prompts: p\nchecks: [exact]", "a suite has either 'dataset' or 'cases'", "", True),
    ("suite", S + "cases: [{inputs: {}}]", "a suite has either 'dataset' or 'cases'", "3:1", True),
    ("suite", "prompts: p\nchecks: [exact]\ncases: []", "must not be empty", "3:1", True),
    ("suite", "prompts: p\nchecks: [exact]\ncases: [{expected: 1}]", "missing key 'inputs'", "3:9", True),
    ("suite", "prompts: p\nchecks: [exact]\ncases: [{inputs: {}, expcted: 1}]", "unknown key 'expcted'; did you mean 'expected'?", "3:22", True),
    ("suite", "prompts: p\nchecks: [exact]\ncases: [{inputs: {}, tags: {a: [1]}}]", "expected text or a whole number", "3:29", True),
    ("suite", "prompts: p\nchecks: [exact]\ncases: [{inputs: {}, require: {k: 3, of: 2}}]", "k is 3 but only 2 repeats are made", "3:22", False),
    ("suite", "prompts: p\nchecks: [exact]\ncases: [{inputs: {}}, {inputs: {}}]", "the id '", "3:23", False),
    ("suite", "prompts: p\nchecks: [{exact: 1, jsn: 2}]\ndataset: d.jsonl", "2 metrics in one check: exact, jsn", "2:10", False),
    ("suite", "prompts: p\nchecks: [{weight: 1}]\ndataset: d.jsonl", "a check without a metric", "2:10", False),
    ("suite", "prompts: p\nchecks: [5]\ndataset: d.jsonl", "expected a check", "2:10", True),
    ("suite", "prompts: p\nchecks: [{metric: exact, threshold: 3}]\ndataset: d.jsonl", "3.0 is too large; at most 1", "2:26", True),
    ("suite", "prompts: p\nchecks: [{exact: {threshold: 3}}]\ndataset: d.jsonl", "3.0 is too large; at most 1", "2:19", False),
    ("suite", "prompts: p\nchecks: [{exact: {weight: 3}, weight: 2}]\ndataset: d.jsonl", "'weight' stands twice, beside and under 'exact'", "2:19", False),
    ("suite", "prompts: p\nchecks: [{not_exact: x, negate: true}]\ndataset: d.jsonl", "'not_exact' already says not", "2:25", False),
    ("suite", "prompts: p\nchecks: [{exact: x, weight: 0}]\ndataset: d.jsonl", "every check has weight 0", "2:1", False),
    ("suite", "prompts: p\nchecks: [{exact: x, name: n}, {json: {}, name: n}]\ndataset: d.jsonl", "two checks are named 'n'", "2:31", False),
    ("suite", S + "repeats: 0", "0 is too small; at least 1", "4:1", True),
    ("suite", S + "gate: {margn: 0.1}", "unknown key 'margn'; did you mean 'margin'?", "4:8", True),
    ("suite", S + "gate:", "expected a mapping, found nothing", "4:1", True),
    ("suite", S + "gate: {on: pass}", "'pass' is not one of passed, score; did you mean 'passed'?", "4:8", True),
    ("suite", S + "gate: {guard: {cost: +2pt}}", "'+2pt' must be a relative limit like +10%", "4:16", True),
    ("suite", S + "gate: {guard: {costs: +2%}}", "unknown key 'costs'; did you mean 'cost'?", "4:16", True),
    ("suite", S + 'gate: {guard: {refusal: "0.02"}}', "'0.02' must be points like +2pt or a relative limit like +10%", "4:16", True),
    ("suite", S + "sample: {n: 5, by: tag.queue}", "'tag.queue' must be like tags.queue", "4:16", True),
    ("suite", S + "quarantine: {case: a}", "expected a list, found a mapping", "4:1", True),
    ("suite", S + "quarantine: [{case: a, until: 2027-01-31}]", "missing key 'owner'", "4:14", True),
    ("suite", S + "quarantine: [{case: a, owner: o}]", "missing key 'until'", "4:14", True),
    ("suite", S + "quarantine: [{case: a, owner: '', until: 2027-01-31}]", "must not be empty", "4:24", True),
    ("suite", S + "quarantine: [{case: a, owner: o, until: soon}]", "'soon' must be a date like 2027-01-31", "4:34", True),
    ("suite", S + "quarantine: [{case: a, owner: o, until: 2027-02-30}]", "day is out of range for month", "4:14", False),
    ("suite", S + "quarantine: [{case: a, ownr: o, owner: o, until: 2027-01-31}]", "unknown key 'ownr'", "4:24", True),
    ("suite", S + "quarantine: [{case: 7, owner: o, until: 2027-01-31}, {case: '7', owner: p, until: 2027-01-31}]", "the case '7' stands also at suites/deep/s.yaml:4:14", "4:54", False),
    ("suite", "prompts: p\nchecks: [exact]\ndataset: ../../../x.jsonl", "the dataset '../../../x.jsonl' leads out of the registry", "3:1", False),
    ("suite", "prompts: p\nchecks: [exact]\ndataset: /etc/passwd", "the dataset '/etc/passwd' leads out of the registry", "3:1", False),
    ("suite", "prompts: p\nchecks: [exact]\ndataset: ../../.git/config", "the dataset '../../.git/config' leads out", "3:1", False),
    ("settings", "modls: {}", "unknown key 'modls'; did you mean 'models'?", "1:1", True),
    ("settings", "models: {m: gpt}", "expected a mapping", "1:10", True),
    ("settings", "models: {m: {provder: x}}", "missing key 'provider'; is 'provder' meant to be it?", "1:10", True),
    ("settings", "models: {a b: {provider: x}}", "'a b' cannot be an alias", "1:10", False),
    ("settings", M + "api_key: abc}", "'api_key' looks like a secret in clear", "2:35", False),
    ("settings", M + "headers: {Authorization: Bearer x}}", "'Authorization' looks like a secret in clear", "2:45", False),
    ("settings", M + "headers: {X-Team: sk-0123456789abcdef0123}}", "this value looks like a secret in clear", "2:45", False),
    ("settings", M + "api_key_env: sk-abc}", "'api_key_env' must name an environment variable", "2:35", False),
    ("settings", M + "price: 3}", "expected a mapping, found the number 3", "2:35", True),
    ("settings", M + "price: {input: 1}}", "missing key 'output'", "2:35", True),
    ("settings", M + "retires: soon}", "'soon' must be a date like 2027-01-14", "2:35", True),
    ("settings", M + "retires: 2027-02-30}", "day is out of range for month", "2:3", False),
    ("settings", M + "max_age: 30}", "'30' must be an age like 30d or 12h", "2:35", True),
    ("settings", M + "max_age: 0d}", "'0d' must be an age like 30d or 12h", "2:35", True),
    ("settings", M + "max_age: 1e3d}", "'1e3d' must be an age like 30d or 12h", "2:35", True),
    ("settings", M + "max_agee: 30d, max_age: -1d}", "'-1d' must be an age like 30d or 12h", "2:50", True),
    ("settings", "runs: {retention: digests}", "'digests' is not one of full, digest, redacted; did you mean 'digest'?", "1:8", True),
    ("settings", M + "limits: {retris: 1}}", "unknown key 'retris'; did you mean 'retries'?", "2:44", True),
    ("settings", "models: {m: {provider: x}}\ndefaults: {model: n}", "unknown model 'n'", "2:12", False),
    ("settings", "uncovered: warm", "'warm' is not one of block, warn; did you mean 'warn'?", "1:1", True),
    ("settings", "plugins: [../x.py]", "the plugin '../x.py' leads out of the registry", "1:11", False),
    ("settings", "- a", "expected a mapping, found a list of 1", "", True),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "message", "place", "seen"), MISTAKES, ids=[row[2] for row in MISTAKES])
def test_mistakes_have_words_and_a_place_and_schemas_agree(kind: str, text: str, message: str, place: str, seen: bool) -> None:
    with pytest.raises(DocumentError) as caught:
        READERS[kind](text.encode())
    fault = caught.value
    assert fault.message.startswith(message)
    assert fault.where is not None
    assert f"{fault.where.line}:{fault.where.column}" == (place or "0:0")
    assert fault.more == ()
    value = documents.read_yaml(text.encode(), "f.yaml").value
    assert jsonschema.Draft202012Validator(documents.schema(kind)).is_valid(value) is not seen


@pytest.mark.parametrize(("kind", "source"), [("prompt", PROMPT), ("suite", SUITE), ("settings", SETTINGS), ("settings", b"{}")])
def test_schemas_accept_what_the_loader_accepts(kind: str, source: bytes) -> None:
    READERS[kind](source)
    value = documents.read_yaml(source.replace(b"model: 4.10", b"model: '4.10'"), "f.yaml").value
    jsonschema.Draft202012Validator(documents.schema(kind)).validate(value)


@pytest.mark.parametrize("kind", documents.SCHEMA_KINDS)
def test_schemas_are_schemas_and_explain_every_key(kind: str) -> None:
    schema: Any = documents.schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    if kind not in ("check", "rot"):  # what promptreg writes may grow keys; what people write may not have others
        assert schema["additionalProperties"] is False
    assert [name for name, item in schema["properties"].items() if not item.get("description")] == []


def test_an_unknown_kind_of_schema_gets_a_guess() -> None:
    with pytest.raises(UsageError, match="no schema for 'sute'; did you mean 'suite'"):
        documents.schema("sute")


@pytest.mark.parametrize(("shape", "value"), [(ParameterShape, Parameters), (LimitsShape, Limits), (GateShape, Policy)])
def test_shapes_and_values_have_the_same_keys_and_defaults(shape: type[Any], value: type[Any]) -> None:
    assert {item.name for item in fields(shape)} == {item.name for item in fields(value)}
    assert GateShape().policy() == Policy()
    assert ParameterShape().parameters() == Parameters()


def test_the_misspelt_assert_that_passed_elsewhere_is_an_error() -> None:
    with pytest.raises(DocumentError) as caught:
        read_suite(b"prompts: p\nasert: [exact]\ndataset: d.jsonl")
    assert [fault.message.split(";")[0] for fault in (caught.value, *caught.value.more)] == [
        "missing key 'checks'",
        "unknown key 'asert'",
    ]


def test_all_mistakes_of_a_file_come_at_once_in_the_order_of_lines() -> None:
    with pytest.raises(DocumentError) as caught:
        read_suite(b"prompts: []\nchecks: [5, {exact: {weight: -1}}]\ncases: [{}, {inputs: 1}]\nrepeats: 0\ngate: {x: 1}\n")
    faults = [caught.value, *caught.value.more]
    assert [fault.where.line for fault in faults if fault.where] == [1, 2, 2, 3, 3, 4, 5]


def test_a_suite_of_many_cases_and_checks_is_read_in_time_proportional_to_them() -> None:
    rows = "".join(f"  - {{inputs: {{x: {number}}}}}\n" for number in range(8000))
    checks = "".join(f"  - contains: {number}\n" for number in range(8000))
    suite = read_suite(f"prompts: p\nchecks:\n{checks}cases:\n{rows}".encode())
    assert (len(suite.cases), suite.checks[-1].label) == (8000, "contains_8000")


def test_json_doors() -> None:
    assert documents.decode_json(b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
    assert documents.encode_json({"a": (1, "é")}) == '{"a":[1,"é"]}'.encode()
    for bad in (b"NaN", b"{", b'"\xff"', b"[" * 100_000, '"\\ud800"', b"1e999"):
        with pytest.raises(ValueError, match=r".+"):
            documents.decode_json(bad)
    with pytest.raises(ValueError, match=r".+"):
        documents.encode_json(object())


def test_sources() -> None:
    found = documents.settings(
        b"sources:\n  acme: {url: git@example.org:acme.git, signers: [keys/ada]}\n  here: {url: ../x}\n", "promptreg.yaml"
    )
    assert found.sources["acme"].url == "git@example.org:acme.git"
    assert (found.sources["acme"].signers, found.sources["here"].signers) == (("keys/ada",), ())


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sources: {acme: {url: 'ext::sh -c id'}}", "sources.acme.url"),
        ("sources: {acme: {url: 'https://ada:hunter2@example.org/x'}}", "sources.acme.url"),
        ("sources: {../x: {url: /x}}", "../x"),
        ("sources: {acme: {url: /x, signers: [../../keys]}}", "sources.acme.signers[0]"),
        ("sources: {acme: {url: /x, signer: [keys]}}", "sources.acme.signer"),
        ("sources: {acme: {}}", "sources.acme"),
        ("sources: [acme]", "sources"),
    ],
)
def test_sources_that_are_refused(text: str, key: str) -> None:
    with pytest.raises(DocumentError) as caught:
        documents.settings(text.encode(), "promptreg.yaml")
    assert key in str(caught.value.where)
    assert "hunter2" not in str(caught.value)
