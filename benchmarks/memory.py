"""Peak memory of a run of 100,000 recorded cases."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from measure import PROMPTREG, peak_rss_mb, verdict

CASES = 100_000


def registry(root: Path, cases: int) -> None:
    (root / "prompts").mkdir()
    (root / "suites").mkdir()
    (root / "promptreg.yaml").write_text(
        "registry: bench\nmodels:\n  m: {provider: recorded, model: m, recording: recordings/m.jsonl}\n"
    )
    (root / "recordings").mkdir()
    (root / "prompts/ask.yaml").write_text(
        'inputs: {text: {type: string}}\nmessages: [{role: user, content: "Echo: {{ text }}"}]\n'
    )
    (root / "suites/ask.yaml").write_text(
        'prompts: [ask]\nmodels: [m]\ndataset: ask.jsonl\nchecks: [{exact: "{{ expected }}"}]\ngate: {floor: 0.8}\n'
    )
    with (root / "suites/ask.jsonl").open("w") as data, (root / "recordings/m.jsonl").open("w") as recording:
        for number in range(cases):
            text = f"question number {number} " + "with some more words " * 10
            data.write(json.dumps({"id": f"q{number}", "inputs": {"text": text}, "expected": text}) + "\n")
            output = text if number % 10 else "something else"
            row = {
                "model": "m",
                "prompt": f"Echo: {text}",
                "output": output,
                "latency_s": 0.5,
                "input_tokens": 50,
                "output_tokens": 50,
            }
            recording.write(json.dumps(row) + "\n")


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        registry(root, CASES)
        bare = peak_rss_mb((sys.executable, "-c", "pass"), root)
        used = peak_rss_mb((*PROMPTREG, "run", "--quiet"), root)
    print(f"bare python: {bare:.0f} MB")
    return 0 if verdict(f"a run of {CASES:,} recorded cases", used, 400.0, " MB resident") else 1


if __name__ == "__main__":
    raise SystemExit(main())
