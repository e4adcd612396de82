"""What a template's syntax tree tells without rendering it: the variables and partials it reads, its dead branches, its least text.

Includes and extends are followed by putting the partial's tree where it stands: Jinja's own scoping answers for all of them.
"""

# ruff: noqa: N802, N815  Jinja finds its visitors by these names
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.meta import find_undeclared_variables
from jinja2.visitor import NodeTransformer

from promptreg.core.canonical import Json
from promptreg.core.template.allowance import TEXT, TooMuch
from promptreg.core.template.sandbox import REFERENCES, Sandbox

UNKNOWN = object()  # a condition that depends on variables
PARTS = 100_000  # syntax nodes of a template with all its partials in place: includes that double at each level would not end
PAIRS = 10_000  # of values that one comparison of two enums may have


class Reading:
    """Answers about sources, against one sandbox's partials. Raises what Jinja raises."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def variables(self, source: str) -> frozenset[str]:
        whole = _Whole(self)
        tree = whole.inline(self.parse(source))
        tree.set_environment(self._sandbox)
        names = frozenset(find_undeclared_variables(tree))
        return names - {"self", "super"} if whole.blocks else names

    def includes(self, source: str) -> frozenset[str]:
        return frozenset(file for file, _ in self.trees(source) if file is not None)

    def parse(self, source: str, name: str | None = None) -> nodes.Template:
        return self._sandbox.parse(source, name)

    def partial(self, name: str) -> nodes.Template:
        return self.parse(self._sandbox.partials[name], name)

    def path(self, node: nodes.Node) -> str:
        return self._sandbox.path(node)

    def trees(self, source: str) -> Iterator[tuple[str | None, nodes.Template]]:
        """The source's tree and those of all partials it uses, each once."""
        seen: set[str | None] = {None}
        todo: list[tuple[str | None, nodes.Template]] = [(None, self.parse(source))]
        while todo:
            name, tree = todo.pop(0)
            yield name, tree
            for node in tree.find_all(REFERENCES):
                path = self.path(node)
                if path not in seen:
                    seen.add(path)
                    todo.append((path, self.partial(path)))

    def mention(self, source: str, name: str) -> tuple[str | None, int]:
        for file, tree in self.trees(source):
            for node in tree.find_all(nodes.Name):
                if node.name == name and node.ctx == "load":
                    return file, node.lineno
        return None, 1

    def dead_branches(self, source: str, enums: Mapping[str, Sequence[Json]]) -> list[tuple[str | None, int, str]]:
        trees = list(self.trees(source))
        stored = {node.name for _, tree in trees for node in tree.find_all(nodes.Name) if node.ctx != "load"}
        known = {name: values for name, values in enums.items() if name not in stored}
        return [(file, line, reason) for file, tree in trees for line, reason in _dead(tree, known)]

    def least_text(self, source: str) -> str:
        return self._least(self.parse(source), {})

    def _least(self, tree: nodes.Template, known: dict[str, str]) -> str:
        """*known* holds the least text of partials; one that stands open counts as empty."""
        if tree.find(nodes.Extends) is not None:
            return ""  # which of its texts are shown, its parent decides
        return self._least_of(tree.body, known)

    def _least_of(self, body: Sequence[nodes.Node], known: dict[str, str]) -> str:
        return "".join(self._least_of_one(node, known) for node in body)[:TEXT]

    def _least_of_one(self, node: nodes.Node, known: dict[str, str]) -> str:
        if isinstance(node, nodes.Output):
            return "".join(child.data for child in node.nodes if isinstance(child, nodes.TemplateData))
        if isinstance(node, nodes.If):
            branches = [node.body, *(branch.body for branch in node.elif_), node.else_]
            return min((self._least_of(branch, known) for branch in branches), key=len)
        if isinstance(node, (nodes.With, nodes.Block)):
            return self._least_of(node.body, known)
        if isinstance(node, nodes.Include):
            path = self.path(node)
            if path not in known:
                known[path] = ""
                known[path] = self._least(self.partial(path), known)
            return known[path]
        return ""


class _Whole(NodeTransformer):
    """Puts the trees of partials where they are included, each in a scope of its own."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._open: list[str] = []
        self._parts = 0
        self.blocks = False

    def inline(self, tree: nodes.Template) -> nodes.Template:
        self._parts += sum(1 for _ in tree.find_all(nodes.Node)) + 1
        if self._parts > PARTS:
            raise TooMuch(f"the template and its partials have more than {PARTS:,} parts", "include less often")
        after: list[nodes.Node] = []
        for node in list(tree.find_all(nodes.Extends)):
            after.extend(self._scope(node))
        self.visit(tree)
        tree.body.extend(after)
        return tree

    def _scope(self, node: nodes.Node) -> list[nodes.Node]:
        """The body of the partial that *node* names; nothing for one that stands open (a cycle adds no new name)."""
        name = self._reading.path(node)
        if name in self._open:
            return []
        self._open.append(name)
        tree = self.inline(self._reading.partial(name))
        self._open.pop()
        return [nodes.Scope(tree.body, lineno=node.lineno)]

    def visit_Extends(self, node: nodes.Extends) -> None:  # noqa: ARG002
        return None

    def visit_Block(self, node: nodes.Block) -> nodes.Scope:
        self.blocks = True
        self.generic_visit(node)
        return nodes.Scope(node.body, lineno=node.lineno)

    def visit_Include(self, node: nodes.Include) -> list[nodes.Node]:
        if not node.with_context:
            self._alone(node)
            return []
        return self._scope(node)

    def visit_Import(self, node: Any) -> list[nodes.Node]:
        if not node.with_context:
            self._alone(node)
            return [node]
        return [*self._scope(node), node]

    visit_FromImport = visit_Import

    def _alone(self, node: nodes.Node) -> None:
        """Refuses a partial that reads variables but gets none: it would fail at every rendering."""
        name = self._reading.path(node)
        if name in self._open:
            return
        source = self._reading._sandbox.partials[name]
        self._open.append(name)
        names = self._reading.variables(source)
        self._open.pop()
        if names:
            read = ", ".join(map(repr, sorted(names)))
            raise jinja2.TemplateSyntaxError(
                f"{name!r} reads {read} but gets no variables here; write `with context`, or pass them", node.lineno
            )


def _dead(tree: nodes.Node, enums: Mapping[str, Sequence[Json]]) -> Iterator[tuple[int, str]]:
    found = list(tree.find_all((nodes.If, nodes.CondExpr)))
    later = {id(branch) for node in found if isinstance(node, nodes.If) for branch in node.elif_}
    for node in found:
        if isinstance(node, nodes.If):
            if id(node) not in later:
                yield from _dead_chain(node, enums)
        elif isinstance(node, nodes.CondExpr):
            value = _constant(node.test, enums)
            if value is not UNKNOWN:
                yield node.lineno, f"this condition is always {'true' if value else 'false'}"


def _dead_chain(node: nodes.If, enums: Mapping[str, Sequence[Json]]) -> Iterator[tuple[int, str]]:
    decided = False
    for branch in (node, *node.elif_):
        if decided:
            yield branch.lineno, "a condition above is always true, so this one is never asked"
            continue
        value = _constant(branch.test, enums)
        if value is not UNKNOWN and not value:
            yield branch.lineno, "this condition is always false"
        elif value is not UNKNOWN:
            decided = True
            if branch is node or node.else_:
                yield branch.lineno, "this condition is always true"


def _constant(node: nodes.Node, enums: Mapping[str, Sequence[Json]]) -> Any:
    """The value of a condition that no variable can change, else UNKNOWN. A truth value is enough."""
    if isinstance(node, nodes.Const):
        return node.value
    if isinstance(node, (nodes.List, nodes.Tuple)):
        items = [_constant(item, enums) for item in node.items]
        return UNKNOWN if any(item is UNKNOWN for item in items) else items
    if isinstance(node, nodes.Not):
        value = _constant(node.node, enums)
        return UNKNOWN if value is UNKNOWN else not value
    if isinstance(node, (nodes.And, nodes.Or)):
        return _junction(node, enums)
    if isinstance(node, nodes.Compare) and len(node.ops) == 1:
        return _comparison(node, enums)
    return UNKNOWN


def _junction(node: nodes.BinExpr, enums: Mapping[str, Sequence[Json]]) -> Any:
    deciding = isinstance(node, nodes.Or)
    sides = [_constant(side, enums) for side in (node.left, node.right)]
    if any(side is not UNKNOWN and bool(side) is deciding for side in sides):
        return deciding
    return UNKNOWN if UNKNOWN in sides else not deciding


def _comparison(node: nodes.Compare, enums: Mapping[str, Sequence[Json]]) -> Any:
    operation, right = node.ops[0].op, node.ops[0].expr
    lefts, rights = _values(node.expr, enums), _values(right, enums)
    if lefts is None or rights is None or operation not in _OPERATIONS or len(lefts) * len(rights) > PAIRS:
        return UNKNOWN
    try:
        found = {bool(_OPERATIONS[operation](left, other)) for left in lefts for other in rights}
    except TypeError:
        return UNKNOWN
    return found.pop() if len(found) == 1 else UNKNOWN


def _values(node: nodes.Node, enums: Mapping[str, Sequence[Json]]) -> Sequence[Any] | None:
    """All values an operand can have: one of a constant, those of an enum, None when unknown."""
    if isinstance(node, nodes.Name):
        return enums.get(node.name)
    value = _constant(node, enums)
    return None if value is UNKNOWN else [value]


_OPERATIONS: dict[str, Any] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "in": lambda left, right: left in right,
    "notin": lambda left, right: left not in right,
    "lt": lambda left, right: left < right,
    "lteq": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "gteq": lambda left, right: left >= right,
}
