"""Which rooms of the package import which: no arrow may run upwards, and none in a circle.

    python benchmarks/rooms.py            # prints the rooms, their arrows, and what is wrong with them
    python benchmarks/rooms.py --write    # draws them anew in docs/architecture.md

A room is a folder of src/blindsr, or a module that lies there by itself. They belong to floors, which are
those of docs/architecture.md, where a room may import only from floors below it and from its own. Imports
count wherever they stand: at the top, in a function, or for types alone. In the drawing an arrow that a
longer way already tells is left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from places import ROOT

PACKAGE = ROOT / "src" / "blindsr"
PLAN = ROOT / "docs" / "architecture.md"
FLOORS = ("apps", "jobs", "parts", "ground")

Arrows = dict[str, dict[str, list[str]]]
"""Of each room, the rooms that it imports, each with where."""


def floors(plan: str) -> dict[str, int]:
    """The floor of every room that a plan names, 0 on top: lines of "floor  room/ room/ module.py"."""
    found = {}
    for number, floor in enumerate(FLOORS):
        line = re.search(rf"^    {floor} +(.*?)(?: {{4,}}.*)?$", plan, re.MULTILINE)
        if line is None:
            raise SystemExit(f"{PLAN.name} says nothing of the floor {floor!r}")
        found |= {room.rstrip("/").removesuffix(".py"): number for room in line[1].split()}
    return found


def arrows(package: Path) -> Arrows:
    """What imports what. The package itself, its public face, is the room `__init__`."""
    files = sorted(package.rglob("*.py"))
    rooms = {file.relative_to(package).parts[0].removesuffix(".py") for file in files}
    found: Arrows = {room: {} for room in sorted(rooms - {"__main__"})}
    for file in files:
        place = file.relative_to(package)
        room = place.parts[0].removesuffix(".py")
        if room not in found:
            continue
        for line, module in _imported(file):
            target = module if module in found else "__init__"
            if target != room:
                found[room].setdefault(target, []).append(f"{place}:{line}")
    return found


def _imported(file: Path) -> Iterator[tuple[int, str]]:
    """Rooms that a file imports, with the line."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "blindsr":
            below = (node.module or "").split(".")[1:2]
            for room in below or [alias.name for alias in node.names]:
                yield node.lineno, room
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "blindsr":
                    yield node.lineno, [*alias.name.split("."), "__init__"][1]


def faults(found: Arrows, floor: Mapping[str, int]) -> list[str]:
    """What is wrong: rooms without a floor, arrows that run upwards, circles."""
    wrong = [f"{room}: on no floor of the plan" for room in found if room not in floor and room != "__init__"]
    wrong += [f"{room}: in the plan, but not in the package" for room in floor if room not in found]
    for room, targets in found.items():
        for target, where in targets.items():
            if target == "__init__" and room != "cli":
                wrong.append(f"{room} imports the public face ({', '.join(where)})")
            elif floor.get(target, len(FLOORS)) < floor.get(room, -1):
                wrong.append(f"{room} imports {target}, which lies above it ({', '.join(where)})")
    return wrong + [f"circle: {' -> '.join(circle)}" for circle in circles(found)]


def circles(found: Arrows) -> list[list[str]]:
    """One circle through each room that lies on any, the shortest."""
    some = {}
    for room in found:
        ways = [[room]]
        seen = {room}
        while ways and room not in some:
            way = ways.pop(0)
            for target in found.get(way[-1], ()):
                if target == room:
                    some[room] = [*way, room]
                elif target not in seen:
                    seen.add(target)
                    ways.append([*way, target])
    return list({frozenset(circle): circle for circle in reversed(some.values())}.values())


def drawing(found: Arrows, floor: Mapping[str, int]) -> str:
    """The graph in Mermaid, floors as boxes, arrows that follow from others left out."""
    lines = ["```mermaid", "flowchart TD"]
    for number, name in enumerate(FLOORS):
        lines.append(f"  subgraph {name}")
        lines += [f"    {room}" for room in sorted(found) if floor.get(room) == number]
        lines.append("  end")
    reached = {room: _reached(found, room) for room in found}
    for room, targets in found.items():
        if room not in floor:
            continue
        for target in sorted(targets):
            if not any(target in reached[other] for other in targets if other != target):
                lines.append(f"  {room} --> {target}")
    return "\n".join([*lines, "```"])


def _reached(found: Arrows, room: str) -> set[str]:
    """Rooms that a room imports by way of others."""
    waiting, seen = list(found[room]), set()
    while waiting:
        target = waiting.pop()
        if target not in seen:
            seen.add(target)
            waiting += found.get(target, {})
    return seen


def main(
    write: Annotated[bool, typer.Option(help="Draw the graph anew in docs/architecture.md.")] = False,
) -> None:
    """Print the rooms and their arrows; the exit status is 1 where one is wrong."""
    plan = PLAN.read_text(encoding="utf-8")
    floor, found = floors(plan), arrows(PACKAGE)
    if write:
        new = re.sub(r"```mermaid\n.*?```", lambda _: drawing(found, floor), plan, count=1, flags=re.DOTALL)
        PLAN.write_text(new, encoding="utf-8")
    for room, targets in found.items():
        print(f"{room}: {', '.join(sorted(targets)) or 'nothing'}")
    print(f"{len(found)} rooms, {sum(map(len, found.values()))} arrows")
    wrong = faults(found, floor)
    print("\n".join(wrong))
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
