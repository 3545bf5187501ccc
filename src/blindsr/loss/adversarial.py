"""The adversarial criterion: what tells restored photos from real ones, and what makes it fail."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from blindsr.errors import ConfigError
from blindsr.loss.criterion import Criterion, Restored, at_least_single


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """The relativistic average loss of whoever makes the fakes.

    The fakes are to look more real than the real ones do on average, and the real ones less real than the
    fakes: ``-E[log(1 - s(real - E[fake]))] - E[log s(fake - E[real])]``, s being the logistic function and E
    the mean over batch and map (Jolicoeur-Martineau 2018, arXiv 1807.00734, section 4.1; ESRGAN, arXiv
    1809.00219, equation 2). Written with softplus, which does not overflow.

    Args:
        real: Logits of the ground truth, (N, 1, h, w); its gradient too flows, detach it to save that.
        fake: Logits of what was made, same shape.

    Returns:
        A scalar > 0; 2 log 2 where the two cannot be told apart.

    Raises:
        ValueError: The shapes differ or are not (N, 1, h, w).
    """
    return relativistic_discriminator(fake, real)


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """The relativistic average loss of the discriminator: `relativistic_generator` with the parts exchanged.

    Args:
        real: Logits of the ground truth, (N, 1, h, w).
        fake: Logits of what was made, from detached images; same shape.

    Returns:
        A scalar > 0; 2 log 2 where the two cannot be told apart.

    Raises:
        ValueError: The shapes differ or are not (N, 1, h, w).
    """
    real, fake = _checked(real, fake)
    return softplus(fake.mean() - real).mean() + softplus(fake - real.mean()).mean()


def vanilla_generator(fake: Tensor) -> Tensor:
    """The loss of whoever makes the fakes in a plain GAN, ``-E[log s(fake)]``.

    Goodfellow et al. 2014 (arXiv 1406.2661, section 3), in the form that does not saturate.

    Args:
        fake: Logits of what was made, (N, 1, h, w).

    Returns:
        A scalar > 0.

    Raises:
        ValueError: The shape is not (N, 1, h, w).
    """
    (fake,) = _checked(fake)
    return softplus(-fake).mean()


def vanilla_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """The loss of the discriminator of a plain GAN, ``-E[log s(real)] - E[log(1 - s(fake))]``.

    Args:
        real: Logits of the ground truth, (N, 1, h, w).
        fake: Logits of what was made, from detached images; same shape.

    Returns:
        A scalar > 0; 2 log 2 where the two cannot be told apart.

    Raises:
        ValueError: The shapes differ or are not (N, 1, h, w).
    """
    real, fake = _checked(real, fake)
    return softplus(-real).mean() + softplus(fake).mean()


class Adversarial(Criterion):
    """What the discriminator says of a view.

    Args:
        form: "relativistic" (see `relativistic_generator`) or "vanilla"; for the discriminator too.

    Raises:
        ConfigError: There is no such form.
    """

    needs = ("discriminator",)

    def __init__(self, form: str = "relativistic") -> None:
        super().__init__()
        if form not in ("relativistic", "vanilla"):
            raise ConfigError(f"criteria: form of adversarial is relativistic or vanilla, not {form!r}")
        self.form = form

    def forward(self, made: Restored, view: str, polarity: str) -> Tensor:
        """See `Criterion.forward`."""
        assert made.logits is not None and made.real_logits is not None
        fake = made.logits(made.image(view))
        if self.form == "vanilla":
            return vanilla_generator(fake)
        return relativistic_generator(made.real_logits, fake)

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The loss by which the discriminator learns: logits of the truth and of what was made, detached."""
        return (vanilla_discriminator if self.form == "vanilla" else relativistic_discriminator)(real, fake)


def _checked(*logits: Tensor) -> list[Tensor]:
    """Of one shape, and in float32 at least."""
    shapes = [tuple(x.shape) for x in logits]
    if len(set(shapes)) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 1:
        raise ValueError(f"expected logits of one shape (N, 1, h, w), got {' and '.join(map(str, shapes))}")
    return [at_least_single(x) for x in logits]
