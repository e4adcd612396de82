"""The files that `init` and `new` write. They pass lint and run as they are."""

from __future__ import annotations

from pathlib import Path

from promptreg.errors import UsageError

SETTINGS = """\
# promptreg's settings and the models this registry knows.
registry: {registry}
models:
  # Answers with the last message it was sent: needs no key and no download.
  echo: {{provider: echo, model: echo}}
  # A real small language model on this machine: pip install 'git-promptreg[local]' && promptreg models pull smollm2-135m-instruct
  smollm2: {{provider: local, model: smollm2-135m-instruct}}
  # Any server that speaks the OpenAI API; the key comes from the environment variable that api_key_env names.
  # big: {{provider: openai, model: qwen3-32b, base_url: "http://127.0.0.1:8000/v1", api_key_env: BIG_KEY}}
defaults: {{model: {model}}}
labels: [staging, production]
"""

PROMPT = """\
description: {description}
inputs:
  {variable}: {{type: string}}
messages:
  - role: user
    content: |
      {text}
params: {{temperature: 0, max_tokens: 64}}
"""

SUITE = """\
description: {description}
prompts: [{prompt}]
models: [{model}]
dataset: {dataset}
checks:
  - contains: "{{{{ expected }}}}"
gate:
  margin: 0.10
  floor: 0.80
"""

CASES = """\
{"id": "monday", "inputs": {"name": "Ada"}, "expected": "Ada"}
{"id": "accents", "inputs": {"name": "Zoë"}, "expected": "Zoë"}
{"id": "two-words", "inputs": {"name": "Grace Hopper"}, "expected": "Grace Hopper"}
"""


def first_registry(name: str, model: str) -> dict[str, str]:
    """Path to text of a registry with one prompt and one suite."""
    text = "Write one friendly sentence that greets {{ name }} by name."
    return {
        "promptreg.yaml": SETTINGS.format(registry=name, model=model),
        "prompts/greeting.yaml": PROMPT.format(description="Greets a person by name.", variable="name", text=text),
        "suites/greeting.yaml": SUITE.format(
            description="A greeting names the person.", prompt="greeting", model=model, dataset="greeting.jsonl"
        ),
        "suites/greeting.jsonl": CASES,
    }


def write_new(root: Path, files: dict[str, str]) -> list[Path]:
    """Writes *files* below *root*; refuses, before the first is written, if one exists."""
    paths = {root / name: text for name, text in files.items()}
    for path in paths:
        if path.exists():
            raise UsageError(f"{path} exists already", hint="nothing was written; choose another name or remove it")
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(paths)
