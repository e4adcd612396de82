"""What production imports: released prompts from a bundle (a file, or https), rendered and ready for a client. Needs Jinja only.

    registry = Registry.open("prompts.json")
    rendered = registry.get("support/triage@production").render(ticket="My card was charged twice.")
    client.chat.completions.create(model="gpt-4o", **rendered.openai())

Stands apart from the house: it knows bundles and rendering, neither Git nor suites, and calls no model.
"""

from __future__ import annotations

from promptreg.runtime.registry import Registry, open_tree
from promptreg.runtime.released import ReleasedPrompt, Rendered

__all__ = ["Registry", "ReleasedPrompt", "Rendered", "open_tree"]
