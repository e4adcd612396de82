"""The fenced blocks of a Markdown document, and a bench on which they run as a reader would run them.

    console     lines after `$ ` are typed, `> ` goes on; what follows is what they print, `...` standing for anything. A command
                that fails must be followed by `$ echo $?`
    sh          typed line by line, all must succeed
    yaml, json, jsonl, csv, jinja, text
                written to the file that the line above names, as in "`suites/triage.yaml`:", or, without a name, after a comment
                `<!-- part of a suite -->`, read as that part of such a file
    diff        applied to the files
    python      run as a script, or written to the file that is named

After `<!-- figures vary -->` any number stands for any other: models and machines differ, and the page shows one real run.
A block after `<!-- not run: REASON -->` is left alone. Whatever lies between generated marks is somebody else's test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
GENERATED = re.compile(r"<!-- generated: (?!end).*?<!-- generated: end -->", re.DOTALL)
NAMED = re.compile(r"`([^`]+)`:\s*$")
NUMBER = re.compile(r"\d[\d,]*(\.\d+)?( min \d+)?( (ms|s)\b)?")
PROGRESS = re.compile(r"^\d[\d,]*(/[\d,]+| done)  [\d,]+ calls.*\n", re.MULTILINE)  # lines that a terminal would have wiped
SECONDS = 300  # a run on the embedded model takes its time on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: the `file` it is to be written to, the `part` of what it is, why it is `not_run`; each "" when not said.

    `vary`: its figures are those of one run.
    """

    language: str
    text: str
    line: int
    file: str = ""
    part: str = ""
    not_run: str = ""
    vary: bool = False


def blocks(document: str) -> Iterator[Block]:
    """The blocks of *document*, in order; those in generated parts left out."""
    document = GENERATED.sub(lambda part: "\n" * part[0].count("\n"), document)
    for found in FENCE.finditer(document):
        above = document[: found.start()].rstrip().rpartition("\n")[2].strip()
        text = re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        line = document.count("\n", 0, found.start()) + 1
        named = NAMED.search(above)
        yield Block(
            language=found["language"],
            text=text,
            line=line,
            file=named[1] if named else "",
            part=_said(r"part of (?:a|the) (\w+)", above),
            not_run=_said(r"not run: (.+)", above),
            vary=bool(_said("(figures vary)", above)),
        )


def _said(pattern: str, above: str) -> str:
    found = re.fullmatch(f"<!-- {pattern} -->", above)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command of a console block and what it is shown to print."""

    command: str
    shown: str


def steps(block: Block) -> list[Step]:
    """The commands of a console block."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1][0].append(line[2:])
        else:
            assert found, f"line {block.line}: output before the first command"
            found[-1][1].append(line)
    return [Step(command="\n".join(typed), shown="\n".join(shown)) for typed, shown in found]


class Bench:
    """A shell whose folder, variables and last exit code go on from block to block."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self._state = state
        self._state.write_text(f"cd {folder}\n(exit 0)\n")
        self._env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def type(self, command: str) -> tuple[int, str]:
        """Exit code and all that *command* prints, as a terminal shows it."""
        keep = '{ echo "cd $(printf %q "$PWD")"; export -p | grep -v " \\(PWD\\|OLDPWD\\|SHLVL\\|_\\)="; echo "(exit $code)"; }'
        script = f". {self._state}\n{command}\ncode=$?\n{keep} > {self._state}\nexit $code"
        done = subprocess.run(
            ["bash", "-c", script],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.returncode, PROGRESS.sub("", done.stdout)

    @property
    def here(self) -> Path:
        """The folder that the document is in now."""
        code, folder = self.type("pwd")
        assert code == 0
        return Path(folder.strip())


def agrees(shown: str, printed: str, *, vary: bool = False) -> bool:
    """Whether *printed* is what the document shows: the same words in the same order, `...` standing for anything, also nothing.

    With *vary*, any number or duration stands for any other.
    """
    if vary:
        shown, printed = NUMBER.sub("0", shown), NUMBER.sub("0", printed)
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in shown.split("..."))
    return re.fullmatch(pattern, " ".join(printed.split()), re.DOTALL) is not None
