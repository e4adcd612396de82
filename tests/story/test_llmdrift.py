"""Other people's published run, replayed: LLMDrift's happy numbers come out as their authors published them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from promptreg.cli import invoke

RECORDING = (
    Path(os.environ.get("PROMPTREG_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
    / "llmdrift"
    / "happy_numbers.jsonl"
)
PUBLISHED = {"gpt-4-0314": 83.6, "gpt-4-0613": 35.2, "gpt-3.5-turbo-0301": 30.6, "gpt-3.5-turbo-0613": 48.2}

# The source's rule: lower-cased, the first `boxed{…}` of the answer is the first of the reference, as text.
RULE = r"(?is)^(?:(?!boxed\x7b[^\x7d]*\x7d).)*boxed\x7b{{ expected }}\x7d"


def write_registry(root: Path) -> None:
    rows = [json.loads(line) for line in RECORDING.read_text("utf-8").splitlines()]
    models = "\n".join(f"  {name}: {{provider: recorded, model: {name}, recording: {RECORDING}}}" for name in PUBLISHED)
    (root / "prompts").mkdir()
    (root / "suites").mkdir()
    (root / "promptreg.yaml").write_text(f"registry: drift\nmodels:\n{models}\n")
    (root / "prompts/happy.yaml").write_text(
        'inputs: {question: {type: string}}\nmessages: [{role: user, content: "{{ question }}"}]\n'
        "params: {temperature: 0.1, max_tokens: 2000}\n"
    )
    (root / "suites/happy.yaml").write_text(
        f"prompts: [happy]\nmodels: [{', '.join(PUBLISHED)}]\ndataset: happy.jsonl\n"
        f"checks:\n  - metric: regex\n    pattern: '{RULE}'\ngate: {{margin: 0.05}}\n"
    )
    cases = {row["item_id"]: row for row in rows}
    with (root / "suites/happy.jsonl").open("w", encoding="utf-8") as file:
        for item, row in cases.items():
            reference = row["reference"].partition("boxed{")[2].partition("}")[0]
            case = {"id": item, "inputs": {"question": row["messages"][0]["content"]}, "expected": reference}
            file.write(json.dumps(case) + "\n")


@pytest.mark.skipif(
    not RECORDING.is_file(), reason="LLMDrift's answers are not beside this checkout (PROMPTREG_DATA names their folder)"
)
def test_happy_numbers_come_out_as_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_registry(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert invoke(["run", "--json", "--quiet"]) == 0
    cells = json.loads(capsys.readouterr().out)["suites"]
    assert {cell["model"]: round(100 * cell["pass_rate"], 1) for cell in cells} == PUBLISHED
    assert all(cell["n"] == 500 and cell["errors"] == 0 for cell in cells)
