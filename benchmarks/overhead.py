"""2,000 one-message cases against a loopback server that answers after 20 ms, concurrency 64, whole process with start-up.

The floor is a bare aiohttp process that makes the same calls in the same run. Then the same run again, all answers known.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import PROMPTREG, Figures, once, verdict

CASES, JOBS, DELAY_S, RUNS = 2000, 64, 0.020, 5
HERE = Path(__file__).parent


def registry(root: Path, port: int) -> None:
    (root / "prompts").mkdir()
    (root / "suites").mkdir()
    (root / "promptreg.yaml").write_text(
        f'registry: bench\nmodels:\n  m: {{provider: openai, model: m, base_url: "http://127.0.0.1:{port}/v1"}}\n'
    )
    (root / "prompts/ask.yaml").write_text(
        'inputs: {text: {type: string}}\nmessages: [{role: user, content: "{{ text }}"}]\nparams: {temperature: 0}\n'
    )
    (root / "suites/ask.yaml").write_text('prompts: [ask]\nmodels: [m]\ndataset: ask.jsonl\nchecks: [{exact: "{{ expected }}"}]\n')
    with (root / "suites/ask.jsonl").open("w") as file:
        for number in range(CASES):
            text = f"question number {number}"
            file.write(json.dumps({"id": f"q{number}", "inputs": {"text": text}, "expected": text}) + "\n")


def main() -> int:
    server = subprocess.Popen([sys.executable, str(HERE / "loopback.py"), "serve", str(DELAY_S)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    bare_command = (sys.executable, str(HERE / "loopback.py"), "client", str(port), str(CASES), str(JOBS))
    run_command = (*PROMPTREG, "run", "-j", str(JOBS), "--quiet")
    bare, cold, warm = [], [], []
    try:
        for counted in range(-1, RUNS):
            with tempfile.TemporaryDirectory() as name:
                root = Path(name)
                registry(root, port)
                figures = once(bare_command, root), once(run_command, root), once(run_command, root)
            if counted >= 0:
                for taken, seconds in zip((bare, cold, warm), figures, strict=True):
                    taken.append(seconds)
    finally:
        server.kill()
    floor, first, second = Figures(tuple(bare)), Figures(tuple(cold)), Figures(tuple(warm))
    print(f"bare aiohttp client: {floor}\npromptreg run, nothing known: {first}\npromptreg run, all known: {second}")
    ratio = verdict("promptreg / bare client", first.median / floor.median, 2.0, "x")
    return 0 if verdict("fully cached run", second.median, 0.8, " s") and ratio else 1


if __name__ == "__main__":
    raise SystemExit(main())
