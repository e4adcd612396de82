"""Which prompt of a bundle a reference means; an error says what could have been asked for.

Ranges, `latest` and `greatest` choose among what the bundle holds. Without a selector a name means its greatest release, or its
working copy in a bundle that holds no release of it.
"""

from __future__ import annotations

from promptreg.core.bundle.values import Bundle, Bundled, Shelf
from promptreg.core.refs import Exact, Greatest, Label, Latest, Reference, Revision, Working, did_you_mean, parse_reference
from promptreg.core.semver import Range
from promptreg.errors import UsageError

SHOWN = 8  # versions that an error lists
_Matches = list[Bundled]


def choose(bundle: Bundle, text: str) -> tuple[str, Bundled]:
    """The name in *text* (NAME or NAME@SELECTOR), and what it means. UsageError for what the bundle does not hold."""
    asked = parse_reference(text)
    name = f"{asked.source}:{asked.name}" if asked.source else asked.name
    shelf = bundle.shelves.get(name)
    if shelf is None:
        few = ", ".join(sorted(bundle.shelves)[:SHOWN]) or "nothing"
        more = "" if len(bundle.shelves) <= SHOWN else f" and {len(bundle.shelves) - SHOWN} more"
        raise UsageError(f"the bundle has no prompt '{name}'{did_you_mean(name, bundle.shelves)}", hint=f"it has {few}{more}")
    found = _matches(asked, shelf)
    if not found:
        raise _nothing(asked, name, shelf)
    if len(found) > 1:
        raise UsageError(f"{text} is ambiguous: {', '.join(str(each.version) for each in found)}", hint="name one version")
    return name, found[0]


def _matches(asked: Reference, shelf: Shelf) -> _Matches:
    """The one that is meant; none; or several, when the reference does not say which."""
    released = [each for each in shelf.versions if each.version is not None]
    final = [each for each in released if each.version and not each.version.prerelease]
    match asked.selector:
        case None:
            return final[-1:] or released or list(shelf.versions)
        case Working():
            return [each for each in shelf.versions if each.version is None]
        case Revision():
            hint = "a bundle holds releases; promptreg.open reads a working tree"
            raise UsageError(f"{asked}: a bundle knows no Git revisions", hint=hint)
        case Latest():
            return [max(final, key=lambda each: (each.time or 0, each.version))] if final else []
        case Greatest():
            return final[-1:]
        case Range():
            return [each for each in released if each.version and each.version in asked.selector][-1:]
        case Label():
            pointed = shelf.labels.get(asked.selector.label)
            return [each for each in released if pointed is not None and each.version == pointed]
        case Exact():
            return _exact(asked.selector, released)


def _exact(selector: Exact, released: _Matches) -> _Matches:
    """The very version; those that differ in build metadata only, if none was named."""
    wanted = selector.version
    same = [each for each in released if each.version and each.version.precedence == wanted.precedence]
    return [each for each in same if each.version == wanted] or ([] if wanted.build else same)


def _nothing(asked: Reference, name: str, shelf: Shelf) -> UsageError:
    versions = [str(each.version or "a working copy") for each in reversed(shelf.versions)]
    held = ", ".join(versions[:SHOWN]) + (f" and {len(versions) - SHOWN} more" if len(versions) > SHOWN else "")
    labels = f"; labels: {', '.join(shelf.labels)}" if shelf.labels else ""
    if isinstance(asked.selector, Label):
        guess = did_you_mean(asked.selector.label, [*shelf.labels, "latest", "greatest", "working"])
        message = f"the bundle has no label '{asked.selector}' of {name}{guess}"
    else:
        message = f"the bundle has no {name}@{asked.selector}"
    return UsageError(message, hint=f"it has {held}{labels}")
