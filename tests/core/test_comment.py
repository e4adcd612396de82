"""A report that a stranger may have written becomes a comment that mentions nobody, loads nothing and commands no bot."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from promptreg.core.comment import CUT, MARKER, comment, fitted, harmless
from promptreg.errors import UsageError

REPORT = f"""{MARKER}
## ❌ FAIL: 1 FAIL, 2 PASS

`acme/prompts` at `4f2a91c0aa` · 12 calls, 3 saved · &#36;0.02

|      | prompt   |   drop |
|:-----|:---------|-------:|
| ❌   | `triage` |  0.125 |

<details><summary><code>a / b</code>: 1 broken</summary>

**`case-1`** at `prompts/triage.yaml:3:1`

```diff
- billing
+ bug
```

</details>

<sub>promptreg · limits: one-sided 95 %</sub>
"""
ALLOWED = re.compile(r"</?(?:details|summary|code|sub|sup|b|i|em|strong|del|ins|br)>|<details open>")


def outside(text: str) -> str:
    """*text* without fences, which stand alone and hold whatever they like."""
    return re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)


def test_an_honest_report_keeps_its_looks() -> None:
    made = comment(REPORT)
    assert made.startswith(f"{MARKER}\n## ❌ FAIL: 1 FAIL, 2 PASS\n\n`acme/prompts` at `4f2a91c0aa`")
    for kept in (
        "· 12 calls, 3 saved · &#36;0.02",
        "|:-----|:---------|-------:|\n| ❌   | `triage` |  0.125 |",
        "<details><summary><code>a / b</code>: 1 broken</summary>\n",
        "**`case-1`** at <code>prompts/triage.yaml&#58;3&#58;1</code>",
        "\n```diff\n- billing\n+ bug\n```\n",
        "</details>\n",
        "<sub>promptreg · limits: one-sided 95 %</sub>",
    ):
        assert kept in made, kept


@pytest.mark.parametrize("text", ["", "hello", f" {MARKER}", f"\n{MARKER}", "<!-- promptreg -->\nx", f"x{MARKER}"])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="first line"):
        comment(text)


def test_windows_line_ends_and_a_byte_order_mark_are_no_reason() -> None:
    assert comment(f"\ufeff{MARKER}\r\nfine\r\n") == f"{MARKER}\nfine\n"


def test_a_doubtful_report_says_so_before_anything_else() -> None:
    made = comment(f"{MARKER}\n## ✅ PASS", doubtful=True)
    assert re.match(rf"{MARKER}\n\n> This report was written by the pull request's own job.*no verdict\.\n\n## ✅ PASS", made)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("ping @octocat and @acme/all", "ping <code>@</code>octocat and <code>@</code>acme/all"),
        ("entities &#64;octocat &commat;octocat", "entities <code>@</code>octocat <code>@</code>octocat"),
        ("fixes #12, GH-12, acme/x#3", "fixes <code>#</code>12, GH<code>-</code>12, acme/x<code>#</code>3"),
        ("&#71;H-12", "GH<code>-</code>12"),
        ("[click](https://evil.example)", "&#91;click&#93;(https:<code>//</code>evil.example)"),
        ("![x](//evil.example/p.png)", "!&#91;x&#93;(//evil.example/p.png)"),
        ("see www.evil.example", "see www<code>.</code>evil.example"),
        ("<https://evil.example>", "&#60;https:<code>//</code>evil.example&#62;"),
        ("<img src=x onerror=alert(1)>", "&#60;img src=x onerror=alert(1)&#62;"),
        ("<details onclick=x>", "&#60;details onclick=x&#62;"),
        ("<!-- hidden", "&#60;!-- hidden"),
        (f"{MARKER}", "&#60;!-- promptreg check --&#62;"),
        ("/merge", "<code>/</code>merge"),
        ("ok /approve", "ok <code>/</code>approve"),
        ("- /close", "- <code>/</code>close"),
        ("~~~", "&#126;&#126;&#126;"),
        ("> [!IMPORTANT]", "&#62; &#91;!IMPORTANT&#93;"),
        ("[^1]: note", "&#91;^1&#93;: note"),
        ("$\\sqrt{2}$", "&#36;&#92;sqrt{2}&#36;"),
        ("right\u202eleft &#x202e;x", "right&#92;u202eleft &#92;u202ex"),
        ("a &#124; b", "a &#124; b"),
        ("\\`@octocat`", "&#92;<code>&#64;octocat</code>"),
        ("`a | @octocat b`", "<code>a &#124; &#64;octocat b</code>"),
        ("``a ` @octocat``", "<code>a &#96; &#64;octocat</code>"),
        ("`unclosed @octocat", "&#96;unclosed <code>@</code>octocat"),
        ("`a_b (c)` `GH-1` `` x ``", "`a_b (c)` <code>GH-1</code> `x`"),
        ("`www.evil.example`", "<code>www&#46;evil.example</code>"),
        ("    @octocat", "    <code>@</code>octocat"),
    ],
)
def test_nothing_hostile_means_anything(hostile: str, shown: str) -> None:
    assert harmless(hostile) == shown


def test_a_fence_that_a_reader_could_miss_protects_nobody() -> None:
    """Within a block of HTML, a line of backticks opens no fence: ours always stands after a blank line, and names break in it."""
    made = harmless("<details>\n```\n@octocat\n/merge\n  /merge\n```\n@octocat")
    assert made.startswith("<details>\n\n```\n@\u200boctocat\n\u200b/merge\n\u200b  /merge\n```\n\n<code>@</code>octocat")


@pytest.mark.parametrize("info", ["mermaid", "math", "geojson", "suggestion", "stl"])
def test_a_fence_that_draws_becomes_plain(info: str) -> None:
    assert harmless(f"```{info}\nx\n```") == "\n```\nx\n```\n"


def test_a_fence_ends_where_every_reader_ends_it() -> None:
    made = harmless("````\n```\n   `````  \n@octocat")
    assert made == "\n````\n```\n````\n\n<code>@</code>octocat"
    assert harmless("```\nnever closed @octocat") == "\n```\nnever closed @\u200boctocat\n```"


def test_folds_that_are_left_open_are_closed() -> None:
    assert harmless("<details>\n<details open>\nx\n</details>").endswith("x\n</details>\n\n</details>")
    assert harmless("</details>\n<details>\nx").count("</details>") == 2


PIECES = st.lists(
    st.sampled_from(
        [
            *"`<>@#[]!|\\~$&/-* \n",
            "```",
            "````",
            "<details>",
            "</details>",
            "<code>",
            "<b>",
            "@bob",
            "&#64;",
            "&lt;",
            "://",
            "www.",
            "x\n",
        ]
    ),
    max_size=40,
).map("".join)


@settings(max_examples=300)
@given(PIECES | st.text(max_size=80))
def test_whatever_comes_in_only_known_tags_come_out(text: str) -> None:
    left = outside(harmless(text))
    assert not re.search(r"<(?!/?(?:details|summary|code|sub|sup|b|i|em|strong|del|ins|br)>|details open>)", left)
    assert "@" not in left.replace("<code>@</code>", "")
    assert "`" not in re.sub("`[^`|@#<>&:]+`", "", left)
    assert "://" not in left
    assert not re.search(r"(?m)^\s*/\w", left)
    assert "[" not in left


class Page(HTMLParser):
    """What a browser would get: the text outside of code, and every tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.tags, self._code = "", set[str](), 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in ("code", "pre")
        shown = " ".join(
            sorted(name for name, _ in attrs if (tag, name) not in (("code", "class"), ("th", "style"), ("td", "style")))
        )
        self.tags.add(f"{tag} {shown}".strip())

    def handle_endtag(self, tag: str) -> None:
        self._code = max(0, self._code - (tag in ("code", "pre")))

    def handle_data(self, data: str) -> None:
        self.text += "\n" if self._code else data


READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
DRAWN = {*("p h1 h2 h3 h4 h5 h6 ul ol li hr br pre code em strong s blockquote table thead tbody tr th td".split())}  # noqa: SIM905
FOLDS = {"details", "details open", "summary", "sub", "sup", "b", "i", "del", "ins"}


@settings(max_examples=400)
@given(PIECES | st.text(max_size=80))
def test_another_reader_of_markdown_sees_no_name_no_link_and_no_image(text: str) -> None:
    page = Page(READER.render(comment(f"{MARKER}\n{text}").removeprefix(MARKER)))
    assert page.tags <= DRAWN | FOLDS | {"ol start"}, page.tags
    assert not re.search(r"@\w|#\d|://", page.text)


def test_the_other_reader_would_see_them() -> None:
    page = Page(READER.render("<details>\n`@octocat`\n\n![x](y) &#64;all"))
    assert "@octocat" in page.text
    assert "@all" in page.text
    assert "img alt src" in page.tags


@given(PIECES, st.integers(min_value=400, max_value=600))
def test_what_is_cut_fits_and_is_closed(text: str, limit: int) -> None:
    whole = comment(f"{MARKER}\n" + text * 60)
    made = fitted(whole, limit)
    assert len(made) <= limit
    assert made == whole or made.endswith(f"{CUT}\n")
    left = outside(made)
    assert "```" not in left
    assert left.count("</details>") >= left.count("<details")


def test_what_fits_is_left_as_it_is() -> None:
    assert fitted(comment(REPORT), 65_536) == comment(REPORT)
