"""What production pays: a cold process that gets a prompt from a bundle, against `import jinja2`; and a warm `get`.

The first rendering imports Jinja, so a process that also renders is shown beside it.
"""

from __future__ import annotations

import sys
import tempfile
import timeit
from functools import partial
from pathlib import Path

from measure import Figures, once, verdict

from promptreg.core.bundle import Bundle, Bundled, Shelf, packed
from promptreg.core.canonical import digest_bytes
from promptreg.core.identity import behaviour_digest
from promptreg.core.prompt import MessageTemplate, Prompt
from promptreg.core.semver import Version
from promptreg.runtime import Registry

RUNS = 31
PROMPTS = 20
GETS = 10_000
REFERENCES = ("support/p7@production", "support/p7@1.2.0", "support/p7@^1.0", "support/p7")


def bundle() -> bytes:
    """Twenty prompts of ordinary size, at three versions each."""
    shelves = {f"support/p{n}": shelf(f"support/p{n}") for n in range(PROMPTS)}
    return packed(Bundle(registry="acme/prompts", shelves=shelves))[0]


def shelf(name: str) -> Shelf:
    text = "You sort tickets into one of: {{ queues | join(', ') }}.\n" * 10
    messages = (MessageTemplate(role="system", content=text), MessageTemplate(role="user", content="{{ ticket }}"))
    inputs = {"ticket": {"type": "string"}, "queues": {"type": "array", "default": ["billing", "bug"]}}
    prompt = Prompt(name=name, messages=messages, inputs=inputs)
    kept = {"prompt": prompt, "source": digest_bytes(text.encode()), "behaviour": behaviour_digest(prompt)}
    versions = tuple(Bundled(**kept, version=Version(1, minor, 0), time=minor) for minor in range(3))  # type: ignore[arg-type]
    return Shelf(versions=versions, labels={"production": Version(1, 1, 0)})


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.json"
        path.write_bytes(bundle())
        return measured(path)


def measured(path: Path) -> int:
    get = f"from promptreg.runtime import Registry\np = Registry.open({str(path)!r}).get('support/p7@production')"
    scripts = {
        "bare python": "pass",
        "import jinja2": "import jinja2",
        "import and get": get,
        "import, get and render": f"{get}\np.render(ticket='x')",
    }
    taken: dict[str, list[float]] = {name: [] for name in scripts}
    for turn in range(RUNS + 1):
        for name, script in scripts.items():
            seconds = once((sys.executable, "-c", script), path.parent)
            if turn:  # the first one fills the disk's cache
                taken[name].append(seconds)
    figures = {name: Figures(tuple(seconds)) for name, seconds in taken.items()}
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    bare, jinja = figures["bare python"].median, figures["import jinja2"].median
    cold = verdict(
        "(import and get) / import jinja2, above bare Python", (figures["import and get"].median - bare) / (jinja - bare), 1.5, "x"
    )
    print(f"with the first rendering: {(figures['import, get and render'].median - bare) / (jinja - bare):.2f}x")
    registry = Registry.open(path)
    slowest = max(min(timeit.repeat(partial(registry.get, each), number=GETS, repeat=5)) for each in REFERENCES)
    return 0 if verdict("warm get", slowest / GETS * 1e6, 50, " µs") and cold else 1


if __name__ == "__main__":
    raise SystemExit(main())
