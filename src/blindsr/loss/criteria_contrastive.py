"""The contrast of criteria: a triplet whose negative is what the contrary criterion alone would give.

The idea is that of Shi et al. (arXiv 2207.12767): in real-scene super-resolution the criteria contradict
each other, so they, and not image patches, are what is to be contrasted. Its form here is ours, and
docs/cria-cl.md states it: in a space of deep features phi, the restoration is the anchor, the ground truth
the positive, and the regression, which the pixel criterion alone gives, the negative.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blindsr.errors import ConfigError
from blindsr.loss.criterion import REGRESSION, TRUTH, Criterion, Restored
from blindsr.loss.perceptual import feature_distances

FORMS = ("margin", "infonce", "ratio")


def criteria_contrastive(
    positive: Tensor,
    negative: Tensor,
    weight: Tensor | None = None,
    *,
    form: str = "margin",
    margin: float = 0.1,
    temperature: float = 0.1,
) -> Tensor:
    """Contrast two distances, place by place.

    With d+ and d- the distances of the anchor from the positive and from the negative, "margin" is
    ``max(0, d+ - d- + margin)``, "infonce" is ``-log(exp(-d+ / t) / (exp(-d+ / t) + exp(-d- / t)))`` with the
    temperature t (InfoNCE, arXiv 1807.03748, of one negative), and "ratio" is ``d+ / d-`` (as in contrastive
    regularisation, arXiv 2104.09367).

    Args:
        positive: d+, (N, 1, h, w), >= 0.
        negative: d-, the same shape.
        weight: How much each place counts, the same shape, >= 0, in proportion; None: all alike.
        form: One of `FORMS`.
        margin: Of the margin form, in units of the distance.
        temperature: Of the InfoNCE form, in units of the distance.

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: The shapes differ, or there is no such form.
    """
    if positive.shape != negative.shape or (weight is not None and weight.shape != positive.shape):
        shapes = [tuple(x.shape) for x in (positive, negative, weight) if x is not None]
        raise ValueError(f"distances and weight must have one shape, not {shapes}")
    if form == "margin":
        loss = torch.relu(positive - negative + margin)
    elif form == "infonce":
        loss = nn.functional.softplus((positive - negative) / temperature)
    elif form == "ratio":
        loss = positive / (negative + 1e-2)  # where the anchor is the negative, steep but finite
    else:
        raise ValueError(f"form is one of {', '.join(FORMS)}, not {form!r}")
    if weight is None:
        return loss.mean()
    return (loss * weight).sum() / weight.sum().clamp_min(1e-6)


class CriteriaContrastive(Criterion):
    """The criterion of `criteria_contrastive`, on the features of a view.

    Args:
        form: One of `FORMS`.
        margin: See `criteria_contrastive`.
        temperature: See `criteria_contrastive`.
        masked: Weight the places by what the spatial projector gives to the texture view.

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
        anchor = made.phi(view)
        positive = feature_distances(anchor, made.phi(TRUTH))
        negative = feature_distances(anchor, made.phi(REGRESSION))
        weight = None
        if self.masked and made.mask is not None:
            height, width = positive.shape[2:]
            # The mask says where; it is not to be moved to where the loss is small.
            weight = nn.functional.adaptive_avg_pool2d(made.mask.detach().float(), (height, width))
        return criteria_contrastive(
            positive, negative, weight, form=self.form, margin=self.margin, temperature=self.temperature
        )
