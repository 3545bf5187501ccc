"""Quality against time, of our models and of others: the table and the plot of docs/results/which-model.md.

    python benchmarks/perception.py --data kept-back --model cmdsr-x4 --peer x4plus --draws 1 --json q.json
    python benchmarks/which_model.py quality q.json    # takes over what that measured
    python benchmarks/which_model.py time --peer realesrgan --peer x4plus --peer df2k
    python benchmarks/which_model.py write

What is known lies in docs/results/which-model.json: scores from the first command, and seconds from the
third, which restores one picture by everyone in turn, on one thread, and counts the processor time of the
whole process. `write` measures nothing: it draws what is known.
"""

from __future__ import annotations

import json
import statistics
import sys
import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from peers import PEERS, find_peer
from perception import methods_of
from places import PEER_FILES, ROOT
from results import insert

from blindsr.errors import BlindSRError, InputError
from blindsr.evaluation.methods import Method
from blindsr.evaluation.summary import write_text

RECORD = ROOT / "docs" / "results" / "which-model.json"
PAGE = ROOT / "docs" / "results" / "which-model.md"
PLOT = ROOT / "docs" / "images" / "which-model.png"
SCALE = 4
CASES = {"clean": "clean", "camera": "ordinary photos", "real-esrgan": "harsh ones"}
"""Degradations as benchmarks/perception.py calls them, and as the table does."""
REFERENCE = "Real-ESRGAN general-x4v3"
OURS = ("cmdsr-x4", "cria-x4-compact")

Known = dict[str, dict[str, Any]]
"""Of each method `seconds`, and `scores`: by case, then by metric, the mean over the pictures."""

app = typer.Typer(add_completion=False, help=__doc__.splitlines()[0] if __doc__ else None)


def read_known(record: Path = RECORD) -> Known:
    """What is known; nothing where there is no file yet."""
    if not record.is_file():
        return {}
    known: Known = json.loads(record.read_text(encoding="utf-8"))
    return known


def save_known(known: Known, record: Path) -> None:
    """Write it, in an order that does not depend on who was measured first."""
    write_text(record, json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False) + "\n")


@app.command()
def quality(
    files: Annotated[list[Path], typer.Argument(help="What benchmarks/perception.py --json wrote.")],
    record: Annotated[Path, typer.Option(help="Where it is kept.")] = RECORD,
) -> None:
    """Take over means of PSNR and of LPIPS without the grid."""
    known = read_known(record)
    for file in files:
        for cases in json.loads(file.read_text(encoding="utf-8")).values():
            for case, methods in cases.items():
                for title, scores in methods.items():
                    means = {name: float(np.mean(scores[name])) for name in ("psnr", "lpips-no-grid")}
                    entry = known.setdefault(title.partition("@")[0], {})
                    entry.setdefault("scores", {})[case] = means
    save_known(known, record)


@app.command()
def time(
    model: Annotated[list[str] | None, typer.Option(help="Default: bicubic and ours.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(PEERS)}; none for none.")] = None,
    side: Annotated[int, typer.Option(min=16, help="Of the LR picture, pixels.")] = 128,
    rounds: Annotated[int, typer.Option(min=1, help="How often each has its turn.")] = 3,
    peers: Annotated[Path, typer.Option(help="Where the peers' files are.")] = PEER_FILES,
    record: Annotated[Path, typer.Option(help="Where it is kept.")] = RECORD,
) -> None:
    """Measure processor seconds for a megapixel of result, everyone in turn on one thread."""
    try:
        others = [find_peer(name, peers, 1) for name in (peer or PEERS) if name != "none"]
        methods = [*methods_of(model or ["bicubic", *OURS], [], [], peers, 1), *others]
        known = read_known(record)
        for title, seconds in measure_time(methods, side, rounds).items():
            known.setdefault(title, {})["seconds"] = round(seconds, 3)
            print(f"{title}: {seconds:.2f} s of one thread a megapixel", flush=True)
        save_known(known, record)
    except BlindSRError as error:
        print(f"which_model: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def measure_time(methods: Sequence[Method], side: int, rounds: int) -> dict[str, float]:
    """Medians over the rounds; the first restoration of each, which prepares it, does not count."""
    lr = np.random.default_rng(0).random((side, side, 3), np.float32)
    taken: dict[str, list[float]] = {method.title.partition("@")[0]: [] for method in methods}
    restorers = [method.restorer for method in methods]
    for number in range(rounds + 1):
        for title, restorer in zip(taken, restorers, strict=True):
            began = clock.process_time()
            restorer.restore(lr, SCALE)
            if number:
                taken[title].append((clock.process_time() - began) / (side * side * SCALE**2 / 1e6))
    return {title: statistics.median(values) for title, values in taken.items()}


@app.command()
def write(
    record: Annotated[Path, typer.Option(help="Where it is kept.")] = RECORD,
    page: Annotated[Path, typer.Option(help="The page.")] = PAGE,
    plot: Annotated[Path, typer.Option(help="The picture.")] = PLOT,
) -> None:
    """Write the table into the page, and draw the plot."""
    try:
        known = {title: entry for title, entry in read_known(record).items() if is_whole(entry)}
        if REFERENCE not in known:
            raise InputError(f"{record}: knows nothing of {REFERENCE}, whom times are compared with")
        text = insert(page.read_text(encoding="utf-8"), {"which-model": table(known)}, str(page))
        draw(known, plot)
        write_text(page, text)
    except BlindSRError as error:
        print(f"which_model: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def is_whole(entry: dict[str, Any]) -> bool:
    """Whether time and all cases are known."""
    return "seconds" in entry and set(CASES) <= set(entry.get("scores", {}))


def table(known: Known) -> str:
    """A row a method, the fastest first: time as a multiple of the reference's; PSNR and LPIPS by case."""
    lines = [
        "| | time | " + " | ".join(f"{title}: PSNR / LPIPS" for title in CASES.values()) + " |",
        "|---|" + "---|" * (1 + len(CASES)),
    ]
    reference = known[REFERENCE]["seconds"]
    best = {
        (case, name): max(known, key=lambda title, case=case, name=name: _worth(known[title], case, name))  # type: ignore[misc]
        for case in CASES
        for name in ("psnr", "lpips-no-grid")
    }
    for title in sorted(known, key=lambda title: known[title]["seconds"]):
        cells = [
            " / ".join(
                f"**{text}**" if best[case, name] == title else text
                for name, digits in (("psnr", 2), ("lpips-no-grid", 3))
                for text in [f"{known[title]['scores'][case][name]:.{digits}f}"]
            )
            for case in CASES
        ]
        shown = f"**{title}**" if title in OURS else title
        lines.append(f"| {shown} | {known[title]['seconds'] / reference:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _worth(entry: dict[str, Any], case: str, name: str) -> float:
    value: float = entry["scores"][case][name]
    return value if name == "psnr" else -value


def draw(known: Known, plot: Path) -> None:
    """LPIPS against time for each case: what lies low and to the left is good and fast."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    reference = known[REFERENCE]["seconds"]
    figure, axes = plt.subplots(1, len(CASES), figsize=(10.5, 4.6), layout="constrained", sharex=True)
    titles = sorted(known, key=lambda title: known[title]["seconds"])
    for axis, (case, shown) in zip(axes, CASES.items(), strict=True):
        for number, title in enumerate(titles):
            axis.plot(
                known[title]["seconds"] / reference,
                known[title]["scores"][case]["lpips-no-grid"],
                "*" if title in OURS else "os"[number // 10],
                color=f"C{number % 10}",
                markersize=14 if title in OURS else 7,
                label=title,
            )
        axis.set_xscale("log")
        axis.set_title(shown)
        axis.set_xlabel(f"time, times {REFERENCE}'s")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("LPIPS without the grid; lower is better")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, markerscale=0.7)
    figure.savefig(plot, dpi=100, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    app()
