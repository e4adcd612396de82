"""What every report of a check promises: nothing foreign gets out of its place, no secret is shown, all that matters is said, and
other tools can read it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import checked
import jsonschema
import lxml.etree
import lxml.html
import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreg.core.comment import harmless
from promptreg.core.diff import Piece, word_diff
from promptreg.core.protocols import CheckReporter
from promptreg.core.verdict import CheckReport, Comparison, Finding, Verdict
from promptreg.documents import schema
from promptreg.errors import ExitCode, Reason, UsageError, Where
from promptreg.reporters.check import masked, numbers, render_check, shows_checks, words
from promptreg.reporters.check.annotations import annotate
from promptreg.reporters.check.cases import BROKEN, FIXED, FLAKY, QUARANTINED, groups
from promptreg.reporters.check.html import plot
from promptreg.reporters.check.json import as_json, gate_as_json
from promptreg.reporters.check.markdown import COMMENT, MARKER, SUMMARY, summary
from promptreg.reporters.html import Html
from promptreg.reporters.json import Json
from promptreg.reporters.junit import JUnit
from promptreg.reporters.markdown import Markdown
from promptreg.reporters.sarif import Sarif
from promptreg.reporters.terminal import Terminal
from promptreg.testing import sample_case, sample_check, sample_comparison, sample_gate


class Commands:
    """Annotations, as if they were a reporter."""

    name, suffix = "annotations", ""

    def render_check(self, report: CheckReport, secrets: tuple[str, ...] = ()) -> str:
        return annotate(report, secrets=secrets)


FILES = [Terminal(), Markdown(), Markdown(compact=True), Html(), Json(), JUnit(), Sarif()]
ALL: list[Any] = [*FILES, Commands()]
PEOPLE: list[CheckReporter] = [Terminal(), Markdown(), Html(), JUnit()]
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
EVERY = pytest.mark.parametrize("report", [make() for make in checked.REPORTS.values()], ids=list(checked.REPORTS))


def named(reporter: Any) -> str:
    return f"{reporter.name}{'-compact' if getattr(reporter, 'compact', False) else ''}"


@pytest.mark.parametrize("reporter", ALL, ids=named)
@EVERY
def test_no_control_or_bidi_character_comes_through_and_all_can_be_encoded(reporter: Any, report: CheckReport) -> None:
    text = reporter.render_check(report)
    assert not CONTROL.search(text)
    assert not BIDI.search(text)
    assert text.encode().decode() == text
    assert text.endswith("\n") or (not text and isinstance(reporter, Commands))


@pytest.mark.parametrize("reporter", PEOPLE, ids=named)
def test_people_are_told_why_in_plain_words(reporter: CheckReporter) -> None:
    text = lxml.html.fromstring(reporter.render_check(checked.failing())).text_content() if reporter.name == "html" else ""
    text = text or reporter.render_check(checked.failing())
    for said in (
        "gainst the merge base, a drop of 6.2 points is shown (at least 2.1): 24 cases broken, 5 fixed",
        "it needs about 240 more cases",
        "The pass rate of 85.8 % is below the floor of 90.0 % (at most 88.9 %)",
        "The cost of an answer rose by 38.1 %, more than it may (limit +10%)",
        "The model could not be reached: check again when it answers",
        "no suite covers support/new",
        "write suites/new.yaml",
        "t-031",
        "known to be flaky",
        "quarantined",
    ):
        assert said in " ".join(text.split()), said


@pytest.mark.parametrize("reporter", [Terminal(), Markdown(), Html()], ids=named)
def test_the_verdict_comes_first(reporter: CheckReporter) -> None:
    text = reporter.render_check(checked.failing())
    assert text.index("1 FAIL, 1 PASS, 1 UNDECIDED (needs 240 more cases), 3 UNMEASURED") < text.index("support/triage")


@pytest.mark.parametrize("reporter", PEOPLE, ids=named)
def test_an_accepted_fail_is_shown_with_its_reason(reporter: CheckReporter) -> None:
    text = reporter.render_check(checked.accepted())
    assert "FAIL (accepted)" in text
    assert "shorter answers are wanted, see the ticket" in text


@pytest.mark.parametrize("reporter", [Terminal(), Markdown(), Html()], ids=named)
def test_nothing_affected_is_one_friendly_line(reporter: CheckReporter) -> None:
    assert "2 suites looked at; every call, check and policy is the same on both sides" in " ".join(
        reporter.render_check(checked.nothing()).split()
    )


@pytest.mark.parametrize("reporter", [Terminal(), Markdown(), Html(), JUnit(), Sarif(), Commands()], ids=named)
def test_very_long_answers_are_cut(reporter: Any) -> None:
    assert len(reporter.render_check(checked.hostile())) < 100_000


# what sentences say


def whys(*comparisons: Comparison, **fields: object) -> list[str]:
    return list(words.whys(sample_gate(*comparisons, **fields)))


def test_a_gate_that_passes_has_nothing_to_explain() -> None:
    assert whys() == []


def test_judges_that_say_the_same_are_heard_once_and_others_are_named() -> None:
    fail = sample_comparison(Verdict.FAIL, drop=0.062, lower=0.021, upper=0.1, broken=24, fixed=5)
    said = "a drop of 6.2 points is shown (at least 2.1): 24 cases broken, 5 fixed"
    assert whys(fail, replace(fail, suite_from="head", policy_from="head")) == [said]
    milder = sample_comparison(suite_from="head", policy_from="head")
    assert whys(fail, milder) == [f"judged by base's suite, {said}"]
    mixed = replace(milder, verdict=Verdict.UNDECIDED, policy_from="base")
    assert whys(fail, mixed) == [said], "what is still open matters to nobody once a drop is shown"


@pytest.mark.parametrize("lower", [None, -0.01, 0.0])
def test_no_least_drop_is_claimed_that_is_none(lower: float | None) -> None:
    (said,) = whys(sample_comparison(Verdict.FAIL, drop=0.04, lower=lower, upper=0.1, broken=1, fixed=0))
    assert said == "a drop of 4.0 points is shown: 1 case broken, 0 fixed"


@pytest.mark.parametrize("reason", words.REASONS)
def test_every_reason_says_what_happened_and_what_to_do(reason: Reason) -> None:
    happened, remedy = words.REASONS[reason]
    (said,) = whys(sample_comparison(Verdict.UNMEASURED, reason=reason))
    assert said == f"{happened}: {remedy}"
    assert words.remedy(Finding(verdict=Verdict.UNMEASURED, message="m", reason=reason)) == remedy
    assert not remedy.endswith(".")


def test_a_limit_is_shown_only_if_it_is_one() -> None:
    (guard,) = checked.hostile().gates[0].guards
    assert words.guard_limit(guard) == "–"
    assert words.guard_limit(replace(guard, limit="+2.5pt")) == "+2.5pt"


@pytest.mark.parametrize(
    ("share", "shown"), [(None, "–"), (0.0, "0.0"), (-0.0001, "0.0"), (-0.012, "−1.2"), (0.0625, "6.2"), (1.0, "100.0")]
)
def test_points(share: float | None, shown: str) -> None:
    assert numbers.points(share) == shown


@pytest.mark.parametrize(
    ("n", "units", "planned", "shown"),
    [
        (300, 300, 300, "300"),
        (120, 120, 400, "120 of 400"),
        (130, 100, 100, "130 in 100 clusters"),
        (130, 100, 200, "100 of 200 clusters"),
    ],
)
def test_counts_of_cases(n: int, units: int, planned: int, shown: str) -> None:
    assert numbers.counted(sample_comparison(n=n, units=units, planned=planned)) == shown


def test_a_case_is_in_one_group_and_those_that_count_come_first() -> None:
    found = list(groups(checked.failed_gate()))
    assert [group.title for group in found] == [BROKEN, FLAKY, QUARANTINED, FIXED]
    assert [[case.case for case in group.listed] for group in found] == [
        ["t-007", "t-031", "t-050"],
        ["t-044"],
        ["t-199"],
        ["t-102"],
    ]
    assert [group.total for group in found] == [23, 1, 1, 5]


# terminal


@pytest.mark.parametrize("width", [40, 100, 160])
@EVERY
def test_no_line_of_a_terminal_report_is_a_workflow_command(report: CheckReport, width: int) -> None:
    for line in Terminal(width=width, explain=True).render_check(report).splitlines():
        assert not line.strip().startswith("::")
        assert not re.search(r"##\w*\[", line)


def test_colour_is_only_added() -> None:
    plain, coloured = (Terminal(width=120, colour=colour).render_check(checked.failing()) for colour in (False, True))
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert "\x1b[31m✗ FAIL\x1b[0m" in coloured


@pytest.mark.parametrize("width", [72, 80, 100, 120, 160])
@pytest.mark.parametrize("report", [name for name in checked.REPORTS if name != "hostile"])
def test_lines_fit_the_terminal(report: str, width: int) -> None:
    lines = Terminal(width=width).render_check(checked.REPORTS[report]()).splitlines()
    assert max(len(line) for line in lines if "→" not in line or "[" in line) <= width


def test_explaining_names_what_changed_and_what_did_not() -> None:
    text = Terminal(explain=True).render_check(checked.failing())
    assert "changed: triage / support/triage / small: template, data" in text
    assert "unaffected: tone/german: its prompts have new comments only" in text
    assert "unaffected: tone/german" not in Terminal().render_check(checked.failing())


# markdown


def outside_of_code(markdown: str) -> str:
    """What a Markdown reader would interpret: without fenced blocks, spans and <code> elements."""
    text = re.sub(r"^(`{3,})\w*\n.*?\n\1$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<code>[^<`|]*</code>", "", text)
    return re.sub(r"(?<!`)`[^`\n]+`(?!`)", "", text)


@pytest.mark.parametrize("compact", [False, True])
def test_nothing_foreign_stands_outside_of_code_in_markdown(compact: bool) -> None:
    rest = outside_of_code(Markdown(compact=compact).render_check(checked.hostile())).removeprefix(MARKER)
    assert set(re.findall(r"</?(\w+)", rest)) <= {"details", "summary", "sub"}
    for sign in ("@", "#1", "http", "www", "script", "evil", "::", "](", "![", "alert", "{{", "-->", "$"):
        assert sign not in rest, sign
    assert len(re.findall("^#", rest, re.MULTILINE)) == 1
    assert len(re.findall("<details>", rest)) == len(re.findall("</details>", rest)) > 0


def test_hostile_names_do_not_break_the_tables() -> None:
    rows = [line for line in Markdown().render_check(checked.hostile()).splitlines() if line.startswith("|")]
    assert [row.count("|") for row in rows[:4]] == [11] * 4
    assert {row.count("|") for row in rows[4:]} == {7, 10}


@EVERY
def test_the_comment_begins_with_its_marker_and_the_summary_does_not(report: CheckReport) -> None:
    assert Markdown().render_check(report).startswith(MARKER + "\n## ")
    assert summary(report).startswith("## ")
    assert summary(report) == Markdown(compact=True).render_check(report)


def many(gates: int, cases: int, text: str) -> CheckReport:
    listed = tuple(sample_case(f"case-{number}", text, text[::-1]) for number in range(cases))
    fail = sample_comparison(Verdict.FAIL, drop=0.1, lower=0.05, upper=0.2, broken=cases, cases_broken=listed)
    findings = tuple(Finding(verdict=Verdict.UNMEASURED, message=text, prompt=str(number)) for number in range(gates))
    made = [sample_gate(fail, suite=f"suite-{number}", note=text) for number in range(gates)]
    notes = tuple(f"{number} {text}" for number in range(gates))
    return sample_check(*made, findings=findings, notes=notes, unaffected=checked.QUIET * gates)


@pytest.mark.parametrize("text", ["word ", "`@|<" * 50, "中文字" * 300, "🙂" * 200], ids=["short", "escaped", "wide", "emoji"])
@pytest.mark.parametrize(("gates", "cases"), [(1, 60), (60, 20), (1_000, 2)])
def test_comments_and_summaries_stay_within_what_github_takes_and_whole(gates: int, cases: int, text: str) -> None:
    report = many(gates, cases, text)
    for markdown, limit in ((Markdown().render_check(report), COMMENT), (summary(report), SUMMARY)):
        assert len(markdown.encode()) <= limit < 1 << 20
        assert "more" in markdown
        rest = outside_of_code(markdown)
        assert "```" not in rest
        assert rest.count("<details>") == rest.count("</details>")
        assert markdown.rstrip().endswith("</sub>")
    assert COMMENT < 65_536


def test_as_many_whole_cases_are_shown_as_there_is_room_for() -> None:
    shown = Markdown().render_check(many(60, 20, "some words that changed " * 12))
    assert len(shown.encode()) > 0.8 * COMMENT
    assert shown.count("```diff") > 5


def test_a_publisher_may_write_the_comment_anew_and_it_still_fits() -> None:
    assert len(harmless(Markdown().render_check(checked.failing()))) < 65_536


def test_answers_are_shown_as_a_diff_with_the_words_that_differ() -> None:
    case = sample_case("c", "the queue is billing today", "the queue is bug today")
    report = sample_check(sample_gate(sample_comparison(Verdict.FAIL, drop=0.1, cases_broken=(case,), broken=1)))
    text = Markdown().render_check(report)
    assert "- the queue is [-billing-] today\n+ the queue is {+bug+} today\n" in text


# secrets


def spread(secret: str) -> CheckReport:
    """The secret in every text of every kind of report."""
    plain = checked.hostile()
    case = sample_case(secret, f"a {secret} b", f"a {secret[:-3]}xyz b", expected=secret, reason=secret, where=Where(secret, 1))
    comparison = replace(plain.gates[0].comparisons[0], note=secret, revision=secret, cases_broken=(case,), cases_fixed=(case,))
    torn = replace(
        case, base_answer="", head_answer="", diff=(Piece("same", secret[:6]), Piece("gone", secret[6:]), Piece("new", "!"))
    )
    gate = replace(
        plain.gates[0],
        suite=secret,
        prompt=f"{secret}/{secret}",
        model=secret,
        note=f"Authorization: Bearer {secret}",
        accepted=secret,
        comparisons=(replace(comparison, cases_broken=(case, replace(torn, case="torn"))),),
        quarantined=(case,),
        where=Where(secret, 2, 0, secret),
    )
    finding = Finding(verdict=Verdict.FAIL, message=f"https://user:{secret}@host", hint=secret, prompt=secret, accepted=secret)
    return replace(plain, gates=(gate,), findings=(finding,), notes=(secret,), registry=secret, version=secret, created=secret)


@pytest.mark.parametrize("reporter", ALL, ids=named)
@pytest.mark.parametrize(
    "secret", ["sk-proj-0123456789abcdef", 'quo"te\\back/slash+&<>|`', "pass wörd with späce", "a-b-c-d-e-f-g-h-i"]
)
def test_no_secret_is_shown_in_any_format(reporter: Any, secret: str) -> None:
    text = reporter.render_check(spread(secret), secrets=(secret, "short"))
    for spelling in (secret, json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode().rstrip("=")):
        assert spelling not in text
    assert secret[6:] not in text
    assert "***" in text or "&#42;&#42;&#42;" in text or "%2A" in text


def test_other_spellings_and_lines_of_secrets_are_masked_too() -> None:
    pem = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nshort\n-----END KEY-----"
    assert masked(sample_case(reason="got MIIEvQIBADANBg and short"), [pem]).reason == "got *** and short"
    assert masked(sample_case(reason="k=p%26ss%20word"), ["p&ss word"]).reason == "k=***"
    encoded = base64.b64encode(b"p&ss word").decode()
    assert masked(sample_case(reason=f"Basic {encoded}"), ["p&ss word"]).reason.startswith("Basic ***")


def test_the_words_that_programs_read_are_not_masked() -> None:
    report = checked.failing()
    hidden = masked(report, ["sequential", "t+bootstrap", "provider_down", "UNMEASURED"])
    assert as_json(hidden) == as_json(report) | {"headline": as_json(hidden)["headline"]}


def test_what_is_too_short_or_empty_masks_nothing() -> None:
    report = checked.failing()
    assert masked(report, ["", "  ", "triage", "1234567"]) is report


@given(
    st.text(min_size=8, max_size=30).filter(lambda text: len(text.strip()) >= 8 and "*" not in text),
    st.text(max_size=20),
    st.text(max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_a_secret_is_found_wherever_a_diff_tears_it(secret: str, before: str, after: str) -> None:
    torn = sample_case(base="", head="", diff=word_diff(before + secret + after, before + after))
    hidden = masked(torn, [secret])
    spelt = "".join(piece.text for piece in hidden.diff if piece.kind != "new")
    assert secret not in spelt


# plugins


class Old:
    name, suffix = "old", ".old"

    def render(self, report: object) -> str:
        return ""


class New(Old):
    name, suffix = "new", ".new"

    def render_check(self, report: CheckReport) -> str:
        return report.notes[0]


def test_a_reporter_that_shows_no_checks_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"'old', asked for by --report x\.old, shows runs and no checks") as told:
        shows_checks(Old, "--report x.old")
    assert ".sarif" in (told.value.hint or "")


def test_a_plugin_gets_no_secret_to_see() -> None:
    assert shows_checks(New, "--report x.new") is New
    assert render_check(New(), sample_check(notes=("key sk-12345678",)), ["sk-12345678"]) == "key ***"


# annotations

COMMAND = re.compile(r"::(error|warning) (?:(?:file|line|col|title)=[^:,\r\n]*,?)+::[^\r\n]*")


@EVERY
def test_every_line_is_one_command(report: CheckReport) -> None:
    lines = annotate(report).split("\n")
    assert lines.pop() == ""
    assert all(COMMAND.fullmatch(line) for line in lines)
    assert not any("##[" in line for line in lines)


def test_annotations_stand_at_the_prompts_own_lines() -> None:
    told = annotate(checked.failing(), folder="registry/").splitlines()
    title = "FAIL%3A triage / support/triage / small"
    assert told[0].startswith(f"::error file=registry/prompts/support/triage.yaml,line=3,title={title}::Against the merge base")
    assert "::warning file=registry/promptreg.yaml,line=8,col=3,title=UNMEASURED::the endpoint of model big changed" in told[4]
    assert [line.split()[0] for line in told] == ["::error"] + ["::warning"] * 4


def test_of_each_kind_ten_are_shown() -> None:
    fails = [sample_gate(sample_comparison(Verdict.FAIL), suite=str(number)) for number in range(30)]
    doubts = [sample_gate(sample_comparison(Verdict.UNDECIDED), suite=str(number)) for number in range(30)]
    told = annotate(sample_check(*doubts, *fails)).splitlines()
    assert [line.split()[0] for line in told] == ["::error"] * 10 + ["::warning"] * 10


def test_an_accepted_fail_is_a_warning() -> None:
    assert all(line.startswith("::warning") for line in annotate(checked.accepted()).splitlines())


# junit


def junit(report: CheckReport) -> Any:
    return lxml.etree.fromstring(JUnit().render_check(report).encode())


@EVERY
def test_junit_is_valid_and_its_counts_are_true(report: CheckReport) -> None:
    root = junit(report)
    lxml.etree.XMLSchema(file=str(Path(__file__).parents[1] / "golden/junit.xsd")).assertValid(root)
    for element in (root, *root.iter("testsuite")):
        for attribute, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.get(attribute)) == len(list(element.iter(tag)))


def test_junit_says_each_verdict_in_its_own_way() -> None:
    root = junit(checked.failing())
    assert [suite.get("name") for suite in root] == ["triage", "replies", "dates", "findings"]
    told = {(case.get("classname"), case.get("name")): [child.tag for child in case] for case in root.iter("testcase")}
    assert told[("replies", "support/reply on small")] == ["skipped"]
    assert told[("dates", "extract/dates on big")] == ["error"]
    assert [each.tag for each in root.iter("failure", "error", "skipped")] == ["failure", "skipped", "error", "error", "error"]
    facts = {each.get("name"): each.get("value") for each in root[1].iter("property")}
    assert facts["support/reply on small: drop"] == "0.03"
    assert facts["support/reply on small: n"] == "130"


def test_what_holds_the_pull_request_up_is_no_skipped_test() -> None:
    report = checked.undecided()
    assert junit(report).get("skipped") == "1"
    assert junit(replace(report, exit_code=ExitCode.UNMEASURED)).get("errors") == "1"


def test_what_was_accepted_fails_no_build() -> None:
    root = junit(checked.accepted())
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("0", "0", "2")
    assert "FAIL (accepted): shorter answers are wanted" in root.find(".//skipped").get("message")


# sarif

TEXT_OBJECT = {"type": "object", "properties": {"text": {"type": "string", "minLength": 1}}, "required": ["text"]}
RULE = {"type": "object", "properties": {"id": {"type": "string"}, "shortDescription": TEXT_OBJECT}, "required": ["id"]}
ARTIFACT = {
    "type": "object",
    "properties": {"uri": {"type": "string", "pattern": r"^(?!/)[A-Za-z0-9._~/%-]+$"}, "uriBaseId": {"type": "string"}},
    "required": ["uri"],
    "additionalProperties": False,
}
REGION = {
    "type": "object",
    "properties": {"startLine": {"type": "integer", "minimum": 1}, "startColumn": {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}
PLACE = {
    "type": "object",
    "properties": {
        "physicalLocation": {
            "type": "object",
            "properties": {"artifactLocation": ARTIFACT, "region": REGION},
            "required": ["artifactLocation"],
        }
    },
    "required": ["physicalLocation"],
}
SUPPRESSION = {
    "type": "object",
    "properties": {"kind": {"enum": ["inSource", "external"]}, "status": {"enum": ["accepted", "underReview", "rejected"]}},
    "required": ["kind"],
}
RESULT = {
    "type": "object",
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": {"enum": ["none", "note", "warning", "error"]},
        "message": TEXT_OBJECT,
        "locations": {"type": "array", "items": PLACE, "minItems": 1, "maxItems": 10},
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
        "suppressions": {"type": "array", "items": SUPPRESSION},
    },
    "required": ["ruleId", "message", "locations", "partialFingerprints"],
    "additionalProperties": False,
}
DRIVER = {
    "type": "object",
    "properties": {"name": {"const": "promptreg"}, "rules": {"type": "array", "items": RULE, "uniqueItems": True}},
}
SARIF = {  # the part of SARIF 2.1.0 that is used here, as strict as GitHub reads it
    "type": "object",
    "properties": {
        "version": {"const": "2.1.0"},
        "$schema": {"type": "string"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "tool": {"type": "object", "properties": {"driver": DRIVER}, "required": ["driver"]},
                    "results": {"type": "array", "items": RESULT},
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                },
                "required": ["tool", "results"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["version", "runs"],
    "additionalProperties": False,
}


def sarif(text: str) -> Any:
    data = json.loads(text)
    jsonschema.Draft202012Validator(SARIF).validate(data)
    (run,) = data["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    return run["results"]


@EVERY
def test_sarif_of_checks_is_valid(report: CheckReport) -> None:
    wanted = [each for each in (*report.gates, *report.findings) if each.verdict is not Verdict.PASS]
    assert len(sarif(Sarif().render_check(report))) == len(wanted)


@pytest.mark.parametrize("report", [samples.report(), samples.hostile(), samples.empty()], ids=["fixed", "hostile", "empty"])
def test_sarif_of_runs_is_valid(report: Any) -> None:
    assert sarif(Sarif().render(report))


def test_sarif_has_a_rule_for_each_kind_of_trouble_and_its_place() -> None:
    results = sarif(Sarif().render_check(checked.failing()))
    assert [result["ruleId"] for result in results] == ["undecided", "regression", "unmeasured", "untested", "untrusted"]
    place = results[1]["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]) == ("prompts/support/triage.yaml", {"startLine": 3})
    assert results[1]["level"] == "error"


def test_the_same_trouble_stays_one_alert() -> None:
    report = checked.failing()
    moved = replace(
        report,
        created="2025-01-01T00:00:00Z",
        gates=tuple(replace(gate, where=Where("elsewhere.yaml", 99), note="other", calls_made=1) for gate in report.gates),
    )
    marks = [
        [result["partialFingerprints"]["promptreg/v1"] for result in sarif(Sarif().render_check(each))] for each in (report, moved)
    ]
    assert marks[0] == marks[1]
    assert len(set(marks[0])) == len(marks[0])


def test_a_message_of_an_alert_holds_no_link() -> None:
    for result in sarif(Sarif().render_check(checked.hostile())):
        assert not re.search(r"(?<!\\)\[[^\]]*(?<!\\)\]\(", result["message"]["text"])


def test_accepted_alerts_are_suppressed() -> None:
    results = sarif(Sarif().render_check(checked.accepted()))
    assert {each["suppressions"][0]["justification"] for each in results} == {"shorter answers are wanted, see the ticket"}


# json


def strict(node: Any) -> Any:
    """The schema with nothing allowed that it does not name."""
    if isinstance(node, Mapping):
        closed = {"additionalProperties": False} if "properties" in node else {}
        return {key: strict(value) for key, value in node.items()} | closed
    return [strict(item) for item in node] if isinstance(node, list) else node


@EVERY
def test_json_keeps_to_the_published_schema_which_names_every_key(report: CheckReport) -> None:
    published = schema("check")
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.Draft202012Validator(strict(published)).validate(json.loads(Json().render_check(report)))


def test_the_schema_refuses_what_is_not_a_check() -> None:
    good = json.loads(Json().render_check(checked.failing()))
    validator = jsonschema.Draft202012Validator(schema("check"))
    assert validator.is_valid(good | {"later": 1})
    for bad in (good | {"verdict": "OK"}, good | {"exit_code": 7}, {key: good[key] for key in good if key != "gates"}):
        assert not validator.is_valid(bad)


def test_json_has_the_keys_that_formats_promise() -> None:
    text = Json().render_check(checked.failing())
    assert text.startswith('{\n  "schema": "promptreg/check/1",')
    assert text.isascii()
    data = json.loads(text)
    assert (data["verdict"], data["exit_code"], data["cost_usd"]) == ("FAIL", 1, 0.0412)
    gate = data["gates"][2]
    wanted = "suite prompt model verdict reason mode references margin alpha mde calls_made calls_saved guards slices"
    assert set(wanted.split()) <= set(gate)
    wanted = "kind suite_from policy_from prompt model verdict n broken fixed base_score head_score drop lower upper limit_kind"
    assert set(f"{wanted} p_harm cases_broken cases_fixed".split()) <= set(gate["references"][0])
    assert gate["references"][0]["cases_broken"] == ["t-007", "t-031", "t-044", "t-050"]
    assert gate["references"][0]["drop"] == 0.062
    assert gate == gate_as_json(checked.failed_gate())
    assert [finding["reason"] for finding in data["findings"]] == ["no_suite", "untrusted_change"]


def test_evidence_beyond_all_numbers_is_null() -> None:
    report = sample_check(sample_gate(sample_comparison(Verdict.FAIL, e_fail=float("inf"))))
    data = json.loads(Json().render_check(report), parse_constant=pytest.fail)
    assert data["gates"][0]["references"][0]["e_fail"] is None
    for reporter in PEOPLE:
        assert "inf" not in reporter.render_check(report).replace("information", "")


# html

ALLOWED = re.findall(
    r"\w+",
    "html head meta title style body header main footer section article h1 h2 h3 p span strong dl div dt dd time code pre ul li "
    "table caption thead tbody tr th td details summary del ins svg line path circle",
)


def page(report: CheckReport) -> Any:
    return lxml.html.document_fromstring(Html().render_check(report).encode())


@EVERY
def test_a_page_holds_only_its_own_elements_and_loads_nothing(report: CheckReport) -> None:
    root = page(report)
    assert {element.tag for element in root.iter() if isinstance(element.tag, str)} <= set(ALLOWED)
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not attributes & {"src", "href", "style", "srcset", "action", "data", "xlink:href"}
    assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in "".join(root.xpath("//style/text()"))


@EVERY
def test_a_page_can_be_read_by_ear(report: CheckReport) -> None:
    root = page(report)
    assert root.get("lang") == "en"
    levels = [int(element.tag[1]) for element in root.iter("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(head.get("scope") in {"col", "row"} for head in root.iter("th"))
    assert all(drawing.get("aria-hidden") == "true" or drawing.get("aria-label") for drawing in root.iter("svg"))


def test_drops_stand_where_the_numbers_are_and_are_said_aloud() -> None:
    drawn = plot(checked.failed_gate(), 0.15)
    assert drawn is not None
    assert drawn.dot == pytest.approx(106 + 100 * 0.062 / 0.15, abs=0.01)
    assert drawn.label == "drop 6.2 points, limits 2.1 and 10.3, margin 5.0"
    assert drawn.label in {each.get("aria-label") for each in page(checked.failing()).iter("svg")}
    assert plot(checked.unmeasured_gate(), 0.15) is None


def test_limits_beyond_the_axis_are_drawn_at_its_edge() -> None:
    drawn = plot(sample_gate(sample_comparison(drop=0.5, lower=-2.0, upper=3.0)), 1.0)
    assert drawn is not None
    assert (drawn.lower, drawn.upper) == (6.0, 206.0)
