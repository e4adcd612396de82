"""The sentence of the house as code. It receives the world as one value and returns reports; it prints nothing."""

from __future__ import annotations

from promptreg.workflow.lint import lint
from promptreg.workflow.preparation import Bench, Choice, prepare
from promptreg.workflow.run import RunRequest, plan_run, run
from promptreg.workflow.world import World

__all__ = ["Bench", "Choice", "RunRequest", "World", "lint", "plan_run", "prepare", "run"]
