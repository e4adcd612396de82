"""Rewrites a template's syntax tree so that it charges its work as it runs.

Bodies of files, loops, macros and blocks charge their own size each time they are entered; text is counted where it is written;
operands that can be large pass through a charging filter. Those filters' names start with a space: no template can write them.
"""

# ruff: noqa: N802, N815  Jinja finds its visitors by these names
from __future__ import annotations

from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from promptreg.core.template.allowance import STEP

STEPS, WRITTEN, COMPARED, SLICED, JOINED, KEY, SPREAD = " steps", " written", " compared", " sliced", " joined", " key", " spread"


class Meter(NodeTransformer):
    """Rewrites a tree so that it charges its work as it runs."""

    def visit_Template(self, node: nodes.Template) -> Any:
        return self._body(node)

    visit_Macro = visit_CallBlock = visit_Block = visit_Template

    def visit_For(self, node: nodes.For) -> nodes.For:
        cost = STEP + _size(node.test) if node.test is not None else 0
        node = self._body(node)
        if node.test is not None:
            node.test = nodes.And(_charge(STEPS, node, cost), node.test, lineno=node.lineno)
        return node

    def _body(self, node: Any) -> Any:
        size = _size(node)
        self.generic_visit(node)
        node.body.insert(0, _statement(_charge(STEPS, node, STEP + size)))
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Output | list[nodes.Node]:
        static = sum(len(child.data) for child in node.nodes if isinstance(child, nodes.TemplateData))
        self.generic_visit(node)
        return [_statement(_charge(WRITTEN, node, static)), node] if static else node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        return _through(JOINED, nodes.List(node.nodes, lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:
        self.generic_visit(node)
        node.expr = _unless_const(COMPARED, node.expr)
        for operand in node.ops:
            operand.expr = _unless_const(COMPARED, operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Getitem:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _through(SLICED, node.node)
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Pair:
        self.generic_visit(node)
        node.key = _unless_const(KEY, node.key)
        return node

    def visit_Call(self, node: Any) -> Any:
        self.generic_visit(node)
        if node.dyn_args is not None:
            node.dyn_args = _through(SPREAD, node.dyn_args)
        if node.dyn_kwargs is not None:
            node.dyn_kwargs = _through(SPREAD, node.dyn_kwargs)
        return node

    visit_Filter = visit_Test = visit_Call


def _size(node: nodes.Node) -> int:
    return 1 + sum(1 for _ in node.find_all(nodes.Node))


def _through(name: str, node: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _unless_const(name: str, node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _through(name, node)


def _charge(name: str, node: nodes.Node, units: int) -> nodes.Filter:
    return _through(name, nodes.Const(units, lineno=node.lineno))


def _statement(node: nodes.Filter) -> nodes.ExprStmt:
    return nodes.ExprStmt(node, lineno=node.lineno)
