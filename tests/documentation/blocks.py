"""The blocks of code that README and docs show, and what becomes of each command in them.

python -m tests.documentation.blocks     # how many there are, and how many the tests run
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "results").glob("*.md"),
    ]
)

NOT_RUN = {
    r"blindsr train": "takes hours; the recipe is read with its changes instead",
    r"blindsr (export|quantise|fit-\w+)": "needs what a training made, or many photos; tests/cli runs it",
    r"blindsr serve": "runs until it is stopped; tests/server/test_serve.py runs it",
    r"blindsr pull": "asks another machine; tests/pulling runs it against a server of its own",
    r"blindsr data": "looks at a data set; tests/cli/test_data.py runs it",
    r"blindsr .*\.(heic|param|pth)": "needs an extra that not every test environment has",
    r"blindsr .*--cluster": "needs machines and buckets; tests/cluster and tests/cli/test_cluster.py run it",
    r"(torchrun|srun) ": "many processes; tests/training/test_processes.py runs it",
    r"head=": "of the program that hands out machines",
    r"make ": "builds an environment; .ci/run runs the targets",
    r"pip install": "builds an environment; .ci/check_wheel.py installs the built wheel in a fresh one",
    r"(\.venv/bin/|python3? )": "a benchmark or a tool: takes minutes, and data sets of others",
    r"RAY_ADDRESS=": "many processes; tests/training/test_processes.py runs it",
    r"(docker|sha256sum|export|curl|job=|git) ?": "not ours; tests/server/test_serve.py runs curl's block",
}
"""Commands that are not run here, and why; their names, options and files are looked up instead."""

SLOW = (r"blindsr evaluate", r"\.onnx", r"<", r"--print", r"--fit")
"""What takes seconds: a process of its own, a foreign model that is looked into, a large result."""

_FENCE = re.compile(r"^```([\w-]+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block.

    Args:
        page: The file it stands in.
        line: Number of its first line.
        language: As its fence says.
        text: What is in it.
    """

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[str]:
        """The commands of a block of shell, without comments; of a console without what is printed."""
        text = self.text.replace("\\\n", " ")
        lines = text.splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        found = (re.sub(r"\s+#\s.*$", "", line).strip() for line in lines)
        return [line for line in found if line and not line.startswith("#")]


def blocks(pages: list[Path] | None = None) -> list[Block]:
    """All blocks of some pages, in order."""
    found = []
    for page in PAGES if pages is None else pages:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            found.append(Block(page, text.count("\n", 0, match.start()) + 2, match[1], match[2]))
    return found


def shell_blocks(pages: list[Path] | None = None) -> list[Block]:
    """Those that a reader would paste into a terminal."""
    return [block for block in blocks(pages) if block.language in ("sh", "console")]


def why_not(command: str) -> str | None:
    """Why a command is not run; None for one that is."""
    return next((reason for pattern, reason in NOT_RUN.items() if re.match(pattern, command)), None)


def is_slow(command: str) -> bool:
    """Whether running a command takes seconds."""
    return any(re.search(pattern, command) for pattern in SLOW)


def words(command: str) -> list[str]:
    """A command's words, as a shell would take them; what follows `&&`, `|` or `<` is left out."""
    return shlex.split(re.split(r"\s(?:&&|\||<|>)\s", command)[0], comments=True)


def main() -> None:
    """Print how many blocks there are, and what becomes of their commands."""
    print(dict(Counter(block.language for block in blocks())))
    fates: Counter[str] = Counter()
    for block in shell_blocks():
        for command in block.commands():
            fates[why_not(command) or ("run, slowly" if is_slow(command) else "run")] += 1
    for fate, count in fates.most_common():
        print(f"{count:4} {fate}")


if __name__ == "__main__":
    main()
