"""The only door to Jinja: source and variables in, text or a value out, or a TemplateError with file and line.

Rendering is a pure function: immutable sandbox, strict undefined, no chance, no clock, and work, sizes and nesting are counted
(`allowance.py`), so that an endless or exploding template stops with an error. Differences from plain Jinja: the path of an
include is written out and found among the given partials; an imported file runs anew each time; the one final newline of a
source is dropped (Jinja's default: a YAML block scalar's last newline does not reach the model).
Knows nothing of prompts, roles, or where partials came from.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import jinja2
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.runtime import Context, Undefined

from promptreg.core.canonical import Json
from promptreg.core.template.allowance import Allowance, TooMuch, whole
from promptreg.core.template.sandbox import Lack, Sandbox, did_you_mean
from promptreg.core.template.syntax import Reading
from promptreg.errors import TemplateError, Where

_T = TypeVar("_T")

KEPT = 256  # compiled templates of one instance: more than any prompt or suite has
SOURCE = 4 * 1024 * 1024  # characters of one source

# What a template's own operations may raise. A broad `except` would hide our bugs.
_FAULTS = (
    jinja2.TemplateError,
    TooMuch,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,  # RecursionError
    SyntaxError,  # Python's own limits on nested blocks
    TypeError,
    ValueError,
)


class _Local(threading.local):
    allowance: Allowance


class Templates:
    """A fixed set of partials (include path to text) and the templates compiled against it. Safe in several threads at once.

    *root* is the folder that include paths start from; it is only used to name a partial's file in errors.
    """

    def __init__(self, partials: Mapping[str, str], root: str = "prompts/") -> None:
        self._root = root
        self._local = _Local()
        self._sandbox = Sandbox(partials, self._local)
        self._reading = Reading(self._sandbox)
        self._text = functools.lru_cache(KEPT)(self._compile_text)
        self._value = functools.lru_cache(KEPT)(self._compile_value)
        self._truth = functools.lru_cache(KEPT)(self._compile_truth)

    @property
    def reserved(self) -> frozenset[str]:
        """Names that a variable may not have: Jinja's own and its globals."""
        return frozenset(self._sandbox.globals) | _RESERVED

    def render(self, source: str, variables: Mapping[str, Json], where: Where) -> str:
        """The text of *source*. Raises TemplateError."""
        return self._guard(lambda: self._run(self._text(source), variables), where, variables)

    def evaluate(self, source: str, variables: Mapping[str, Json], where: Where) -> Json:
        """The value of a source that is exactly one `{{ expression }}`; the text of any other."""
        return self._guard(lambda: self._evaluate(source, variables), where, variables)

    def truth(self, expression: str, variables: Mapping[str, Json], where: Where) -> bool:
        """Whether *expression* (no braces) holds. TemplateError when it is neither true nor false: a typo must not pass a check."""
        value = self._guard(lambda: self._result(self._truth(expression), variables), where, variables)
        if not isinstance(value, bool):
            raise TemplateError(
                f"the expression is neither true nor false but {_kind(value)}", where=where, hint="compare it with something"
            )
        return value

    def variables(self, source: str, where: Where) -> frozenset[str]:
        """The names that *source* reads from outside, also through includes, imports, macros and loops."""
        return self._guard(lambda: self._reading.variables(source), where)

    def includes(self, source: str, where: Where) -> frozenset[str]:
        """The partials that *source* uses, and those that they use."""
        return self._guard(lambda: self._reading.includes(source), where)

    def mention(self, source: str, name: str, where: Where) -> Where:
        """Where *source*, or a partial it uses, first reads *name*; else *where*."""
        file, line = self._guard(lambda: self._reading.mention(source, name), where)
        return self._place(file, line, where)

    def dead_branches(self, source: str, enums: Mapping[str, Sequence[Json]], where: Where) -> list[tuple[Where, str]]:
        """Branches that no rendering takes, with the reason. *enums* holds all values of those variables that have few."""
        found = self._guard(lambda: self._reading.dead_branches(source, enums), where)
        return [(self._place(file, line, where), reason) for file, line, reason in found]

    def least_text(self, source: str, where: Where) -> str:
        """Static text that every rendering holds, whatever the variables: a lower bound of its size."""
        return self._guard(lambda: self._reading.least_text(source), where)

    # compiling

    def _compile_text(self, source: str) -> jinja2.Template:
        _bounded_source(source)
        return self._sandbox.file(source)

    def _compile_value(self, source: str) -> jinja2.Template | str | None:
        """A template that stores the one expression's value; or the name of a variable that is all of it; or None."""
        _bounded_source(source)
        body = self._sandbox.parse(source).body
        if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
            return None
        expression = body[0].nodes[0]
        if isinstance(expression, nodes.TemplateData):
            return None
        return expression.name if isinstance(expression, nodes.Name) else self._storing(expression)

    def _compile_truth(self, source: str) -> jinja2.Template:
        _bounded_source(source)
        parser = Parser(self._sandbox, source, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            raise jinja2.TemplateSyntaxError("expected the end of the expression", parser.stream.current.lineno)
        self._sandbox.check(expression)
        return self._storing(expression)

    def _storing(self, expression: nodes.Expr) -> jinja2.Template:
        target = nodes.Name(_RESULT, "store", lineno=expression.lineno)
        tree = nodes.Template([nodes.Assign(target, expression, lineno=expression.lineno)], lineno=1)
        tree.set_environment(self._sandbox)
        return self._sandbox.file(tree)

    # running

    def _context(self, template: jinja2.Template, variables: Mapping[str, Json]) -> Context:
        self._local.allowance = Allowance()
        return Context(self._sandbox, {**self._sandbox.globals, **variables}, None, template.blocks)

    def _run(self, template: jinja2.Template, variables: Mapping[str, Json]) -> str:
        pieces = list(template.root_render_func(self._context(template, variables)))
        allowance = self._local.allowance
        if len(pieces) > 1:
            allowance.room(sum(map(len, pieces)))
        return "".join(pieces)

    def _evaluate(self, source: str, variables: Mapping[str, Json]) -> Json:
        made = self._value(source)
        if made is None:
            return self._run(self._text(source), variables)
        if isinstance(made, str):
            if made in variables:
                return variables[made]  # whole and uncounted: the template made nothing
            return self._run(self._text(source), variables)  # which complains
        result: Json = self._result(made, variables)
        return result

    def _result(self, template: jinja2.Template, variables: Mapping[str, Json]) -> Any:
        context = self._context(template, variables)
        for _ in template.root_render_func(context):
            pass
        value = context.vars[_RESULT]
        self._local.allowance.weigh(value)  # also refuses what is undefined or not a value
        return list(value) if isinstance(value, (range, tuple)) else whole(value)

    # errors

    def _guard(self, action: Callable[[], _T], where: Where, variables: Iterable[str] = ()) -> _T:
        try:
            return action()
        except _FAULTS as fault:
            file, line = self._position(fault)
            message, hint = self._explain(fault, variables)
            raise TemplateError(message, where=self._place(file, line, where), hint=hint) from fault

    def _position(self, fault: BaseException) -> tuple[str | None, int]:
        """The innermost template and its line that *fault* came from; line 0 is unknown."""
        if isinstance(fault, jinja2.TemplateSyntaxError):
            return fault.name, fault.lineno
        name, line = None, 0
        trace: TracebackType | None = fault.__traceback__
        while trace is not None:
            template = trace.tb_frame.f_globals.get("__jinja_template__")
            if template is not None:
                name, line = template.name, template.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return name, line

    def _place(self, file: str | None, line: int, where: Where) -> Where:
        """Lines of a source inside a YAML file count from where it begins there."""
        if file is not None:
            return Where(self._root + file, line)
        if line and where.line:
            return Where(where.path, where.line + line - 1, where.column if line == 1 else 0, where.key)
        return where if where.line else Where(where.path, line, 0, where.key)

    def _explain(self, fault: BaseException, variables: Iterable[str]) -> tuple[str, str | None]:
        if isinstance(fault, TooMuch):
            return str(fault), fault.hint
        if isinstance(fault, RecursionError):
            return "the template is nested too deeply", "do macros or includes call each other without an end?"
        if isinstance(fault, jinja2.UndefinedError):
            return self._explain_lack(fault.args[0], variables)
        if isinstance(fault, jinja2.TemplateSyntaxError):
            return fault.message or "syntax error", "check the {{ braces }} and {% tags %} here"
        if isinstance(fault, jinja2.TemplateNotFound):
            return str(fault), "partials lie below prompts/; their names begin with _ and end in .jinja"
        if isinstance(fault, jinja2.TemplateError):
            return str(fault), None
        return f"the template cannot be rendered: {str(fault)[:200] or type(fault).__name__}", None

    def _explain_lack(self, lack: Any, variables: Iterable[str]) -> tuple[str, str | None]:
        if not isinstance(lack, Lack):
            return str(lack), None
        if lack.owner is None and re.fullmatch(r"'\w+' is undefined", lack):
            close = did_you_mean(lack.name, [*variables, *self._sandbox.globals])
            return f"{lack}{close}", "every variable is an input, declared under `inputs:`"
        known = lack.owner if isinstance(lack.owner, Mapping) else ()
        return f"{lack}{did_you_mean(lack.name, known)}", None


_RESULT = "_result"
_RESERVED = frozenset(
    [
        "true",
        "false",
        "none",
        "True",
        "False",
        "None",
        "and",
        "or",
        "not",
        "in",
        "is",
        "if",
        "else",
        "elif",
        "for",
        "set",
        "loop",
        "self",
        "super",
        "caller",
        "varargs",
        "kwargs",
    ]
)


def _bounded_source(source: str) -> None:
    if len(source) > SOURCE:
        raise TooMuch(f"the template is longer than {SOURCE:,} characters", "put long texts into inputs")


def _kind(value: Any) -> str:
    kinds = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a mapping", type(None): "none"}
    return "undefined" if isinstance(value, Undefined) else kinds.get(type(value), type(value).__name__)
