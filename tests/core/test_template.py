"""The sandbox: what renders, what is refused, what stops, and where errors point."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.template import Templates
from promptreg.core.template.allowance import BITS, ITEMS, TEXT
from promptreg.errors import ExitCode, TemplateError, Where

WHERE = Where("prompts/p.yaml", 10, 5, "messages[0].content")
PARTIALS = {
    "s/_tone.jinja": "Be {{ tone }}.\n",
    "s/_macros.jinja": "{% macro tag(x) %}<{{ x }}>{% endmacro %}{% set counter = namespace(n=0) %}"
    "{% macro count() %}{% set counter.n = counter.n + 1 %}{{ counter.n }}{% endmacro %}",
    "s/_needy.jinja": "{% macro tag(x) %}{{ x }}{{ tone }}{% endmacro %}",
    "s/_base.jinja": "A{% block body %}{{ question }}{% endblock %}Z",
    "s/_faulty.jinja": "fine\nnot {{ fine }",
    "s/_late.jinja": "one\ntwo {{ missing_name }}",
}


def render(source: str, **variables: object) -> str:
    return Templates(PARTIALS).render(source, variables, WHERE)  # type: ignore[arg-type]


def refusal(source: str, partials: dict[str, str] | None = None, **variables: object) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        Templates(PARTIALS if partials is None else partials).render(source, variables, WHERE)  # type: ignore[arg-type]
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.where is not None
    return caught.value


@pytest.mark.parametrize(
    ("source", "variables", "text"),
    [
        ("Hi {{ name }}!", {"name": "Bob"}, "Hi Bob!"),
        ("one final newline goes\n", {}, "one final newline goes"),
        ("only one\n\n", {}, "only one\n"),
        (
            "{{ a }} {{ b }} {{ c }} {{ d }}",
            {"a": None, "b": True, "c": 1.5, "d": [1, "x", {"k": None}]},
            "None True 1.5 [1, 'x', {'k': None}]",
        ),
        ("<&> {{ x }}", {"x": "<&>"}, "<&> <&>"),
        ("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", {"d": {"b": 1, "a": 2}}, "b=1;a=2;"),
        ("{{ d.items }}", {"d": {"items": 3}}, None),  # Jinja's own rule: the method wins
        ("{{ d['items'] }}{{ d.copy }}", {"d": {"items": 3, "copy": 4}}, "34"),
        (
            "{% for x in xs if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% else %}none{% endfor %}",
            {"xs": [1, 2, 3]},
            "1/2:2 2/2:3 ",
        ),
        ("{% for x in xs recursive %}{{ x.n }}{{ loop(x.c) }}{% endfor %}", {"xs": [{"n": 1, "c": [{"n": 2, "c": []}]}]}, "12"),
        ("{% for x in xs %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x) }}{% endfor %}", {"xs": [1, 1]}, "aTruebFalse"),
        ("{% include 's/_tone.jinja' %}", {"tone": "kind"}, "Be kind."),
        ("{% from 's/_macros.jinja' import tag %}{{ tag(1) }}", {}, "<1>"),
        ("{% import 's/_macros.jinja' as m %}{{ m.tag('x') }}", {}, "<x>"),
        ("{% extends 's/_base.jinja' %}{% block body %}{{ super() }}!{% endblock %}", {"question": "why"}, "Awhy!Z"),
        ("{% macro wrap() %}[{{ caller() }}]{% endmacro %}{% call wrap() %}x{% endcall %}", {}, "[x]"),
        ("{% set t %}ab{% endset %}{{ t | upper }}{% filter title %}ab cd{% endfilter %}", {}, "ABAb Cd"),
        ("{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", {}, "3"),
        (
            "{{ 'a' ~ 1 ~ [2] }} {{ 'ab' * 2 }} {{ [1] * 2 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 2 ** 8 }} {{ 1 + 1 - 3 }}",
            {},
            "a1[2] abab [1, 1] 3 3 256 -1",
        ),
        ("{{ '%s is %05.1f%% of %(x)s' }}", {}, "%s is %05.1f%% of %(x)s"),
        (
            "{{ '%s is %05.1f%%' | format('a', 2.25) }} {{ '%(x)d' % {'x': 3} }} {{ '%s' % [1] }} {{ '%r' % 'a' }}",
            {},
            "a is 002.2% 3 [1] 'a'",
        ),
        ("{{ '{} {a[k]} {b:>3} {a!r}'.format(1, a={'k': 2}, b='x') }}", {}, "1 2   x {'k': 2}"),
        (
            "{{ '{a}'.format_map({'a': 1}) }}{{ 'a'.center(3) }}{{ 'a'.ljust(2, '.') }}{{ '7'.zfill(3) }}{{ '\t'.expandtabs(2) }}",
            {},
            "1 a a.007  ",
        ),
        (
            "{{ ', '.join(['a', 'b']) }} {{ 'aXbX'.replace('X', '-', 1) }} {{ ' a '.strip() }} {{ 'a b'.split()[1] }}",
            {},
            "a, b a-bX a b",
        ),
        (
            "{{ xs | map('upper') | join('-') }} {{ xs | map('upper') }} {{ ds | map(attribute='k') | list }}",
            {"xs": ["a", "b"], "ds": [{"k": 1}]},
            "A-B ['A', 'B'] [1]",
        ),
        (
            "{{ ds | selectattr('k', 'gt', 1) | list | length }}{{ ds | sum('k') }}"
            "{{ ds | sort(attribute='k', reverse=true) | first }}",
            {"ds": [{"k": 1}, {"k": 2}]},
            "13{'k': 2}",
        ),
        (
            "{% for g in ds | groupby('k') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}",
            {"ds": [{"k": 1}, {"k": 1}, {"k": 0}]},
            "0112",
        ),
        ("{{ {'b': '<é>', 'a': [1, none, true]} | tojson }}", {}, '{"a": [1, null, true], "b": "<é>"}'),
        ("{{ {'a': 1} | tojson(indent=2) }}", {}, '{\n  "a": 1\n}'),
        ("{{ '<b>' | e }}{{ '<b>' | safe }}{{ 'a b' | urlencode }}", {}, "&lt;b&gt;<b>a%20b"),
        (
            "{{ 'a\nb' | indent(2) }}|{{ 'x' | center(3) }}|{{ 'aa bb' | wordwrap(2) }}|{{ 'abcdef' | truncate(4, true, '.', 0) }}",
            {},
            "a\n  b| x |aa\nbb|abc.",
        ),
        (
            "{{ [1, 2, 3] | batch(2, 0) }}{{ [1, 2, 3] | slice(2) }}{{ [3, 1] | max }}{{ 2.567 | round(1) }}{{ '12' | int }}",
            {},
            "[[1, 2], [3, 0]][[1, 2], [3]]32.612",
        ),
        ("{{ x | default('none') }}{{ 'yes' if x is defined else 'no' }}", {}, "noneno"),
        ("{{ 'b' in 'abc' }}{{ 2 not in [1] }}{{ 1 < 2 <= 2 }}{{ 'abc'[1:] }}{{ [1, 2, 3][::-1] }}", {}, "TrueTrueTruebc[3, 2, 1]"),
        ("{{ dict(a=1).get('b', 2) }}{{ {1: 2}[1] }}{{ range(3) | list }}", {}, "22[0, 1, 2]"),
    ],
)
def test_renders(source: str, variables: dict[str, object], text: str | None) -> None:
    if text is None:
        refusal(source, **variables)
    else:
        assert render(source, **variables) == text


NESTED = (
    "{% set ns = namespace(x=(1,), y=(1,)) %}{% for i in range(60) %}"
    "{% set ns.x = (ns.x, ns.x) %}{% set ns.y = (ns.y, ns.y) %}{% endfor %}"
)
LONG = "{% set s = 'x' * 4000000 %}{% for i in range(90000) %}"
HOSTILE = {
    # endless or exponential
    "nested loops": "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}"
    "{% endfor %}{% endfor %}{% endfor %}",
    "loop condition": "{% for a in range(100000) if false %}{% endfor %}" * 10,
    "recursive loop": "{% for x in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "macro for ever": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "macro doubles": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(30) }}",
    "caller": "{% macro f() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    "{% call f() %}{% for i in range(100000) %}x{% endfor %}{% endcall %}",
    "block": "{% block a %}{{ self.a() }}{% endblock %}",
    "self include": "{% include 'self' %}",
    "doubling include": "{% include 'double' %}",
    "mutual include": "{% include 'one' %}",
    "self import": "{% import 'import' as x %}",
    "self extends": "{% extends 'extends' %}",
    "large body": "{% for i in range(90000) %}{% set y = [" + "i," * 5000 + "] %}{% endfor %}",
    "spread": "{% macro f() %}{{ varargs | length }}{% endmacro %}{% for i in range(9000) %}{{ f(*range(100000)) }}{% endfor %}",
    "spread mapping": "{{ dict(**many) }}",
    # large texts
    "format filter": "{{ '%1000000000s' | format('x') }}",
    "format operator": "{{ '%1000000000s' % 'x' }}",
    "format precision": "{{ '%.1000000000f' % 1.0 }}",
    "format star": "{{ '%*s' % (1000000000, 'x') }}",
    "format repeated": "{{ ('%(a)s' * 10000) % {'a': 'x' * 1000000} }}",
    "str.format": "{{ '{:1000000000}'.format(1) }}",
    "str.format nested": "{{ '{:{w}}'.format(1, w=10**9) }}",
    "str.format repeated": "{{ ('{0}' * 100000).format('x' * 1000000) }}",
    "str.format conversion": "{{ '{0!r:>1000000000}'.format('x') }}",
    "format_map": "{{ '{a:1000000000}'.format_map({'a': 1}) }}",
    "stored format": "{% set f = '{:1000000000}'.format %}{{ f(1) }}",
    "repeat": "{{ 'x' * 10**9 }}",
    "repeat reversed": "{{ 10**9 * 'x' }}",
    "ljust": "{{ 'a'.ljust(10**9) }}",
    "rjust": "{{ 'a'.rjust(10**9) }}",
    "center method": "{{ 'a'.center(10**9) }}",
    "zfill": "{{ 'a'.zfill(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "center": "{{ 'a' | center(10**9) }}",
    "indent": "{{ 'a' | indent(10**9) }}",
    "indent by text": "{% set x = 'a\n' * 100000 %}{{ x | indent('x' * 100000) }}",
    "replace": "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}",
    "replace nothing": "{{ ('a' * 1000000).replace('', 'b' * 1000000) }}",
    "join": "{{ range(100000) | join('x' * 1000000) }}",
    "join method": "{{ ('x' * 1000000).join(['a'] * 100000) }}",
    "wordwrap": "{{ ('a' * 900000) | wordwrap(1, wrapstring='x' * 100000) }}",
    "tojson": "{{ [1] | tojson(indent=10**9) }}",
    "escape": "{{ ('&' * 4000000) | e }}",
    "urlencode": "{{ ('€' * 4000000) | urlencode }}",
    "doubling": "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "doubling by plus": "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "output": "{% for a in range(50000) %}" + "x" * 10000 + "{% endfor %}",
    "macro buffer": "{% macro f() %}{% for i in range(50000) %}" + "x" * 10000 + "{% endfor %}{% endmacro %}{% set a = f() %}",
    "set buffer": "{% set a %}{% for i in range(50000) %}" + "x" * 10000 + "{% endfor %}{% endset %}",
    "filter buffer": "{% filter upper %}{% for i in range(50000) %}" + "x" * 10000 + "{% endfor %}{% endfilter %}",
    "hoarding": "{% set ns = namespace(x=[]) %}" + LONG + "{% set ns.x = ns.x + [s ~ i] %}{% endfor %}",
    # large lists and numbers
    "list repeat": "{{ [1] * 10**9 }}",
    "tuple repeat": "{{ (1,) * 10**9 }}",
    "doubling list": "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "hoarding lists": "{% set ns = namespace(x=[]) %}{% set s = [1] * 90000 %}"
    "{% for i in range(9000) %}{% set ns.x = ns.x + [s + [i]] %}{% endfor %}",
    "growing mapping": "{% set ns = namespace(d={}) %}"
    "{% for i in range(90000) %}{% set ns.d = dict(ns.d, **{'k' ~ i: i}) %}{% endfor %}",
    "batch": "{{ [1] | batch(10**9, 'x') }}",
    "slice": "{{ [1] | slice(10**9) }}",
    "sum of lists": "{{ ([[1]] * 1000) | sum(start=[]) }}",
    "range": "{% for i in range(10**9) %}{% endfor %}",
    "list of text": "{{ ('x' * 4000000) | list }}",
    "split": "{{ ('x ' * 2000000).split() }}",
    "power": "{{ 9**(9**7) }}",
    "squaring": "{% set ns = namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "hexadecimal": "{{ 0x" + "f" * 100000 + " // 3 }}",
    "round": "{{ 5 | round(-1000000000) }}",
    # nested values, whose text, order or hash is exponential
    "print nested": NESTED + "{{ ns.x }}",
    "compare nested": NESTED + "{{ ns.x == ns.y }}",
    "nested in": NESTED + "{{ ns.x in [ns.y] }}",
    "nested is in": NESTED + "{{ ns.x is in [ns.y] }}",
    "changed nested": NESTED + "{% for i in [1, 2] %}{{ loop.changed(ns.x) }}{% endfor %}",
    "tojson nested": NESTED + "{{ ns.x | tojson }}",
    "join nested": NESTED + "{{ [ns.x] | join }}",
    "sort nested": NESTED + "{{ [ns.x, ns.y] | sort }}",
    "unique nested": NESTED + "{{ [ns.x] | unique }}",
    "select nested": NESTED + "{{ [namespace(a=ns.x)] | selectattr('a', 'eq', ns.y) }}",
    "sort by attribute": NESTED + "{{ [namespace(a=ns.x), namespace(a=ns.y)] | sort(attribute='a') }}",
    "nested key": NESTED + "{{ {ns.x: 1} }}",
    "nested key of dict": NESTED + "{{ dict([(ns.x, 1)]) }}",
    "nested item": NESTED + "{{ {}[ns.x] }}",
    "nested get": NESTED + "{{ {}.get(ns.x) }}",
    "nested format": NESTED + "{{ '{}'.format(ns.x) }}",
    "deep": "{% set ns = namespace(x=[]) %}{% for i in range(9000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
    # fast operations on long texts, many times
    "slices": LONG + "{% set y = s[1:] %}{% endfor %}",
    "contains": LONG + "{% set y = 'y' in s %}{% endfor %}",
    "upper": LONG + "{% set y = s.upper() %}{% endfor %}",
    "title": LONG + "{% set y = s | title %}{% endfor %}",
    "finds": LONG + "{% set y = s.count('y') %}{% endfor %}",
    # syntax
    "parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "chain": "{{ x" + ".a" * 5000 + " }}",
    "sum": "{{ " + "+".join(["1"] * 5000) + " }}",
    "statically nested": "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
    "many parts": "{{ 1 }}" * 25000,
}
LOOPING = {
    "self": "{% include 'self' %}",
    "double": "x{% include 'double' %}{% include 'double' %}",
    "one": "{% include 'two' %}",
    "two": "{% include 'one' %}",
    "import": "{% import 'import' as y %}",
    "extends": "{% extends 'extends' %}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_stops_what_is_endless_or_explodes(name: str) -> None:
    fault = refusal(HOSTILE[name], LOOPING, many={f"k{i}": i for i in range(5000)}, x={"a": 1})
    assert len(fault.message) < 400


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__class__'] }}",
        "{{ ('' | attr('__class__')) }}",
        "{{ ('{0.__class__}' | attr('format'))('') }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ '{0[__class__]}'.format('') }}",
        "{% set f = '{0.__class__}'.format %}{{ f('') }}",
        "{{ ['{0.__class__}'.format] | map('call', '') | list }}",
        "{{ [''] | map(attribute='__class__') | list }}",
        "{{ [''] | map(attribute='__class__.__mro__') | list }}",
        "{{ [{}] | selectattr('__class__') | list }}",
        "{{ [''] | map('attr', '__class__') | list }}",
        "{{ [1] | map(' steps') | list }}",
        "{{ x.append(1) }}",
        "{{ x.copy() }}",
        "{{ d.update({'a': 1}) }}",
        "{{ d.pop('k') }}",
        "{% set x.a = 1 %}",
        "{{ 'a'.encode() }}",
        "{{ 'a'.translate({97: 'b'}) }}",
        "{{ (1).to_bytes(9, 'big') }}",
        "{{ range.__self__ }}",
        "{{ range.__func__.__globals__ }}",
        "{{ dict.__self__.local }}",
        "{{ 'a'.upper.func }}",
        "{{ 'a'.upper.args }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ namespace().__class__ }}",
        "{{ self._TemplateReference__context }}",
        "{% macro f() %}{% endmacro %}{{ f._func }}",
        "{% macro f() %}{% endmacro %}{{ f._environment }}",
        "{% macro f() %}{{ caller._func.__globals__ }}{% endmacro %}{% call f() %}{% endcall %}",
        "{% for i in [1] %}{{ loop._iterable }}{{ loop._recurse }}{% endfor %}",
        "{% for i in [1] %}{{ loop.__class__ }}{% endfor %}",
        "{% import 's/_macros.jinja' as m %}{{ m.__dict__ }}",
        "{% import 's/_macros.jinja' as m %}{{ m._body_stream }}",
        "{{ lipsum(n=9) }}",
        "{{ cycler('a') }}",
        "{{ joiner() }}",
        "{{ [1, 2] | random }}",
        "{{ x() }}",
        "{{ '{}' | xmlattr }}",
        "{% autoescape true %}{{ '<' }}{% endautoescape %}",
    ],
)
def test_refuses_what_leads_out_of_the_sandbox(source: str) -> None:
    refusal(source, x=[1], d={"k": 1})


@pytest.mark.parametrize(
    "source",
    [
        "{{ namespace(a=1) }}",
        "{% macro f() %}{% endmacro %}{{ f }}",
        "{{ 'a'.upper }}",
        "{{ ['a'.upper] }}",
        "{{ ['a'.upper] | tojson }}",
        "{{ ['a'.upper] | join }}",
        "{{ 'a'.upper ~ '' }}",
        "{{ '%s' % 'a'.upper }}",
        "{{ '{}'.format(range) }}",
        "{% for i in [1] %}{{ loop }}{% endfor %}",
        "{{ range }}",
        "{% import 's/_macros.jinja' as m %}{{ m }}",
    ],
)
def test_never_prints_an_address_in_memory(source: str) -> None:
    refusal(source)


@pytest.mark.parametrize(
    ("source", "words", "place"),
    [
        ("a\nb {{ nmae }}", "'nmae' is undefined; did you mean 'name'?", "prompts/p.yaml:11"),
        ("{{ nope }}", "'nope' is undefined", "prompts/p.yaml:10:5"),
        ("a\n\n{{ item.quueue }}", "there is no key 'quueue'; did you mean 'queue'?", "prompts/p.yaml:12"),
        ("{{ [nope] }}", "'nope' is undefined", "prompts/p.yaml:10:5"),
        ("{{ 'a' ~ nope }}", "'nope' is undefined", "prompts/p.yaml:10:5"),
        ("{{ nope | upper }}", "'nope' is undefined", "prompts/p.yaml:10:5"),
        ("{% if nope %}{% endif %}", "'nope' is undefined", "prompts/p.yaml:10:5"),
        ("{{ name[nope] }}", "'nope' is undefined", "prompts/p.yaml:10:5"),
        ("a\n{{ name | uper }}", "there is no filter 'uper'; did you mean 'upper'?", "prompts/p.yaml:11"),
        ("{% if false %}{{ name | uper }}{% endif %}", "there is no filter 'uper'", "prompts/p.yaml:10:5"),
        ("{{ name is strng }}", "there is no test 'strng'; did you mean 'string'?", "prompts/p.yaml:10:5"),
        ("{{ xs | map('uper') }}", "there is no filter 'uper'", "prompts/p.yaml:10:5"),
        ("a\n{% if %}", "Expected an expression", "prompts/p.yaml:11"),
        ("a\n{{ name", "unexpected end of template", "prompts/p.yaml:11"),
        (
            "{% include 's/_tine.jinja' %}",
            "there is no partial 's/_tine.jinja'; did you mean 's/_tone.jinja'?",
            "prompts/p.yaml:10:5",
        ),
        ("{% include 's/_nothing' ignore missing %}", "there is no partial", "prompts/p.yaml:10:5"),
        ("{% include '../s/_tone.jinja' %}", "not a path inside", "prompts/p.yaml:10:5"),
        ("{% include '/etc/passwd' %}", "not a path inside", "prompts/p.yaml:10:5"),
        ("{% include name %}", "must be written out", "prompts/p.yaml:10:5"),
        ("{% include ['a', 'b'] %}", "must be written out", "prompts/p.yaml:10:5"),
        ("{% include 's/_faulty.jinja' %}", "unexpected '}'", "prompts/s/_faulty.jinja:2"),
        ("{% include 's/_late.jinja' %}", "'missing_name' is undefined", "prompts/s/_late.jinja:2"),
        ("a\n{{ 1 / 0 }}", "division by zero", "prompts/p.yaml:11"),
        ("{{ name + 1 }}", "cannot be rendered", "prompts/p.yaml:10:5"),
        ("{% break %}", "unknown tag 'break'", "prompts/p.yaml:10:5"),
    ],
)
def test_says_what_is_wrong_and_where(source: str, words: str, place: str) -> None:
    fault = refusal(source, name="Bob", item={"queue": 1}, xs=["a"])
    assert words in fault.message
    assert str(fault.where).startswith(place)


def test_a_place_without_a_line_counts_the_template_s_own_lines() -> None:
    with pytest.raises(TemplateError) as caught:
        Templates({}).render("a\n{{ x }}", {}, Where("prompts/x.yaml"))
    assert caught.value.where == Where("prompts/x.yaml", 2)


def test_large_honest_prompts_render() -> None:
    documents = [{"title": f"T{i}", "text": "word " * 200, "tags": ["a", "b"]} for i in range(300)]
    source = "{% for d in documents %}## {{ d.title }} {{ d.tags | join(', ') }}\n{{ d.text | trim }}\n{% endfor %}"
    source += "{{ documents | tojson }}"
    assert len(render(source, documents=documents)) > 600_000
    assert len(render("{{ text }}", text="x" * TEXT)) == TEXT


def test_limits_are_where_they_say() -> None:
    assert render("{{ x | length }}{% for i in x %}{% endfor %}", x="y" * 1000) == "1000"
    assert render("{{ 'x' * n }}", n=TEXT) == "x" * TEXT
    assert "longer than" in refusal("{{ 'x' * n }}", n=TEXT + 1).message
    assert render("{{ (range(n) | list | length) }}", n=ITEMS) == str(ITEMS)
    assert "entries" in refusal("{{ range(n) | list | length }}", n=ITEMS + 1).message
    assert render("{{ 2 ** n % 7 }}", n=BITS - 1) == str(2 ** (BITS - 1) % 7)
    assert "integer" in refusal("{{ 2 ** n }}", n=BITS).message


def test_an_import_keeps_no_state_between_renderings() -> None:
    templates = Templates(PARTIALS)
    source = "{% from 's/_macros.jinja' import count %}{{ count() }}{{ count() }}"
    assert [templates.render(source, {}, WHERE) for _ in range(3)] == ["12", "12", "12"]


def test_variables_and_globals_are_not_changed_by_rendering() -> None:
    variables = {"xs": [3, 1], "d": {"a": 1}}
    templates = Templates({})
    templates.render("{% set xs = [] %}{% set range = 1 %}{{ xs }}{{ d | items | sort }}", variables, WHERE)
    assert variables == {"xs": [3, 1], "d": {"a": 1}}
    assert templates.render("{{ range(1) | list }}", {}, WHERE) == "[0]"


def test_threads_share_templates_but_not_allowances() -> None:
    templates = Templates(PARTIALS)
    heavy = "{% for i in range(5000) %}{{ i % 7 }}{% include 's/_tone.jinja' %}{% endfor %}"
    expected = templates.render(heavy, {"tone": "0"}, WHERE)
    texts: list[str] = []
    faults: list[TemplateError] = []

    def work(number: int) -> None:
        texts.append(templates.render(heavy, {"tone": str(number)}, WHERE).replace(f"Be {number}.", "Be 0."))
        try:
            templates.render("{% for a in range(90000) %}{{ 'x' | upper }}{% endfor %}", {}, WHERE)
        except TemplateError as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [expected] * 4
    assert len(faults) == 4


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ expected.queue }}", "billing"),
        ("{{ expected }}", {"queue": "billing", "n": 3}),
        ("{{ expected.n }}", 3),
        ("{{ expected.n > 2 }}", True),
        ("{{ none }}", None),
        ("{{ [expected.n, 'x'] }}", [3, "x"]),
        ("{{ (1, 2) }}", [1, 2]),
        ("{{ range(2) }}", [0, 1]),
        ("{{ ['a'] | map('upper') }}", ["A"]),
        ("{{ expected.n }}\n", 3),
        (" {{ expected.n }}", " 3"),
        ("{{ expected.n }}{{ 1 }}", "31"),
        ("plain", "plain"),
        ("", ""),
        ("{% if true %}{{ 1 }}{% endif %}", "1"),
    ],
)
def test_evaluate_keeps_the_value_of_a_lone_expression(source: str, value: object) -> None:
    assert Templates({}).evaluate(source, {"expected": {"queue": "billing", "n": 3}}, WHERE) == value


@pytest.mark.parametrize(
    "source",
    ["{{ nope }}", "{{ nope.x }}", "{{ range }}", "{{ x.upper }}", "{{ namespace() }}", "{{ [x.upper] }}", "{{ 9 ** 9999 }}"],
)
def test_evaluate_gives_values_only(source: str) -> None:
    with pytest.raises(TemplateError):
        Templates({}).evaluate(source, {"x": "a"}, WHERE)


@pytest.mark.parametrize(
    ("expression", "truth"), [("n == 3", True), ("n > 3 or not text", False), ("'a' in text and n is odd", True)]
)
def test_truth(expression: str, truth: bool) -> None:
    assert Templates({}).truth(expression, {"n": 3, "text": "abc"}, WHERE) is truth


@pytest.mark.parametrize(
    "expression", ["n", "text", "none", "nope", "n ==", "n == 3 }}{{ 1", "{{ n == 3 }}", "", "'x' * 10**9 == 1", "n is strange"]
)
def test_truth_is_strict(expression: str) -> None:
    with pytest.raises(TemplateError):
        Templates({}).truth(expression, {"n": 3, "text": "abc"}, WHERE)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ a.b }}{{ c[d] }}", {"a", "c", "d"}),
        ("{% set x = y %}{{ x }}", {"y"}),
        ("{{ x }}{% set x = y %}", {"x", "y"}),
        ("{% for x in xs if x > low %}{{ x }}{{ loop.index }}{% else %}{{ x }}{% endfor %}", {"xs", "low", "x"}),
        (
            "{% macro f(a, b=c) %}{{ a }}{{ b }}{{ d }}{{ varargs }}{{ kwargs }}{{ caller() }}{% endmacro %}{{ f(e) }}",
            {"c", "d", "e"},
        ),
        ("{% call(u) f() %}{{ u }}{{ v }}{% endcall %}", {"f", "v"}),
        ("{% with m = n %}{{ m }}{% endwith %}{{ m }}", {"n", "m"}),
        ("{{ range(3) }}{{ dict(a=b) }}", {"b"}),
        ("{{ x is defined }}{{ y | default(z) }}", {"x", "y", "z"}),
        ("{% include 's/_tone.jinja' %}", {"tone"}),
        ("{% set tone = 'dry' %}{% include 's/_tone.jinja' %}", set()),
        ("{% for tone in tones %}{% include 's/_tone.jinja' %}{% endfor %}", {"tones"}),
        ("{% macro f(tone) %}{% include 's/_tone.jinja' %}{% endmacro %}", set()),
        ("{% from 's/_macros.jinja' import tag %}{{ tag(x) }}", {"x"}),
        ("{% from 's/_needy.jinja' import tag with context %}{{ tag(x) }}", {"x", "tone"}),
        ("{% extends 's/_base.jinja' %}{% block body %}{{ super() }}{{ mine }}{% endblock %}", {"question", "mine"}),
        ("{% include 's/_loop.jinja' %}", {"a"}),
        ("nothing", set()),
    ],
)
def test_variables_are_found_through_everything(source: str, names: set[str]) -> None:
    partials = {**PARTIALS, "s/_loop.jinja": "{{ a }}{% include 's/_loop.jinja' %}"}
    assert Templates(partials).variables(source, WHERE) == names


def test_a_partial_without_context_cannot_read_variables() -> None:
    for source in ("x\n{% from 's/_needy.jinja' import tag %}", "x\n{% include 's/_tone.jinja' without context %}"):
        with pytest.raises(TemplateError, match="reads 'tone' but gets no variables") as caught:
            Templates(PARTIALS).variables(source, WHERE)
        assert caught.value.where == Where("prompts/p.yaml", 11, 0, WHERE.key)


def test_includes_are_transitive() -> None:
    partials = {"a": "{% include 'b' %}", "b": "{% import 'c' as c %}{% include 'a' %}", "c": "", "d": ""}
    templates = Templates(partials)
    assert templates.includes("{% if false %}{% include 'a' %}{% endif %}", WHERE) == {"a", "b", "c"}
    assert templates.includes("none", WHERE) == frozenset()


def test_analysis_of_doubling_includes_ends() -> None:
    fan = {f"p{i}": f"{{% include 'p{i + 1}' %}}{{% include 'p{i + 1}' %}}x" for i in range(40)} | {"p40": "x{{ a }}"}
    templates = Templates(fan)
    assert len(templates.includes("{% include 'p0' %}", WHERE)) == 41
    assert len(templates.least_text("{% include 'p0' %}", WHERE)) == TEXT
    with pytest.raises(TemplateError, match="parts"):
        templates.variables("{% include 'p0' %}", WHERE)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("{% if false %}a{% endif %}", [10]),
        ("{% if true %}a{% endif %}", [10]),
        ("{% if x %}a{% elif true %}b\n{% elif y %}c{% endif %}", [11]),
        ("{% if x %}a{% elif not (1 == 1) %}b{% endif %}", [10]),
        ("{% if x and false %}a{% endif %}{{ 1 if 2 > 3 else 4 }}", [10, 10]),
        ("{% if queue == 'bilingl' %}a{% endif %}", [10]),
        ("{% if queue != 'bilingl' %}a{% endif %}", [10]),
        ("{% if queue in ['x', 'y'] %}a{% endif %}", [10]),
        ("{% if queue == 'bug' %}a{% elif queue == 'billing' %}b{% else %}c{% endif %}", []),
        ("{% if queue in ['bug', 'y'] %}a{% endif %}{% if x == 1 %}{% endif %}", []),
        ("{% for queue in qs %}{% if queue == 'other' %}{% endif %}{% endfor %}", []),
        ("{% if x %}a{% else %}b{% endif %}", []),
        ("{% if queue < 3 %}a{% endif %}", []),
    ],
)
def test_dead_branches(source: str, lines: list[int]) -> None:
    found = Templates({}).dead_branches(source, {"queue": ["billing", "bug"]}, WHERE)
    assert [where.line for where, _ in found] == lines


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("ab{{ x }}cd", "abcd"),
        ("a{% if x %}long{% elif y %}mid{% else %}s{% endif %}", "as"),
        ("a{% if x %}long{% endif %}{% for i in y %}zz{% endfor %}{% macro f() %}m{% endmacro %}", "a"),
        ("{% include 's/_tone.jinja' %}", "Be ."),
        ("{% extends 's/_base.jinja' %}zzz", ""),
    ],
)
def test_least_text_is_a_lower_bound(source: str, text: str) -> None:
    assert Templates(PARTIALS).least_text(source, WHERE) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_values_print_as_python_prints_them_and_pass_evaluate_unchanged(value: object) -> None:
    templates = Templates({})
    assert templates.render("{{ x }}", {"x": value}, WHERE) == str(value)  # type: ignore[dict-item]
    assert templates.evaluate("{{ x }}", {"x": value}, WHERE) == value  # type: ignore[dict-item]
    assert templates.evaluate("{{ [x] }}", {"x": value}, WHERE) == [value]  # type: ignore[dict-item]


@given(st.text(), st.text())
def test_text_of_variables_is_never_read_as_a_template(before: str, value: str) -> None:
    text = before.replace("{", "").replace("\r", "")
    assert Templates({}).render(text + "{{ x }}|", {"x": value}, WHERE) == text + value + "|"


SIGNS = ["{{", "}}", "{%", "%}", "{#", "#}", "-", " x ", "'", "(", ")", "|", ".", " if ", " for ", " in ", " set ", "endif", "\n"]


def result(source: str) -> str | TemplateError:
    try:
        return Templates({}).render(source, {"x": [1, "a"]}, WHERE)
    except TemplateError as fault:
        return fault


@given(st.lists(st.sampled_from(SIGNS), max_size=14).map("".join))
def test_any_source_renders_always_alike_or_is_a_template_error(source: str) -> None:
    first, second = result(source), result(source)
    assert str(first) == str(second)
    assert not isinstance(first, TemplateError) or first.where is not None
