"""What every report promises: nothing foreign gets out of its place, all that matters is said, and other tools can read it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import lxml.etree
import lxml.html
import pytest
import samples

from promptreg.core.protocols import Reporter
from promptreg.core.report import Report
from promptreg.reporters import figures
from promptreg.reporters.html import Html
from promptreg.reporters.json import Json
from promptreg.reporters.junit import JUnit
from promptreg.reporters.markdown import Markdown, code
from promptreg.reporters.tables import aligned
from promptreg.reporters.terminal import Terminal

REPORTERS: list[Reporter] = [Terminal(), Markdown(), Html(), Json(), JUnit()]
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def named(reporter: Reporter) -> str:
    return reporter.name


@pytest.mark.parametrize("reporter", REPORTERS, ids=named)
@pytest.mark.parametrize("report", [samples.report(), samples.hostile(), samples.empty()], ids=["fixed", "hostile", "empty"])
def test_no_control_or_bidi_character_comes_through_and_all_can_be_encoded(reporter: Reporter, report: Report) -> None:
    text = reporter.render(report)
    assert not CONTROL.search(text)
    assert not BIDI.search(text)
    assert text.encode().decode() == text
    assert text.endswith("\n")


@pytest.mark.parametrize("reporter", REPORTERS, ids=named)
def test_a_run_of_nothing_can_be_shown(reporter: Reporter) -> None:
    assert reporter.render(replace(samples.report(), cells=(), exit_code=4))


@pytest.mark.parametrize("reporter", [Terminal(), Markdown(), Html(), JUnit()], ids=named)
def test_people_are_told_verdict_numbers_reasons_and_what_is_missing(reporter: Reporter) -> None:
    text = reporter.render(samples.report())
    for said in (
        "failed",
        "support/triage-few-shot",
        "46 of 60 passed",
        "t-031",
        "HTTP 429 after 5 tries",
        "triage.jsonl",
        "64.6–85.6",
    ):
        assert said in text


@pytest.mark.parametrize("reporter", [Terminal(), Markdown(), Html(), JUnit()], ids=named)
def test_very_long_answers_are_cut_and_the_length_is_stated(reporter: Reporter) -> None:
    text = reporter.render(samples.hostile())
    assert re.search(r"\[\d\d,\d{3} more characters\]", text)
    assert len(text) < 60_000


# terminal


@pytest.mark.parametrize("report", [samples.report(), samples.hostile()], ids=["fixed", "hostile"])
def test_no_line_of_a_terminal_report_is_a_workflow_command(report: Report) -> None:
    for line in Terminal(width=40).render(report).splitlines():
        assert not line.strip().startswith("::")
        assert not re.search(r"##\w*\[", line)


def test_names_cannot_begin_a_line_with_a_command() -> None:
    cell = samples.cell("::error::suite", "p", "m", 1, 2, failed=(samples.failed("::warning::x", 1, "t", "a", "b", "r"),))
    assert not re.search(r"^\s*::", Terminal().render(replace(samples.report(), cells=(cell,))), re.MULTILINE)


def test_colour_is_only_added() -> None:
    plain, coloured = (Terminal(width=120, colour=colour).render(samples.report()) for colour in (False, True))
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert "\x1b[31m[-billing-]\x1b[0m" in coloured


@pytest.mark.parametrize("width", [64, 72, 80, 100, 120, 160])
def test_lines_fit_the_terminal(width: int) -> None:
    assert max(map(len, Terminal(width=width).render(samples.report()).splitlines())) <= width


def test_wide_terminals_get_every_column() -> None:
    head = Terminal(width=160).render(samples.report()).splitlines()[0]
    assert head.split("  ")[-1] == "tokens in / out"
    assert all(name in head for name in ("prompt", "model", "passed", "rate", "95 %", "cost", "p50", "p95"))


def test_failing_cases_are_bounded_and_the_rest_is_named() -> None:
    many = tuple(samples.failed(f"t-{number}", number, "t", "a", "b", "r") for number in range(50))
    cells = tuple(samples.cell("s", f"p{number}", "m", 10, 60, status="failed", failed=many) for number in range(20))
    text = Terminal().render(replace(samples.report(), cells=cells))
    assert text.count("exact: r") == 12
    assert "and 47 more failing: promptreg run --report report.html" in text
    assert len(text.splitlines()) < 140


# markdown


def test_the_verdict_is_the_first_line_of_markdown() -> None:
    assert Markdown().render(samples.report()).startswith("## ❌ failed: 1 failed, 1 unmeasured, 4 ok of 6 cells\n")


def test_fences_are_longer_than_any_run_of_backticks_within() -> None:
    lines = Markdown().render(samples.hostile()).splitlines()
    opening = next(line for line in lines if line.endswith("diff"))
    fence = opening.removesuffix("diff")
    inside = lines[lines.index(opening) + 1 : lines.index(fence)]
    assert any("````" in line for line in inside)
    assert all(fence not in line for line in inside)


def outside_of_code(markdown: str) -> str:
    """What a Markdown reader would interpret: without fenced blocks, spans and <code> elements."""
    text = re.sub(r"^(`{3,})\w*\n.*?\n\1$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<code>[^<`|]*</code>", "", text)
    return re.sub(r"(?<!`)`[^`\n]+`(?!`)", "", text)


def test_nothing_foreign_stands_outside_of_code_in_markdown() -> None:
    rest = outside_of_code(Markdown().render(samples.hostile()))
    assert set(re.findall(r"</?(\w+)", rest)) <= {"details", "summary", "sub"}
    for sign in ("@", "http", "script", "evil", "::", "[", "](", "alert", "{{"):
        assert sign not in rest
    assert len(re.findall("<details>", rest)) == len(re.findall("</details>", rest)) == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("support/triage", "`support/triage`"),
        ("@octocat #1 https://x.example _a_ $b$", "`@octocat #1 https://x.example _a_ $b$`"),
        ("a|b", "<code>a&#124;b</code>"),
        ("tick ` and <b>", "<code>tick &#96; and &#60;b&#62;</code>"),
        ("ends in \\", "<code>ends in &#92;</code>"),
        ("two\nlines", "`two lines`"),
        ("", "`–`"),
    ],
)
def test_short_texts_become_code(text: str, shown: str) -> None:
    assert code(text) == shown


def test_hostile_names_do_not_break_the_table() -> None:
    rows = [line for line in Markdown().render(samples.hostile()).splitlines() if line.startswith("|")]
    assert [row.count("|") for row in rows] == [11] * 3 + [4] * 3  # the results, then the slices


# html


def page(report: Report) -> Any:
    return lxml.html.document_fromstring(Html().render(report).encode())


ALLOWED = re.findall(
    r"\w+",
    "html head meta title style body header main footer section article h1 h2 h3 h4 p span strong dl div dt dd time code pre ul li "
    "table caption thead tbody tr th td abbr details summary del ins svg line path circle text",
)


@pytest.mark.parametrize("report", [samples.report(), samples.hostile(), samples.empty()], ids=["fixed", "hostile", "empty"])
def test_a_page_holds_only_its_own_elements_and_loads_nothing(report: Report) -> None:
    root = page(report)
    assert {element.tag for element in root.iter() if isinstance(element.tag, str)} <= set(ALLOWED)
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not attributes & {"src", "href", "style", "srcset", "action", "data", "xlink:href"}
    assert not [name for name in attributes if name.startswith("on")]


def test_the_policy_names_exactly_the_style_of_the_page() -> None:
    text = Html().render(samples.report())
    css = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert css
    digest = base64.b64encode(hashlib.sha256(css.group(1).encode()).digest()).decode()
    root = page(samples.report())
    (policy,) = root.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in css.group(1)
    assert "@import" not in css.group(1)


def test_a_page_can_be_read_by_ear() -> None:
    root = page(samples.report())
    assert root.get("lang") == "en"
    levels = [int(element.tag[1]) for element in root.iter("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(head.get("scope") in {"col", "row", "rowgroup"} for head in root.iter("th"))
    for drawing in root.iter("svg"):
        assert drawing.get("aria-hidden") == "true" or drawing.get("aria-label")
    assert "pass rate 76.7 %, 95 % interval 64.6–85.6 %, floor 80.0 %" in {
        drawing.get("aria-label") for drawing in root.iter("svg")
    }


def test_plots_stand_where_the_numbers_are() -> None:
    (row,) = page(samples.report()).xpath("//tr[th='support/triage'][td='smollm2']")
    (dot,) = row.xpath(".//circle")
    assert float(dot.get("cx")) == pytest.approx(6 + 200 * 46 / 60, abs=0.01)


def test_differences_are_marked_as_gone_and_new() -> None:
    (case,) = page(samples.report()).xpath("//article[h3/code='d-012']")
    spoken = [(element.tag, element.text_content()) for element in case.iter("del", "ins")]
    assert spoken == [("del", "expected: 5"), ("ins", "answered: 17"), ("del", "expected: 17"), ("ins", "answered: 5")]


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_has_the_contrast_of_wcag_aa_in_both_themes() -> None:
    css = (Path(__file__).parents[2] / "promptreg/reporters/report.css").read_text()
    themes = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    for theme in (dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in themes):
        pairs = [(text, ground) for text in ("ink", "dim", "accent", "ok", "bad", "warn") for ground in ("paper", "card", "soft")]
        for text, ground in [*pairs, ("ok", "ok-soft"), ("bad", "bad-soft"), ("warn", "warn-soft")]:
            light, dark = sorted((luminance(theme[text]), luminance(theme[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground, theme)


# json


def test_json_has_the_published_shape() -> None:
    text = Json().render(samples.report())
    assert text.startswith('{\n  "schema": "promptreg/run/1",')
    data = json.loads(text)
    assert (data["exit_code"], data["verdict"], data["cost_usd"], data["calls_made"]) == (1, "failed", 0.0412, 417)
    cell = data["suites"][-1]
    wanted = "suite prompt model n errors pass_rate lower upper checks cost_usd latency_p50_s latency_p95_s tokens failures"
    assert set(wanted.split()) <= set(cell)
    assert cell["tokens"] == {"input": 8307, "output": 468}
    assert cell["checks"] == {"exact": {"n": 117, "passed": 110, "mean": pytest.approx(110 / 117)}}
    assert cell["failures"][0]["expected"] == {"year": 2024, "month": 5, "day": 17}
    assert cell["failures"][0]["messages"][0]["content"][1] == {"type": "image", "source": "https://example.com/a.png"}
    assert [missing["kind"] for missing in cell["missing"]] == ["rate_limit", "rate_limit", "timeout"]


def test_json_is_ascii_and_never_says_nan() -> None:
    case = replace(samples.failed("x", 1, "t", {"a": [float("nan"), 1.5]}, "ü", "r"))
    text = Json().render(replace(samples.report(), cells=(samples.cell("s", "p", "m", 0, 1, failed=(case,)),)))
    assert text.isascii()
    assert json.loads(text, parse_constant=pytest.fail)["suites"][0]["failures"][0]["expected"] == {"a": [None, 1.5]}


def test_json_keeps_every_check_when_two_share_a_label() -> None:
    one = samples.cell("s", "p", "m", 1, 2)
    data = json.loads(Json().render(replace(samples.report(), cells=(replace(one, checks=one.checks * 2),))))
    assert list(data["suites"][0]["checks"]) == ["exact", "exact#2"]


def test_json_keeps_answers_whole() -> None:
    (case,) = samples.hostile().cells[0].failed
    assert json.loads(Json().render(samples.hostile()))["suites"][0]["failures"][0]["answer"] == case.answer


# junit


@pytest.mark.parametrize("report", [samples.report(), samples.hostile(), samples.empty()], ids=["fixed", "hostile", "empty"])
def test_junit_is_valid_and_its_counts_are_true(report: Report) -> None:
    schema = lxml.etree.XMLSchema(file=str(Path(__file__).parents[1] / "golden/junit.xsd"))
    root = lxml.etree.fromstring(JUnit().render(report).encode())
    schema.assertValid(root)
    for element in (root, *root.iter("testsuite")):
        assert int(element.get("tests")) == len(list(element.iter("testcase")))
        assert int(element.get("failures")) == len(list(element.iter("failure")))
        assert int(element.get("errors")) == len(list(element.iter("error")))


def test_junit_has_failures_for_failing_and_errors_for_missing_cases() -> None:
    root = lxml.etree.fromstring(JUnit().render(samples.report()).encode())
    suite = root.findall("testsuite")[-1]
    assert [case.get("name") for case in suite.findall("testcase[error]")] == ["verdict", "d-044", "d-045", "d-101"]
    (failed,) = suite.findall("testcase[failure]")
    assert failed.get("name") == "d-012 (repeat 2)"
    assert "answer:" in (failed.findtext("failure") or "")


# figures and tables


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(None, "–"), (0, "$0"), (0.000001, "<$0.0001"), (0.0412, "$0.0412"), (3.14159, "$3.14"), (12345.6, "$12,345.60")],
)
def test_money(usd: float | None, shown: str) -> None:
    assert figures.money(usd) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0.1844, "184 ms"), (1.306, "1.31 s"), (123.4, "123 s"), (0.9999, "1.00 s")]
)
def test_seconds(value: float | None, shown: str) -> None:
    assert figures.seconds(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(1.25, "1.2 s"), (59.99, "1 min 0 s"), (83.4, "1 min 23 s"), (7260, "2 h 1 min")])
def test_durations(value: float, shown: str) -> None:
    assert figures.duration(value) == shown


@pytest.mark.parametrize(
    ("statuses", "verdict", "headline"),
    [
        (["ok", "ok"], "ok", "all 2 ok"),
        (["ok", "unmeasured"], "unmeasured", "1 unmeasured, 1 ok of 2 cells"),
        (["failed", "unmeasured"], "failed", "1 failed, 1 unmeasured of 2 cells"),
        (["failed"], "failed", "one cell, failed"),
        ([], "unmeasured", "nothing was run"),
    ],
)
def test_verdicts_and_headlines(statuses: list[Any], verdict: str, headline: str) -> None:
    cells = tuple(samples.cell("s", "p", "m", 1, 1, status=status) for status in statuses)
    report = replace(samples.report(), cells=cells)
    assert (report.status, figures.headline(report)) == (verdict, headline)


def test_tables_print_text_as_it_is() -> None:
    assert aligned(["id", "n"], [["1e3", "007"], ["x", "1.50"]], ["left", "right"]) == ["id       n", "1e3    007", "x     1.50"]
    assert aligned(["a", "b"], [], ["left", "left"]) == ["a    b"]
