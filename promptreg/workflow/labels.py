"""Labels move, releases are withdrawn, names are deprecated: each one an event of its own, decided on what the tags say now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptreg import __version__
from promptreg.core.canonical import Json
from promptreg.core.evidence import EVENT, message, one_line
from promptreg.core.refs import (
    Revision,
    Tag,
    Working,
    check_label,
    check_name,
    deprecate_tag,
    label_tag,
    parse_reference,
    release_tag,
    withdraw_tag,
)
from promptreg.core.releases import Artefact, Move, Release, before, holders
from promptreg.core.semver import Version
from promptreg.core.signers import Rule, rule_for
from promptreg.documents.evidence import machine_block
from promptreg.errors import UsageError
from promptreg.registry import Registry
from promptreg.registry.writing import Draft
from promptreg.workflow.events import Act, by_whom, prepared, record_events


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A label's way from one version to another; either may be None. *made* are the tags, none when nothing had to be done."""

    name: str
    label: str
    old: Version | None
    new: Version | None
    made: Mapping[str, str]
    along: tuple[str, ...] = ()


def promote(registry: Registry, reference: str, label: str, act: Act) -> Moved:
    """Moves *label* to the release that *reference* means. Nothing is done where it stands there already."""
    release = chosen(registry, reference, act)
    rule = _rule(registry, label)
    artefact = registry.state.artefact(release.name)
    old = artefact.labels.get(label)
    if old is not None and old.version == release.version:
        return Moved(name=release.name, label=label, old=old.version, new=old.version, made={})
    return _move(registry, artefact, release, rule, act, "promote")


def rollback(registry: Registry, name: str, label: str, act: Act) -> Moved:
    """Moves *label* to the version that it stood at before. UsageError when there is none."""
    artefact = _standing(registry, name, label, act)
    release = before(artefact, label)
    if release is None:
        raise UsageError(
            f"'{label}' of {name} stood at no other version before that still stands",
            hint=f"promptreg demote {name} {label} takes it away",
        )
    return _move(registry, artefact, release, _rule(registry, label), act, "rollback")


def demote(registry: Registry, name: str, label: str, act: Act) -> Moved:
    """Takes *label* away for good: an event for each version that has it, so that it stands nowhere else instead (as in GTO)."""
    artefact = _standing(registry, name, label, act)
    rule = Rule(name=label, signers=registry.settings.label_signers.get(label, ()))
    held = [artefact.releases[version] for version in holders(artefact.moves[label])]
    if not held:
        hint = "promote it to a release first, then demote it"
        raise UsageError(f"'{label}' of {name} stands at no release: {artefact.labels[label].problem}", hint=hint)
    drafts = []
    for place, release in enumerate(held):
        tag = label_tag(name, label, artefact.next_counter + place, remove=True)
        drafts.append(_draft(tag, release.commit, f"Take {label} from {name} {release.version}", "demote", release.version, rule))
    along = tuple(str(release_tag(name, release.version)) for release in held)
    made = record_events(registry, drafts, act, along)
    return Moved(name=name, label=label, old=artefact.labels[label].version, new=None, made=made, along=along)


def withdraw(registry: Registry, reference: str, reason: str, act: Act) -> tuple[Release, Mapping[str, str]]:
    """Withdraws the release that *reference* means: it resolves no more and stays in history. UsageError while a label is on it."""
    reason = one_line(reason, "--reason")
    release = chosen(registry, reference, act)
    artefact = registry.state.artefact(release.name)
    labels = [label for label, move in artefact.labels.items() if move.version == release.version]
    if labels:
        raise UsageError(
            f"{release.name} {release.version} is {' and '.join(labels)}: whoever asks for that would get an error",
            hint=f"first promptreg rollback {release.name} {labels[0]}, or promote another version, or demote the label",
        )
    tag = withdraw_tag(release.name, release.version)
    draft = _draft(tag, release.commit, reason, "withdraw", release.version, None)
    return release, record_events(registry, [draft], act, [str(release_tag(release.name, release.version))])


def deprecate(registry: Registry, name: str, replacement: str, reason: str, act: Act) -> Mapping[str, str]:
    """Says that *name* is going, and what to use instead (a reference, or empty). UsageError if that was said before."""
    check_name(name)
    reason = one_line(reason, "--reason")
    artefact = prepared(registry, act).artefact(name)
    if artefact.deprecation is not None:
        said = f"({by_whom(artefact.deprecation.event)}): {artefact.deprecation.reason}"
        raise UsageError(f"{name} is deprecated already {said}", hint="that is said once; a tag is never moved")
    if not artefact.releases:
        chosen(registry, f"{name}@greatest", act)  # says so, with a did-you-mean
    if replacement:
        _refuse_replacement(registry, name, replacement)
    last = (artefact.live or tuple(artefact.releases.values()))[-1]
    entries: dict[str, Json] = {"replacement": replacement} if replacement else {}
    draft = _draft(deprecate_tag(name), last.commit, reason, "deprecate", None, None, entries)
    return record_events(registry, [draft], act, [str(release_tag(name, last.version))])


def chosen(registry: Registry, reference: str, act: Act) -> Release:
    """The release that *reference* means, once all tags are known. UsageError for one that means none."""
    asked = parse_reference(reference)
    if asked.selector is None or isinstance(asked.selector, (Working, Revision)) or asked.source:
        hint = f"{asked.name}@1.4.0, {asked.name}@greatest or {asked.name}@LABEL names one; promptreg release makes one"
        raise UsageError(f"'{asked}' names no release of this registry", hint=hint)
    prepared(registry, act)
    return registry.release(reference)


def _refuse_replacement(registry: Registry, name: str, replacement: str) -> None:
    asked = parse_reference(replacement)
    if asked.name == name and not asked.source:
        raise UsageError(f"{name} cannot be its own replacement", hint="leave --replacement out if there is none")
    if asked.source:
        return
    if asked.selector is None:
        if asked.name not in registry.prompt_names():
            registry.prompt(asked.name)
    else:
        registry.resolve(replacement)


def _standing(registry: Registry, name: str, label: str, act: Act) -> Artefact:
    """What the tags say of *name*, which must have *label*."""
    check_name(name)
    check_label(label)
    artefact = prepared(registry, act).artefact(name)
    if label not in artefact.labels:
        registry.release(f"{name}@{label}")  # says why, with a did-you-mean
    return artefact


def _rule(registry: Registry, label: str) -> Rule:
    check_label(label)
    settings = registry.settings
    rules = [Rule(name=name, signers=settings.label_signers.get(name, ())) for name in settings.labels]
    return rule_for(label, rules, settings.place("labels"))


def _move(registry: Registry, artefact: Artefact, release: Release, rule: Rule, act: Act, event: str) -> Moved:
    old = artefact.labels.get(rule.name)
    tag = label_tag(release.name, rule.name, artefact.next_counter)
    way = f" (was {old.version})" if old is not None and old.version is not None else ""
    text = (
        f"{'Roll' if event == 'rollback' else 'Move'} {rule.name} {'back ' if event == 'rollback' else ''}to {release.version}{way}"
    )
    along = (str(release_tag(release.name, release.version)),)
    draft = _draft(tag, release.commit, f"{text} of {release.name}", event, release.version, rule)
    made = record_events(registry, [draft], act, along)
    return Moved(name=release.name, label=rule.name, old=old.version if old else None, new=release.version, made=made, along=along)


def _draft(
    tag: Tag, commit: str, text: str, event: str, version: Version | None, rule: Rule | None, more: Mapping[str, Json] | None = None
) -> Draft:
    entries: dict[str, Json] = {"schema": EVENT, "event": event, "name": tag.name}
    if version is not None:
        entries["version"] = str(version)
    if tag.label:
        entries["label"] = tag.label
    block = machine_block({**entries, **(more or {}), "promptreg": __version__})
    return Draft(ref=str(tag), commit=commit, message=message(text, block), rule=rule)


def label_rows(registry: Registry, names: Sequence[str]) -> list[tuple[str, Move]]:
    """(name, the move that put a label where it stands) for all labels of *names*; of all names when empty."""
    state = registry.state
    wanted = names or state.names
    return [(name, move) for name in wanted for move in state.artefact(name).labels.values()]
