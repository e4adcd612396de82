"""1,000 items against a loopback server that answers after 50 ms, concurrency 64: `pytest --promptreg`, whole process.

Beside it, in the same run: a bare aiohttp client; the same 1,000 checks as plain pytest tests, one call each; and, where DeepEval
is installed, as plain DeepEval tests. Then what the plugin costs a session that does not ask for it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import once, verdict

ITEMS, JOBS, DELAY_S, RUNS = 1000, 64, 0.050, 3
SESSIONS = 15
HERE = Path(__file__).parent
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
# Without what else is installed: DeepEval's own plugin alone costs every session of its environment a second or two.
ALONE = ("env", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", *PYTEST)
OURS = (*ALONE, "-p", "promptreg.pytest_plugin", "--promptreg", f"--promptreg-concurrency={JOBS}", "suites")
ASK = """\
import http.client
import json
import pytest

CONNECTION = http.client.HTTPConnection("127.0.0.1", {port})
QUESTIONS = [f"question number {{number}}" for number in range({items})]

def ask(text):
    body = {{"model": "m", "messages": [{{"role": "user", "content": text}}], "temperature": 0}}
    CONNECTION.request("POST", "/v1/chat/completions", json.dumps(body), {{"Content-Type": "application/json"}})
    return json.loads(CONNECTION.getresponse().read())["choices"][0]["message"]["content"]
"""
PLAIN = (
    ASK
    + """
@pytest.mark.parametrize("text", QUESTIONS)
def test_question(text):
    assert ask(text) == text
"""
)
DEEPEVAL = (
    ASK
    + """
from deepeval import assert_test
from deepeval.metrics import ExactMatchMetric
from deepeval.test_case import LLMTestCase

@pytest.mark.parametrize("text", QUESTIONS)
def test_question(text):
    case = LLMTestCase(input=text, actual_output=ask(text), expected_output=text)
    assert_test(case, [ExactMatchMetric()], run_async=False)
"""
)


def registry(root: Path, port: int) -> None:
    for name in ("prompts", "suites"):
        (root / name).mkdir()
    (root / "pytest.ini").write_text("[pytest]\n")
    url = f"http://127.0.0.1:{port}/v1"
    (root / "promptreg.yaml").write_text(f'registry: bench\nmodels:\n  m: {{provider: openai, model: m, base_url: "{url}"}}\n')
    (root / "prompts/ask.yaml").write_text(
        'inputs: {text: {type: string}}\nmessages: [{role: user, content: "{{ text }}"}]\nparams: {temperature: 0}\n'
    )
    (root / "suites/ask.yaml").write_text('prompts: [ask]\nmodels: [m]\ndataset: ask.jsonl\nchecks: [{exact: "{{ expected }}"}]\n')
    with (root / "suites/ask.jsonl").open("w") as file:
        for number in range(ITEMS):
            text = f"question number {number}"
            file.write(json.dumps({"id": f"q{number}", "inputs": {"text": text}, "expected": text}) + "\n")
    (root / "test_plain.py").write_text(PLAIN.format(port=port, items=ITEMS))
    (root / "test_deepeval.py").write_text(DEEPEVAL.format(port=port, items=ITEMS))


def import_ms(root: Path) -> float:
    """What importing the plugin costs a session, beyond pytest itself: a median, by the interpreter's clock."""
    command = (sys.executable, "-X", "importtime", "-c", "import pytest; import promptreg.pytest_plugin")
    taken = []
    for _ in range(SESSIONS):
        told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stderr
        own = re.findall(r"import time:\s+(\d+) \|\s+(\d+) \| (\s*)promptreg(?:\.pytest_plugin)?$", told, re.MULTILINE)
        taken.append(sum(int(cumulative) for _, cumulative, indent in own if not indent) / 1000)
    return statistics.median(taken)


def main() -> int:
    server = subprocess.Popen([sys.executable, str(HERE / "loopback.py"), "serve", str(DELAY_S)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    bare, plugin, plain, others = [], [], [], []
    deepeval = importlib.util.find_spec("deepeval") is not None
    os.environ["DEEPEVAL_TELEMETRY_OPT_OUT"] = "YES"
    try:
        for counted in range(-1, RUNS):
            with tempfile.TemporaryDirectory() as name:
                root = Path(name)
                registry(root, port)
                client = once((sys.executable, str(HERE / "loopback.py"), "client", str(port), str(ITEMS), str(JOBS)), root)
                ours = once(OURS, root)
                if counted < 0:
                    continue  # the first warms caches of files and of compiled modules
                bare.append(client)
                plugin.append(ours)
                if len(plain) < 1:  # a minute each
                    plain.append(once((*ALONE, "test_plain.py"), root))
                    if deepeval:
                        others.append(once((*PYTEST, "test_deepeval.py"), root))
        with tempfile.TemporaryDirectory() as name:
            cost_ms = import_ms(Path(name))
    finally:
        server.kill()
    floor, ours = statistics.median(bare), statistics.median(plugin)
    print(f"bare client {floor:.2f} s, pytest --promptreg {ours:.2f} s, plain pytest {plain[0]:.2f} s")
    holds = verdict("above the bare client", ours - floor, 3.0, " s")
    holds &= verdict("share of the time of plain pytest tests", ours / plain[0], 0.1, "")
    if deepeval:
        holds &= verdict(f"share of the time of plain DeepEval tests ({others[0]:.2f} s)", ours / others[0], 0.1, "")
    else:
        print("DeepEval is not installed here: not compared")
    return 0 if verdict("import in a session that does not ask", cost_ms, 5.0, " ms") and holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
