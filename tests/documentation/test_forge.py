"""What a public forge runs: commands of this repository; and a release says what the changelog says."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from typing import Any

import pytest
import yaml

from .blocks import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(workflow: dict[str, Any]) -> list[str]:
    """The lines that a workflow's jobs run."""
    jobs = workflow["jobs"].values()
    return [line for job in jobs for step in job["steps"] for line in step.get("run", "").splitlines()]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_commands_of_the_forge_are_there(file: Any) -> None:
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())
    assert workflow["permissions"] == {"contents": "read"}, "more only where a job says so"
    for line in steps(workflow):
        for target in re.findall(r"^make (.*)", line):
            assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in target.split()), line
        for script in re.findall(r"python (?:code/)?([\w./-]+\.py)", line):
            assert (ROOT / script).is_file(), line


def test_every_python_that_is_named_is_tried() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    tried = set(workflow["jobs"]["test"]["strategy"]["matrix"]["python"])
    named = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert named and set(named) <= tried


def test_notes_of_a_release() -> None:
    notes_of = runpy.run_path(str(ROOT / ".ci" / "release_notes.py"))["notes_of"]
    changelog = (
        "# Changelog\n\n## [Unreleased]\n\n- new\n\n"
        "## [0.2.0] - 2026-11-27\n\n- b\n\n## [0.1.0] - 2026-11-01\n\n- a\n"
    )
    assert notes_of("0.2.0", changelog, '__version__ = "0.2.0"\n') == "- b\n"
    assert notes_of("0.1.0", changelog, '__version__ = "0.1.0"\n') == "- a\n"
    with pytest.raises(SystemExit, match=r"version\.py says 0\.2\.0"):
        notes_of("0.3.0", changelog, '__version__ = "0.2.0"\n')
    with pytest.raises(SystemExit, match="no section of it"):
        notes_of("0.3.0", changelog, '__version__ = "0.3.0"\n')


def test_the_changelog_tells_of_this_version() -> None:
    import blindsr

    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "release_notes.py", blindsr.__version__],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.startswith("### "), done.stderr
