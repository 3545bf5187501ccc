"""What a model reads from photos that were sent: blur, noise, compression, and what their files carry."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from blindsr.errors import BlindSRError
from blindsr.server.admission import for_clients, limits_of, measure
from blindsr.server.settings import Settings
from blindsr.server.shelf import Shelf
from blindsr.server.uploads import ReceivedFile

_one_at_a_time = threading.Lock()
"""Beside what is restored there is room for one photo more."""


def inspect_photos(
    files: Sequence[ReceivedFile], model: str, shelf: Shelf, settings: Settings
) -> list[dict[str, Any]]:
    """What is read from each; a photo that cannot be read has an error instead.

    Args:
        files: The photos.
        model: One that adapts.
        shelf: The models.
        settings: What the server was told.

    Raises:
        ProblemError: One is no photo, or too large.
        BlindSRError: The model cannot be loaded.
    """
    for file in files:
        measure(file, limits_of(settings))
    with _one_at_a_time:
        return [_inspect(file, model, shelf) for file in files]


def _inspect(file: ReceivedFile, model: str, shelf: Shelf) -> dict[str, Any]:
    from blindsr.inspection.reading import Inspector, advice, saved_quality
    from blindsr.picture.decoding import open_photo
    from blindsr.picture.metadata.carrying import inventory
    from blindsr.upscaling.upscaler import Adaptation

    told: dict[str, Any] = {"name": file.name}
    try:
        with shelf.upscaler(model) as upscaler:
            with open_photo(file.path, upscaler.limits(file.path)) as photo:
                told |= {"width": photo.width, "height": photo.height}
                told["carries"] = [item.text for item in inventory(photo)]
                support = upscaler.support_of(photo)
            assert support is not None  # the model adapts
            found = Adaptation(*upscaler.engine.condition(support), upscaler.model.name)
            saved = saved_quality(file.path)
            told["saved_quality"] = None if saved is None else {"value": saved[0], "exact": saved[1]}
            if "inspect" in upscaler.model.files:
                reading = Inspector(upscaler.model).read(found.condition)
                told |= {**reading.as_dict(), "advice": advice(reading, None if saved is None else saved[0])}
    except BlindSRError as error:
        told["error"] = for_clients(str(error).replace(str(file.path), file.name))
    return told
