"""The comparison of two commits' commands: who is run, how often, and what becomes of the times."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def command(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("command")


def test_both_take_turns_and_the_first_round_does_not_count(command: ModuleType) -> None:
    order: list[str] = []

    def side(name: str, seconds: float) -> Callable[[Sequence[str]], object]:
        def run(arguments: Sequence[str]) -> object:
            first = not order.count(name)
            order.append(name)
            return command.Cost(99.0 if first else seconds, seconds / 2)

        return run

    costs = command.measure([side("old", 2.0), side("new", 3.0)], ["-c", ""], rounds=3)
    assert order == ["old", "new", "new", "old"] * 2
    assert [[cost.seconds for cost in pair] for pair in costs] == [[2.0, 3.0]] * 3
    assert command.row("a", costs) == "| a | 2000 | 3000 | 1.50 | 1.50 |"


def test_ratios_are_within_a_round(command: ModuleType) -> None:
    """A machine that is ten times slower in one round changes no ratio."""
    costs = [[command.Cost(s, s), command.Cost(s / 2, s / 4)] for s in (1.0, 10.0, 1.0)]
    assert command.row("a", costs).endswith("| 0.50 | 0.25 |")


def test_each_side_imports_its_own_checkout(command: ModuleType, tmp_path: Path) -> None:
    package = tmp_path / "tree" / "src" / "blindsr"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from pathlib import Path\nPath('seen').write_text(__file__)\n")
    run = command.runner(tmp_path / "tree", tmp_path / "cache", tmp_path)
    cost = run(["-c", "import blindsr; sum(range(10**6))"])
    assert (tmp_path / "seen").read_text() == str(package / "__init__.py")
    assert cost.cpu > 0 and cost.seconds > 0


def test_a_run_that_fails_ends_the_benchmark(command: ModuleType, tmp_path: Path) -> None:
    run = command.runner(tmp_path, tmp_path, tmp_path)
    with pytest.raises(SystemExit, match=r"status 7 in .*\n.*no luck"):
        run(["-c", "import sys; print('no luck', file=sys.stderr); sys.exit(7)"])


def test_a_checkout_is_forgotten_again(
    command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for text in ("old", "new"):
        (repository / "file").write_text(text)
        subprocess.run([*git, "add", "file"], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", text], check=True)
    monkeypatch.setattr(command, "ROOT", repository)
    with pytest.raises(KeyError), command.checked_out("HEAD~1", tmp_path / "before") as folder:
        assert (folder / "file").read_text() == "old"
        raise KeyError
    listed = subprocess.run([*git, "worktree", "list"], check=True, capture_output=True, text=True).stdout
    assert not (tmp_path / "before").exists() and "before" not in listed
