"""The Jinja environment: immutable sandbox, strict undefined, no chance, no clock, and every operation charged to an Allowance.

Everything is an allow-list: node types, globals, filters, tests, attributes. What can grow goes through `Allowance`, which
refuses before it computes. The parsed tree is rewritten so that bodies of loops, macros, blocks and files charge their own
size; the rewriting uses filters whose names no template can write. No value survives that prints a memory address or is lazy.
"""

# ruff: noqa: SIM905  long lists of names are read as prose
from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import jinja2
from jinja2 import nodes
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing

from promptreg.core import names
from promptreg.core.template import allowance as limit
from promptreg.core.template import methods
from promptreg.core.template.allowance import Allowance, TooMuch
from promptreg.core.template.filters import filters, tests
from promptreg.core.template.meter import COMPARED, JOINED, KEY, SLICED, SPREAD, STEPS, WRITTEN, Meter

NODES = 20_000  # syntax nodes of one template: more would take seconds and hundreds of MB to compile, and no prompt has them
ARGUMENTS = 1000  # that one call may spread with * or **

_ALLOWED_NODES = tuple(
    getattr(nodes, name)
    for name in (
        "Template Output TemplateData For If Macro CallBlock FilterBlock With Block Include Import FromImport Extends Assign "
        "AssignBlock Name NSRef Const Tuple List Dict Pair Keyword CondExpr Filter Test Call Getitem Getattr Slice Concat Compare "
        "Operand BinExpr UnaryExpr"
    ).split()
)
REFERENCES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)

_LOOP = frozenset("index index0 revindex revindex0 first last length depth depth0 previtem nextitem cycle changed".split())


class Local(Protocol):
    """Where the rendering that runs in this thread keeps its allowance."""

    allowance: Allowance


class Lack(str):
    """The message about an undefined value, with what was asked of what."""

    __slots__ = ("name", "owner")
    name: Any
    owner: Any


class Missing(jinja2.StrictUndefined):
    """An undefined value whose complaint remembers its name and owner, for a "did you mean"."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        owner = None if self._undefined_obj is missing else self._undefined_obj
        if isinstance(owner, Mapping) and self._undefined_hint is None:
            text = f"there is no key {str(self._undefined_name)[:80]!r}"
        else:
            text = super()._undefined_message
        lack = Lack(text)
        lack.name, lack.owner = self._undefined_name, owner
        return lack


class File(jinja2.Template):
    """A compiled template. An import runs it anew: a module kept between renderings would carry state from one to the next."""

    def _get_default_module(self, ctx: Context | None = None) -> TemplateModule:  # noqa: ARG002
        return self.make_module()


class Sandbox(ImmutableSandboxedEnvironment):
    """One environment over a fixed set of partials; safe to use from several threads."""

    intercepted_binops = frozenset(["+", "-", "*", "//", "%", "**"])
    template_class = File

    def __init__(self, partials: Mapping[str, str], local: Local) -> None:
        super().__init__(undefined=Missing, autoescape=False, optimized=False, cache_size=0, finalize=self._show)
        self.partials = partials
        self.local = local
        self._files: dict[str, jinja2.Template] = {}
        self.globals = {"range": self._range, "dict": self._dict, "namespace": Namespace}
        self.filters = filters(lambda: local.allowance)
        self.tests.clear()
        self.tests.update(tests(lambda: local.allowance))
        self.public = frozenset(self.filters)
        self.filters |= {
            STEPS: self._steps,
            WRITTEN: self._written,
            COMPARED: self._compared,
            SLICED: self._sliced,
            JOINED: lambda texts: local.allowance.join(texts),
            KEY: limit.key,
            SPREAD: self._spread,
        }
        self.binop_table = {
            "+": self._add,
            "-": lambda left, right: limit.whole(limit.whole(left) - limit.whole(right)),
            "*": self._multiply,
            "//": lambda left, right: limit.whole(left) // limit.whole(right),
            "%": self._modulo,
            "**": lambda left, right: local.allowance.power(left, right),
        }

    # compiling

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        try:
            self.check(tree)
        except jinja2.TemplateSyntaxError as fault:
            fault.name = name
            raise
        return tree

    def _generate(self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False) -> str:
        return super()._generate(Meter().visit(source), name, filename, defer_init)

    def file(self, source: str | nodes.Template, name: str | None = None) -> jinja2.Template:
        """Compiles a source or a checked tree. Raises what Jinja raises."""
        return self.template_class.from_code(self, self.compile(source, name), self.globals)

    def check(self, tree: nodes.Node) -> None:
        """Raises jinja2.TemplateSyntaxError for what a prompt may not say, at its line."""
        count = 0
        todo = [tree]
        while todo:
            node = todo.pop()
            count += 1
            if count > NODES:
                raise jinja2.TemplateSyntaxError(f"the template has more than {NODES:,} parts; split the prompt", node.lineno)
            if not isinstance(node, _ALLOWED_NODES):
                raise jinja2.TemplateSyntaxError(f"{type(node).__name__} is not allowed in a prompt", node.lineno)
            if isinstance(node, (nodes.Filter, nodes.Test)):
                self._check_name(node)
            elif isinstance(node, REFERENCES):
                self.path(node)
            todo.extend(node.iter_child_nodes())

    def _check_name(self, node: nodes.Filter | nodes.Test) -> None:
        kind, known = ("filter", self.public) if isinstance(node, nodes.Filter) else ("test", self.tests)
        if node.name not in known:
            raise jinja2.TemplateSyntaxError(f"there is no {kind} {node.name!r}{did_you_mean(node.name, known)}", node.lineno)

    def path(self, node: nodes.Node) -> str:
        """The partial that an include, import or extends names; it must be written out and exist."""
        template = node.template  # type: ignore[attr-defined]
        if not isinstance(template, nodes.Const) or not isinstance(template.value, str):
            raise jinja2.TemplateSyntaxError("the path of a partial must be written out, as one quoted text", node.lineno)
        if template.value not in self.partials:
            raise jinja2.TemplateSyntaxError(_no_partial(template.value, self.partials), node.lineno)
        return template.value

    def get_template(self, name: Any, parent: str | None = None, globals: Any = None) -> jinja2.Template:  # noqa: A002, ARG002
        self.local.allowance.spend(limit.STEP)
        try:
            return self._files[name]
        except KeyError:
            return self._files.setdefault(name, self._counted(self.file(self.partials[name], name)))

    def _counted(self, template: jinja2.Template) -> jinja2.Template:
        """Makes a partial count how deep it stands in others."""
        root = template.root_render_func

        def inner(context: Context) -> Iterator[str]:
            allowance = self.local.allowance
            allowance.enter()
            yield from root(context)
            allowance.leave()

        template.root_render_func = inner
        return template

    # what templates reach

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: an allowed method, else a key of a mapping, else undefined."""
        if isinstance(obj, Undefined):
            return obj._fail_with_undefined_error()
        method = self._attribute(obj, attribute)
        if method is not missing:
            return method
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        if _exists(obj, attribute):
            return self.unsafe_undefined(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`: a key or position, else an allowed method, else undefined."""
        if isinstance(obj, Undefined):
            return obj._fail_with_undefined_error()
        if isinstance(argument, Undefined):
            return argument._fail_with_undefined_error()
        if isinstance(obj, (str, list, tuple, range, Mapping)):
            limit.key(argument)
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        if isinstance(argument, str) and (found := self._attribute(obj, argument)) is not missing:
            return found
        if isinstance(argument, str) and not isinstance(obj, Mapping) and _exists(obj, argument):
            return self.unsafe_undefined(obj, argument)
        return self.undefined(obj=obj, name=argument)

    def _attribute(self, obj: Any, name: str) -> Any:
        """What the allow-list grants of an object's attributes, or `missing`."""
        if name.startswith("_"):
            return missing
        if isinstance(obj, str):
            return functools.partial(methods.call_text, self, self.local.allowance, obj, name) if name in methods.TEXT else missing
        if isinstance(obj, Mapping):
            return functools.partial(methods.call_mapping, self.local.allowance, obj, name) if name in methods.MAPPING else missing
        if isinstance(obj, LoopContext):
            return self._loop_attribute(obj, name)
        if isinstance(obj, (Namespace, TemplateModule)):
            return getattr(obj, name, missing)
        if isinstance(obj, tuple):  # what the filter groupby yields
            return getattr(obj, name) if name in getattr(obj, "_fields", ()) else missing
        if isinstance(obj, TemplateReference):
            return _block(obj, name)
        if isinstance(obj, BlockReference) and name == "super":
            return obj.super
        return missing

    def _loop_attribute(self, loop: LoopContext, name: str) -> Any:
        if name not in _LOOP:
            return missing
        if name == "changed":
            return functools.partial(self._changed, loop)
        return getattr(loop, name)

    def _changed(self, loop: LoopContext, *values: Any) -> bool:
        for value in values:
            self._compared(value)
        return loop.changed(*values)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Calls what may be called; macros, blocks and recursive loops also count how deep they stand in each other."""
        allowance = __self.local.allowance
        allowance.spend(limit.STEP + len(args) + len(kwargs))
        if isinstance(__obj, (Macro, LoopContext, BlockReference)):
            allowance.enter()
            result = __context.call(__obj, *args, **kwargs)
            allowance.leave()
            return allowance.made(result)
        if isinstance(__obj, Undefined):
            return __obj._fail_with_undefined_error()
        if not _callable(__obj):
            raise SecurityError(f"a {type(__obj).__name__} cannot be called here")
        return __context.call(__obj, *args, **kwargs)

    def call_filter(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A filter by name, for `map`; only those a template could write."""
        if name not in self.public:
            raise jinja2.TemplateRuntimeError(f"there is no filter {name!r}{did_you_mean(name, self.public)}")
        return super().call_filter(name, *args, **kwargs)

    def call_test(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if name not in self.tests:
            raise jinja2.TemplateRuntimeError(f"there is no test {name!r}{did_you_mean(name, self.tests)}")
        return super().call_test(name, *args, **kwargs)

    # charged operations

    @jinja2.pass_context
    def _show(self, context: Context, value: Any) -> str:  # noqa: ARG002  pass_context keeps Jinja from folding constants
        allowance = self.local.allowance
        text = value if type(value) is str else allowance.show(value)
        allowance.write(len(text))
        return text

    def _steps(self, units: int) -> bool:
        self.local.allowance.spend(units)
        return True

    def _written(self, length: int) -> None:
        self.local.allowance.write(length)

    def _compared(self, value: Any) -> Any:
        return methods.compared(self.local.allowance, value)

    def _sliced(self, value: Any) -> Any:
        if isinstance(value, (str, list, tuple)):
            self.local.allowance.spend(limit.STEP + len(value) // (limit.CHARACTERS if isinstance(value, str) else 1))
        return value

    def _spread(self, value: Any) -> Any:
        if isinstance(value, (str, list, tuple, range, Mapping)) and len(value) > ARGUMENTS:
            raise TooMuch(f"a call would have more than {ARGUMENTS:,} arguments", "pass the list itself")
        return value

    def _range(self, *args: int) -> range:
        made = range(*args)
        if len(made) > limit.ITEMS:
            raise TooMuch(f"a range would have more than {limit.ITEMS:,} entries", "count less")
        return made

    def _dict(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for arg in args:
            self.local.allowance.entries(len(arg))
            for name, value in arg.items() if isinstance(arg, Mapping) else arg:
                made[limit.key(name)] = value
        return made | kwargs

    def _add(self, left: Any, right: Any) -> Any:
        allowance = self.local.allowance
        allowance.spend(limit.STEP)
        if isinstance(left, str) and isinstance(right, str):
            allowance.room(len(left) + len(right))
        elif isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
            allowance.entries(len(left) + len(right))
        return limit.whole(limit.whole(left) + limit.whole(right))

    def _multiply(self, left: Any, right: Any) -> Any:
        allowance = self.local.allowance
        allowance.spend(limit.STEP)
        for value, times in ((left, right), (right, left)):
            if isinstance(value, (str, list, tuple)) and isinstance(times, int):
                return allowance.repeat(value, limit.whole(times))
        return limit.whole(limit.whole(left) * limit.whole(right))

    def _modulo(self, left: Any, right: Any) -> Any:
        if isinstance(left, str):
            return self.local.allowance.percent(left, right)
        return limit.whole(left) % limit.whole(right)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        return self.undefined(
            f"{attribute!r} of a {type(obj).__name__} is out of a template's reach", name=attribute, exc=SecurityError
        )


def did_you_mean(name: Any, known: Any) -> str:
    """`; did you mean 'x'?`, or nothing."""
    return names.did_you_mean(str(name), [item for item in known if isinstance(item, str)])


def _no_partial(path: str, partials: Mapping[str, str]) -> str:
    if path.startswith("/") or ".." in path.split("/") or "\\" in path:
        return f"{path!r} is not a path inside the registry's prompts"
    return f"there is no partial {path!r}{did_you_mean(path, partials)}"


def _block(template: TemplateReference, name: str) -> Any:
    try:
        return template[name]
    except KeyError:
        return missing


def _exists(obj: Any, name: str) -> bool:
    """Whether a refused attribute exists in Python, so that the message can say "out of reach" and not "undefined"."""
    return name.startswith("_") or hasattr(type(obj), name)


def _callable(obj: Any) -> bool:
    """Our own methods and globals, the namespace class and a loop's cycle(): nothing else is ever called."""
    if isinstance(obj, functools.partial) or obj is Namespace:
        return True
    return isinstance(obj, types.MethodType) and isinstance(obj.__self__, (Sandbox, LoopContext))
