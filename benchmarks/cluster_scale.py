"""From one machine to thousands, on paper: a batch of ten million photos played through, with measured times.

    python benchmarks/cluster_scale.py             # the tables, and docs/images/cluster-scale.png
    python benchmarks/cluster_scale.py --photos 1000000 --workers 1000 --price 0.02

No photo is restored: a clock jumps from shard to shard, as blindsr/cluster hands them out. The driver lists
and plans names at a steady rate; whoever has nothing to do gets the next shard that is planned; each worker
is faster or slower than others; the store takes so many requests a second and no more; machines are taken
away at random and replaced, and what was in their hands is done again. Each of these numbers is an option,
and its help says where the default is from.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from places import ROOT

PICTURE = ROOT / "docs" / "images" / "cluster-scale.png"


@dataclass(frozen=True)
class Plant:
    """What a batch runs on, and what a photo takes there.

    Args:
        photos: How many there are.
        megapixels: Of a photo, before it is enlarged.
        restoring: Seconds of a worker for a megapixel.
        besides: Seconds of a worker for a photo, whatever its size.
        shard: Photos of a shard.
        planning: Names a second that the driver lists and plans.
        handing: Seconds of the driver for a shard: handing it out, and counting what came of it.
        requests: Of a photo that a store counts as writing.
        store: Such requests a second that the store takes.
        lost: Share of workers that are taken away in an hour.
        again: Seconds until another one works in its place.
        spread: Of the workers' speeds, as the standard deviation of their logarithms.
    """

    photos: int
    megapixels: float
    restoring: float
    besides: float
    shard: int
    planning: float
    handing: float
    requests: float
    store: float
    lost: float
    again: float
    spread: float = 0.1

    @property
    def photo(self) -> float:
        """Seconds of a worker for a photo."""
        return self.megapixels * self.restoring + self.besides

    @property
    def ceiling(self) -> dict[str, float]:
        """Photos a second that each part bears, however many workers there are."""
        return {
            "listing": self.planning,
            "driver": self.shard / self.handing,
            "store": self.store / self.requests,
        }


def play(plant: Plant, workers: int, seed: int = 0) -> float:
    """Seconds from the command to the last photo.

    Args:
        plant: What it runs on.
        workers: How many there are, once they have started.
        seed: Of the workers' speeds and ends.
    """
    noise = np.random.default_rng(seed)
    speeds = noise.lognormal(-(plant.spread**2) / 2, plant.spread, workers)
    ends = noise.exponential(3600 / plant.lost, workers) if plant.lost else np.full(workers, np.inf)
    events = [(0.0, worker, 0) for worker in range(workers)]  # when, who, photos that are to be noted
    driver = store = last = 0.0
    planned = 0
    while events:
        now, worker, done = heapq.heappop(events)
        if done:
            store = (
                max(store, now - done * plant.requests / plant.store) + done * plant.requests / plant.store
            )
            last = max(last, now, store)
            heapq.heappush(events, (max(now, store), worker, 0))
        elif planned < plant.photos:
            size = min(plant.shard, plant.photos - planned)
            planned += size
            # The driver does one thing at a time, and has nothing to give before it is planned.
            driver = max(driver, now, planned / plant.planning) + plant.handing
            end = driver + size * plant.photo / speeds[worker]
            while ends[worker] < end:  # whoever comes instead reads the record, and does the rest
                gone = max(ends[worker], driver)
                end += plant.again + plant.photo / speeds[worker]
                ends[worker] = gone + plant.again + noise.exponential(3600 / plant.lost)
            heapq.heappush(events, (end, worker, size))
    return last


def table(plant: Plant, workers: Sequence[int], price: float, each: float) -> list[tuple[int, float, float]]:
    """Print a line for each number of workers; gives (workers, photos an hour, share of what they could)."""
    print(
        f"\n{plant.photos} photos of {plant.megapixels:g} megapixels, {plant.photo:.2f} s of a worker each;"
    )
    told = ", ".join(f"{name} {rate:.0f}" for name, rate in plant.ceiling.items())
    print(f"photos a second at most, whatever the number of workers: {told}\n")
    print("| workers | hours | photos an hour | of what they could | workers' price | requests' price |")
    print("|---|---|---|---|---|---|")
    lines = []
    for count in workers:
        seconds = play(plant, count)
        rate = 3600 * plant.photos / seconds
        share = rate / (count * 3600 / plant.photo)
        lines.append((count, rate, share))
        cost, asked = price * count * seconds / 3600, each * plant.photos * plant.requests / 1000
        hours = seconds / 3600
        print(f"| {count} | {hours:.4g} | {rate:.3g} | {100 * share:.0f} % | ${cost:.0f} | ${asked:.0f} |")
    return lines


def draw(found: dict[str, list[tuple[int, float, float]]], picture: Path) -> None:
    """Photos an hour against workers, for each kind of photo."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
    for title, lines in found.items():
        workers = [line[0] for line in lines]
        (drawn,) = axes.loglog(workers, [line[1] for line in lines], "o-", markersize=4, label=title)
        first = lines[0][1] / lines[0][0]
        axes.loglog(workers, [first * count for count in workers], ":", color=drawn.get_color(), alpha=0.6)
    axes.set(xlabel="workers (a core each)", ylabel="photos an hour")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(title="dotted: as many times one worker", frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=150)
    pyplot.close(figure)


def main(
    photos: Annotated[int, typer.Option(min=1, help="How many.")] = 10_000_000,
    megapixels: Annotated[list[float] | None, typer.Option(help="Of a photo; several are played.")] = None,
    workers: Annotated[list[int] | None, typer.Option(help="Cores; several are played.")] = None,
    restoring: Annotated[float, typer.Option(help="s a megapixel; speed.py, int8, times threads.")] = 3.1,
    besides: Annotated[float, typer.Option(help="s a photo beside that; a guess.")] = 0.05,
    shard: Annotated[int, typer.Option(min=1, help="Photos of a shard; cluster_planning.py.")] = 90,
    planning: Annotated[float, typer.Option(help="Names a second; cluster_planning.py, new.")] = 3600,
    handing: Annotated[float, typer.Option(help="s a shard; cluster_planning.py, driven.")] = 0.002,
    requests: Annotated[float, typer.Option(help="Writes a photo: the result, and its record.")] = 2,
    store: Annotated[float, typer.Option(help="Writes a second; S3 tells 3500 for a prefix.")] = 3500,
    lost: Annotated[float, typer.Option(help="Share of workers lost in an hour; a guess.")] = 0.05,
    again: Annotated[float, typer.Option(help="s until another works in its place; a guess.")] = 180,
    price: Annotated[float, typer.Option(help="$ an hour of a core; ask your provider.")] = 0.02,
    each: Annotated[float, typer.Option(help="$ for 1000 writes; ask your provider.")] = 0.005,
    picture: Annotated[Path, typer.Option(help="Where the plot goes.")] = PICTURE,
) -> None:
    """Print a table for each size of photo, and draw all."""
    plant = Plant(
        photos, 0.0, restoring, besides, shard, planning, handing, requests, store, lost, again
    )  # fmt: skip
    counts = workers or [1, 10, 100, 1000, 3000, 10_000, 30_000]
    found = {}
    for one in megapixels or [12.0, 1.0, 0.1]:
        found[f"{one:g} megapixels"] = table(replace(plant, megapixels=one), counts, price, each)
    draw(found, picture)


if __name__ == "__main__":
    typer.run(main)
