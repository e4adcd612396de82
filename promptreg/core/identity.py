"""When two prompts are the same: byte for byte (source digest), or in all that a model can notice (behaviour digest); and when two
suites, their policies, their checks or their data are.

The source digest is for locks, bundles and verifying; the behaviour digest for evidence, releases and records. A prompt's name
is in neither, nor a suite's in its own: a copy behaves as its original does. Digests of suites and checks go by what is written, in
whatever order and layout: two spellings of one check differ here and not in the score keys, which settle what is graded anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields

from promptreg.core.canonical import Digest, Json, canonical, digest, digest_bytes
from promptreg.core.prompt import Content, Prompt
from promptreg.core.render import sources
from promptreg.core.suite import Case, CheckSpec, Policy, Quarantine, Suite, pair_key
from promptreg.core.template import Templates
from promptreg.core.template.normal import normal
from promptreg.errors import UsageError


def included(prompt: Prompt) -> tuple[str, ...]:
    """The include paths of all partials that *prompt* uses, directly or through others, sorted. Raises TemplateError."""
    templates = Templates(prompt.partials)
    return tuple(sorted({path for source, place in sources(prompt) for path in templates.includes(source, place)}))


def source_digest(source: bytes, partials: Mapping[str, bytes]) -> Digest:
    """Over the bytes of a prompt's file and of every partial it includes (include path to bytes)."""
    return source_of_digests(digest_bytes(source), {path: digest_bytes(content) for path, content in partials.items()})


def source_of_digests(prompt: Digest, partials: Mapping[str, Digest]) -> Digest:
    """The source digest, where those of the files are known."""
    return digest("promptreg/source/1", {"prompt": prompt, "partials": partials})


def behaviour(prompt: Prompt) -> dict[str, Json]:
    """All of *prompt* that a model or a caller could notice, without comments, formatting, description, owners and trust.

    A comment counts as far as it changes the text: one on a line of its own leaves an empty line, unless written `{#- … -#}`.
    Raises TemplateError.
    """
    partials: dict[str, Json] = {path: normal(prompt.partials[path]) for path in included(prompt)}
    return {
        "messages": [{"role": message.role, "content": _content(message.content)} for message in prompt.messages],
        "partials": partials,
        "inputs": dict(prompt.inputs),
        "params": prompt.params.as_json(),
        "output": prompt.output_schema,
        "tools": list(prompt.tools),
    }


def behaviour_digest(prompt: Prompt) -> Digest:
    """Over `behaviour`. Raises TemplateError."""
    return digest("promptreg/behaviour/1", behaviour(prompt))


def _content(content: Content) -> Json:
    if isinstance(content, str):
        return normal(content)
    return [{"type": part.type, "value": normal(part.value)} for part in content]


def suite_digest(suite: Suite) -> Digest:
    """Over what *suite* measures: prompts, models, checks, sample, repeats, and where its data lie (not what they are: that is
    `dataset_digest`). Not over how its gate judges, which is `policy_digest`."""
    sample = suite.sample
    facts: dict[str, Json] = {
        "prompts": sorted(suite.prompts),
        "models": sorted(suite.models),
        "checks": checks_digest(suite.checks),
        "dataset": suite.dataset,
        "sample": None if sample is None else {"n": sample.n, "seed": sample.seed, "by": sample.by},
        "repeats": suite.repeats,
    }
    return digest("promptreg/suite/1", facts)


def checks_digest(checks: Iterable[CheckSpec]) -> Digest:
    """Over metrics, options, thresholds, weights, whether required or negated; not over the order, or the names in reports."""
    return digest("promptreg/checks/1", sorted(digest("promptreg/check/1", _check(check)) for check in checks))


def policy_digest(policy: Policy | None, quarantine: Iterable[Quarantine] = ()) -> Digest:
    """Over all that a gate judges by; no policy is the default one. Of *quarantine*, which cases and until when count."""
    held = policy or Policy()
    facts: dict[str, Json] = {item.name: getattr(held, item.name) for item in fields(Policy)}
    facts["guard"] = {name: [limit.amount, limit.relative] for name, limit in held.guard.items()}
    slices = held.slices
    facts["slices"] = None if slices is None else {"by": sorted(slices.by), "correction": slices.correction, "mode": slices.mode}
    facts["quarantine"] = sorted([entry.case, entry.until] for entry in quarantine)
    return digest("promptreg/policy/1", facts)


def dataset_digest(cases: Iterable[Case]) -> Digest:
    """Over *cases* in any order, streamed: memory holds 32 bytes' worth of each (a `DatasetFold`)."""
    fold = DatasetFold()
    for case in cases:
        fold.add(case)
    return fold.digest()


class DatasetFold:
    """The digest of data, case by case.

    A case counts by its inputs, expected answer, tags, cluster and id (checks may read it, a quarantine names it), not by
    `require`, which no gate looks at. The digests of the cases are sorted, not summed: a sum could be kept while answers are
    changed, by adding cases (Wagner 2002, the generalised birthday problem), and then nobody would judge the changed data.
    """

    def __init__(self) -> None:
        self._rows: list[bytes] = []

    def add(self, case: Case) -> None:
        """Takes in *case*. UsageError for what JSON cannot say."""
        facts: list[Json] = [pair_key(case.inputs), case.expected, case.tags, case.cluster, case.id]
        self._rows.append(hashlib.sha256(canonical(["promptreg/row/1", facts])).digest())

    def digest(self) -> Digest:
        """Of all cases that were added: `digest` over the sorted digests of the rows, without a second copy of them."""
        whole = hashlib.sha256(b'["promptreg/dataset/1",[')
        for position, row in enumerate(sorted(self._rows)):
            whole.update(b'%s"sha256:%s"' % (b"," if position else b"", row.hex().encode()))
        whole.update(b"]]")
        return Digest("sha256:" + whole.hexdigest())


_BESIDE = frozenset(("threshold", "weight", "required", "negate", "name"))  # keys of a check that are no options of its metric


def _check(check: CheckSpec) -> dict[str, Json]:
    written = {key: text for key, text in check.written.items() if _top(key) not in _BESIDE and not _plain(text)}
    return {
        "metric": check.metric,
        "options": check.options,
        "written": written,  # an option of type text takes `1.10` as it stands
        "threshold": check.threshold,
        "weight": check.weight,
        "required": check.required,
        "negate": check.negate,
    }


def _top(key: str) -> str:
    return key.partition(".")[0].partition("[")[0]


def _plain(text: str) -> bool:
    """Whether *text* is how canonical JSON writes the value that it is read as, so that the value says it all."""
    try:
        return canonical(json.loads(text)).decode() == text
    except (ValueError, UsageError, RecursionError):
        return False
