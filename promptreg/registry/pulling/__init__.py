"""Prompts of other registries: fetched into a cache by plumbing alone, checked, and laid below prompts/vendor/, bound by the lock.

Nothing of a source is ever checked out, so no hook, filter, link or submodule of it does anything.
"""

from __future__ import annotations
