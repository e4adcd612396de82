"""The door to sacrebleu, which the extra `text` installs: imported on use. Knows no single metric."""

from __future__ import annotations

from types import ModuleType

from promptreg.errors import UsageError


def sacrebleu() -> ModuleType:
    """The package. Raises UsageError with the remedy when it is not installed."""
    try:
        import sacrebleu as package
    except ImportError as fault:
        hint = "pip install 'git-promptreg[text]'"
        raise UsageError("the checks `bleu` and `chrf` need sacrebleu, which is not installed", hint=hint) from fault
    module: ModuleType = package
    return module
