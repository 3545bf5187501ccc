"""Do conditions tell degradations apart? A 2-D picture of them, straight and by neighbours, and numbers.

    python benchmarks/conditions.py --model cmdsr-x4 --out docs/images/conditions.png

Every photo is degraded under every blur and noise of a grid, and the model reads a condition from each. The
picture is their first two principal components, coloured by blur and by noise, and those of the tasks without
noise alone; below them the same by t-SNE, which keeps neighbours together but no distances, where
scikit-learn is installed. The numbers: how far apart two photos of one task are against photos of different
tasks, and how well blur and noise can be read off the condition of a photo by linear regression on the
conditions of all other photos (leave one photo out).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from places import TEST_PHOTOS

from blindsr.degradation import Degradation, degrade_image, modcrop
from blindsr.picture import find_pictures, read
from blindsr.upscaling.upscaler import Upscaler

BLURS = (0.2, 0.8, 1.4, 2.0, 2.6, 3.2, 3.8)
NOISES = (0, 5, 10, 20, 30, 40, 50)

Matrix = NDArray[np.float64]


def collect(
    upscaler: Upscaler, photos: list[NDArray[np.float32]]
) -> tuple[Matrix, Matrix, NDArray[np.int64]]:
    """Conditions (K, C), their (blur, noise) (K, 2), and the photo each was read from (K,)."""
    conditions, tasks, sources = [], [], []
    for source, photo in enumerate(photos):
        for blur in BLURS:
            for noise in NOISES:
                task = Degradation(upscaler.model.scale, sigma_x=blur, sigma_y=blur, noise=noise)
                lr = degrade_image(photo, task, seed=source)
                conditions.append(upscaler.adapt([lr]).condition[0])
                tasks.append((blur, noise))
                sources.append(source)
    return np.asarray(conditions, np.float64), np.asarray(tasks, np.float64), np.asarray(sources)


@dataclass(frozen=True)
class Placed:
    """Conditions in a plane, (K, 2), and what its axes are."""

    points: Matrix
    axes: tuple[str, str]


def principal_components(conditions: Matrix) -> Placed:
    """The first two, with the share of the variance that each explains."""
    centred = conditions - conditions.mean(0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    first, second = 100 * (singular**2 / (singular**2).sum())[:2]
    names = f"first component ({first:.0f} % of the variance)", f"second component ({second:.0f} %)"
    return Placed(centred @ directions[:2].T, names)


def neighbours(conditions: Matrix) -> Placed | None:
    """t-SNE of them, from their first two components; None without scikit-learn."""
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        return None
    return Placed(TSNE(init="pca", random_state=0).fit_transform(conditions), ("t-SNE", ""))


def separation(conditions: Matrix, tasks: Matrix) -> float:
    """Mean distance between tasks' centres over the mean distance of a condition from its task's centre."""
    _, index = np.unique(tasks, axis=0, return_inverse=True)
    index = index.ravel()
    centres = np.stack([conditions[index == i].mean(0) for i in range(index.max() + 1)])
    within = np.linalg.norm(conditions - centres[index], axis=1).mean()
    between = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    return float(between[np.triu_indices(len(centres), 1)].mean() / within)


def regression(conditions: Matrix, wanted: Matrix, sources: NDArray[np.int64], ridge: float = 3e-2) -> Matrix:
    """Leave-one-photo-out ridge regression of `wanted` (K, 2) on the conditions: predictions, (K, 2)."""
    predicted = np.empty_like(wanted)
    for source in np.unique(sources):
        train = sources != source
        mean, spread = conditions[train].mean(0), conditions[train].std(0) + 1e-9
        x = np.column_stack([(conditions - mean) / spread, np.ones(len(conditions))])
        gram = x[train].T @ x[train] + ridge * train.sum() * np.eye(x.shape[1])
        predicted[~train] = x[~train] @ np.linalg.solve(gram, x[train].T @ wanted[train])
    return predicted


def draw(conditions: Matrix, tasks: Matrix, out: Path) -> None:
    """All conditions by blur and by noise, and those of the noise-free tasks by blur; one way a row."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    clean = tasks[:, 1] == 0
    panels = (
        ("all tasks, by blur", tasks[:, 0], "blur, sigma in HR pixels"),
        ("all tasks, by noise", tasks[:, 1], "noise, sigma in levels of 255"),
        ("tasks without noise, by blur", tasks[clean, 0], "blur, sigma in HR pixels"),
    )
    rows = []
    for place in (principal_components, neighbours):
        whole, some = place(conditions), place(conditions[clean])
        if whole is not None and some is not None:
            rows.append((whole, whole, some))
        else:
            print("no t-SNE in the picture: it needs scikit-learn (pip install scikit-learn)")
    size = (15, 4.2 * len(rows))
    figure, axes = pyplot.subplots(len(rows), 3, figsize=size, constrained_layout=True, squeeze=False)
    for row, placed in zip(axes, rows, strict=True):
        for axis, found, (title, values, name) in zip(row, placed, panels, strict=True):
            dots = axis.scatter(*found.points.T, c=values, cmap="viridis", s=11, linewidths=0)
            figure.colorbar(dots, ax=axis, label=name)
            axis.set(title=title, xlabel=found.axes[0], ylabel=found.axes[1])
    figure.suptitle("Conditions: each dot is one photo under one degradation")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=100)


def main(
    model: Annotated[str, typer.Option(help="Name or folder of an adaptive model.")] = "cmdsr-x4",
    photos: Annotated[Path, typer.Option(help="Folder of sharp photos.")] = TEST_PHOTOS,
    out: Annotated[Path, typer.Option(help="The picture.")] = Path("docs/images/conditions.png"),
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Draw the picture and print the numbers."""
    upscaler = Upscaler(model, device="cpu", threads=threads)
    hr = [read(file).pixels for file in find_pictures(photos)]
    hr = [modcrop(np.repeat(p, 3, 2) if p.shape[2] == 1 else p, upscaler.model.scale) for p in hr]
    conditions, tasks, sources = collect(upscaler, hr)
    draw(conditions, tasks, out)
    predicted = regression(conditions, tasks, sources)
    print(f"{len(conditions)} conditions of {len(hr)} photos, {len(BLURS) * len(NOISES)} tasks -> {out}")
    print(f"distance between tasks / within a task: {separation(conditions, tasks):.2f}")
    for name, i, rows in (
        ("blur", 0, np.ones(len(tasks), bool)),
        ("blur, of photos without noise", 0, tasks[:, 1] == 0),
        ("noise", 1, np.ones(len(tasks), bool)),
    ):
        wanted = tasks[rows, i]
        error = np.abs(predicted[rows, i] - wanted).mean()
        rank = np.corrcoef(predicted[rows, i], wanted)[0, 1]
        guess = np.abs(wanted - np.median(wanted)).mean()
        print(f"{name}: mean error {error:.2f} (guessing the median: {guess:.2f}), correlation {rank:.2f}")


if __name__ == "__main__":
    typer.run(main)
