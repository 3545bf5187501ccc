"""The contrast of criteria: a triplet whose negative is what the contrary criterion alone would give.

The idea is that of Shi et al. (arXiv 2207.12767): in real-scene super-resolution the criteria contradict
each other, so they, and not image patches, are what is to be contrasted. Its form here is ours, and
docs/cria-cl.md states it: in a space of deep features phi, the restoration is the anchor, the ground truth
the positive, and the regression, which the pixel criterion alone gives, the negative.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from blindsr.errors import ConfigError
from blindsr.loss.criterion import REGRESSION, TRUTH, Criterion, Restored, at_least_single
from blindsr.loss.perceptual import coarsest_grid, feature_distances

FORMS = ("margin", "infonce", "ratio", "direction")
_FLOOR = 0.1
"""Share of an image's usual displacement that is added to the displacement at each place."""


def criteria_triplet(
    positive: Tensor, negative: Tensor, form: str = "margin", margin: float = 0.1, temperature: float = 0.1
) -> Tensor:
    """Contrast two distances, place by place.

    With d+ and d- the distances of the anchor from the positive and from the negative, "margin" is
    ``max(0, d+ - d- + margin)``, "infonce" is ``-log(exp(-d+ / t) / (exp(-d+ / t) + exp(-d- / t)))`` with the
    temperature t (InfoNCE, arXiv 1807.03748, of one negative), and "ratio" is ``d+ / d-`` (as in contrastive
    regularisation, arXiv 2104.09367).

    Args:
        positive: d+, (N, 1, h, w), >= 0.
        negative: d-, the same shape.
        form: "margin", "infonce" or "ratio".
        margin: Of the margin form, in units of the distance.
        temperature: Of the InfoNCE form, in units of the distance.

    Returns:
        (N, 1, h, w), >= 0.

    Raises:
        ValueError: The shapes differ, or there is no such form.
    """
    if positive.shape != negative.shape:
        raise ValueError(
            f"distances of {tuple(positive.shape)} and {tuple(negative.shape)}: of one shape, please"
        )
    if form == "margin":
        return torch.relu(positive - negative + margin)
    if form == "infonce":
        return nn.functional.softplus((positive - negative) / temperature)
    if form == "ratio":
        return positive / (negative + 1e-2)  # where the anchor is the negative, steep but finite
    raise ValueError(f"form is one of {', '.join(FORMS[:3])}, not {form!r}")


def criteria_direction(
    anchor: Sequence[Tensor], positive: Sequence[Tensor], negative: Sequence[Tensor]
) -> Tensor:
    """Where the anchor has gone from the negative, against where the positive lies: one minus the cosine.

    A triplet of distances rewards any step away from the negative. This one rewards a step only as far as it
    leads to the positive: ``1 - cos(phi(anchor) - phi(negative), phi(positive) - phi(negative))`` at each
    place, averaged over the layers. To the length of each displacement is added a tenth of what is usual
    between positive and negative in the image, so that places without a difference do not count.

    Args:
        anchor: Features, (N, c, h, w) for each layer; h and w may differ from layer to layer.
        positive: Features of the same shapes.
        negative: Features of the same shapes.

    Returns:
        (N, 1, h, w) of the coarsest layer, in [0, 2]; 1 where the anchor is the negative.
    """
    grid = coarsest_grid(anchor)
    total = anchor[0].new_zeros(())
    for a, p, n in zip(anchor, positive, negative, strict=True):
        step, goal = a - n, p - n
        lengths = [x.square().sum(1, keepdim=True) for x in (step, goal)]  # (N, 1, h, w)
        floor = lengths[1].mean((2, 3), keepdim=True) * _FLOOR**2 + torch.finfo(a.dtype).tiny
        cosine = (step * goal).sum(1, keepdim=True)
        for length in lengths:
            cosine = cosine * (length + floor).rsqrt()
        total = total + nn.functional.adaptive_avg_pool2d(1 - cosine, grid)
    return total / len(anchor)


class CriteriaContrastive(Criterion):
    """The triplet of a view (anchor), the truth (positive) and the regression (negative), in features.

    Args:
        form: One of `FORMS`: see `criteria_triplet`, and `criteria_direction`.
        margin: See `criteria_triplet`.
        temperature: See `criteria_triplet`.
        masked: Weight the places by the share of the texture view there (see
            `blindsr.network.views.texture_share`).

    Raises:
        ConfigError: There is no such form.
    """

    polarities = ("contrast",)
    needs = ("features", "regression")

    def __init__(
        self, form: str = "margin", margin: float = 0.1, temperature: float = 0.1, masked: bool = True
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise ConfigError(f"criteria: form is one of {', '.join(FORMS)}, not {form!r}")
        self.form, self.margin, self.temperature, self.masked = form, margin, temperature, masked

    def forward(self, made: Restored, view: str, polarity: str) -> Tensor:
        """See `Criterion.forward`."""
        anchor, positive, negative = made.phi(view), made.phi(TRUTH), made.phi(REGRESSION)
        if self.form == "direction":
            loss = criteria_direction(anchor, positive, negative)
        else:
            near, far = feature_distances(anchor, positive), feature_distances(anchor, negative)
            loss = criteria_triplet(near, far, self.form, self.margin, self.temperature)
        if not self.masked or made.mask is None:
            return loss.mean()
        # The mask says where; it is not to be moved to where the loss is small.
        grid = (loss.shape[2], loss.shape[3])
        weight = nn.functional.adaptive_avg_pool2d(at_least_single(made.mask.detach()), grid)
        return (loss * weight).sum() / weight.sum().clamp_min(1e-6)
