"""What a criterion is: a judgement of one view of a restored batch, pulling somewhere or pushing away."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

VIEWS = ("structure", "output")
TRUTH, REGRESSION, TAUGHT = "truth", "regression", "taught"


def at_least_single(x: Tensor) -> Tensor:
    """In float32, or in float64 where it is so already: sums over an image need it."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@dataclass(frozen=True)
class Taught:
    """What a teacher makes of the same photos.

    Args:
        image: (N, 3, H, W), RGB in [0, 1]; no gradient flows into it.
        share: How far it is to be followed, (N,) in [0, 1]: the more, the more damaged a photo is.
    """

    image: Tensor
    share: Tensor


class Restored:
    """A restored batch with what it is judged by. All images are (N, 3, H, W), RGB in [0, 1].

    Args:
        views: What the network made, by name: "structure" and "output".
        truth: The ground truth.
        regression: What the pixel criterion alone makes of the same photos; no gradient flows into it. None
            if no criterion asks for it.
        mask: Where the texture view has its say, (N, 1, H, W) in [0, 1]; None: everywhere alike.
        features: phi, from images to a list of features; None if no criterion asks for them.
        logits: What the discriminator says of images, its own weights held fast; None without one.
        real_logits: What it says of the ground truth.
        taught: What a teacher makes of the same photos; None without one.
    """

    def __init__(
        self,
        views: Mapping[str, Tensor],
        truth: Tensor,
        regression: Tensor | None = None,
        mask: Tensor | None = None,
        features: Callable[[Tensor], Sequence[Tensor]] | None = None,
        logits: Callable[[Tensor], Tensor] | None = None,
        real_logits: Tensor | None = None,
        taught: Taught | None = None,
    ) -> None:
        self.mask, self.logits, self.real_logits, self.taught = mask, logits, real_logits, taught
        self._features = features
        self._images: dict[str, Tensor] = {**views, TRUTH: truth}
        if regression is not None:
            self._images[REGRESSION] = regression
        if taught is not None:
            self._images[TAUGHT] = taught.image
        self._phi: dict[str, list[Tensor]] = {}

    def image(self, name: str) -> Tensor:
        """A view, the truth, the regression or what a teacher made."""
        return self._images[name]

    def phi(self, name: str) -> list[Tensor]:
        """The features of one of them; computed once however many criteria ask."""
        if name not in self._phi:
            assert self._features is not None, "the recipe gives features to criteria that need them"
            self._phi[name] = [at_least_single(x) for x in self._features(self.image(name))]
        return self._phi[name]


class Criterion(nn.Module, ABC):
    """Judges one view.

    Attributes:
        polarities: Where it can pull a view: "attract" towards the truth, "repel" away from the regression,
            "contrast" both at once. The first is the usual one.
        needs: What must be there: of "features", "discriminator" and "regression".
    """

    polarities: tuple[str, ...] = ("attract",)
    needs: tuple[str, ...] = ()

    def __init__(self) -> None:  # else its signature would be any arguments
        super().__init__()

    @abstractmethod
    def forward(self, made: Restored, view: str, polarity: str) -> Tensor:
        """Judge a batch.

        Args:
            made: The batch.
            view: Name of the view to be judged.
            polarity: One of `polarities`.

        Returns:
            A scalar; less is better.
        """


class Distance(Criterion):
    """A criterion that is a distance: from the truth, to be small, or from the regression, to be large."""

    polarities = ("attract", "repel")

    @abstractmethod
    def distances(self, made: Restored, view: str, other: str) -> Tensor:
        """Distance of each two images of the batch, (N,) >= 0."""

    def forward(self, made: Restored, view: str, polarity: str) -> Tensor:
        """See `Criterion.forward`; repelling, log(1 + exp(-d)), which is bounded."""
        if polarity == "attract":
            return self.distances(made, view, TRUTH).mean()
        return softplus(-self.distances(made, view, REGRESSION).mean())

    def with_teacher(self, made: Restored, view: str, most: float) -> Tensor:
        """Judge a batch by what a teacher made of it too: of photo i by ``most * share[i]``, by truth else.

        Args:
            made: The batch, with what a teacher made of it.
            view: Name of the view to be judged.
            most: Weight of the distance from the teacher's image where its share is 1, in [0, 1].

        Returns:
            A scalar; less is better.
        """
        assert made.taught is not None
        share = most * made.taught.share
        truth, taught = (self.distances(made, view, other) for other in (TRUTH, TAUGHT))
        return ((1 - share) * truth + share * taught).mean()
