"""The fields of a form that asks for a job: what they may be, and what they mean for each photo."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from blindsr.errors import InputError
from blindsr.models.card import Model
from blindsr.server.problems import ProblemError
from blindsr.server.shelf import Shelf

if TYPE_CHECKING:
    from blindsr.picture.sizing import OutputSize

MOST_SCALE = 32.0

_SIDE = Annotated[int, Field(ge=1, le=1 << 20)]

SIZES = ("scale", "width", "height", "fit")


class _Fields(BaseModel):
    """What every form has in common: no field that is not known, and a model."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str | None = Field(None, max_length=200, description="Name of a model; GET /v1/models lists them.")


class JobFields(_Fields):
    """Options of `blindsr upscale`."""

    scale: float | None = Field(
        None,
        gt=0,
        le=MOST_SCALE,
        allow_inf_nan=False,
        description="Times as large; else as the model makes it.",
    )
    width: _SIDE | None = Field(None, description="Width of the results in pixels; the height follows.")
    height: _SIDE | None = Field(None, description="Height of the results in pixels; the width follows.")
    fit: str | None = Field(
        None,
        pattern=r"^[1-9][0-9]{0,6}x[1-9][0-9]{0,6}$",
        description="Box that the results fit, such as 3840x2160.",
    )
    texture: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Texture that the model adds, 0 to 1; else its own.",
    )
    format: Literal["png", "jpeg", "webp", "tiff", "avif", "jxl", "bmp", "gif"] | None = Field(
        None, description="Of the results; else each photo's own."
    )
    quality: int | None = Field(None, ge=1, le=100, description="Of JPEG, WebP, AVIF and JPEG XL.")
    profile: str | None = Field(None, pattern="^[0-9a-f]{32}$", description="Id of a profile of a camera.")
    first: bool | None = Field(
        None, description="Before the other photos of yours that wait, as a preview is; never before others'."
    )


class ModelFields(_Fields):
    """The model alone."""


def read_job_fields(
    fields: Mapping[str, str], shelf: Shelf, profile_model: str | None = None
) -> dict[str, Any]:
    """A job's options, checked against the model that they are for.

    Args:
        fields: As they were sent; empty ones count as left out.
        shelf: The models.
        profile_model: The model of the profile that is named, if one is.

    Raises:
        ProblemError: One cannot be used (422).
    """
    options = _read(JobFields, fields)
    sizes = [name for name in SIZES if name in options]
    if len(sizes) > 1:
        raise ProblemError(422, f"{' and '.join(sizes)}: give only one of {', '.join(SIZES)}")
    name = _known(options.get("model") or profile_model or shelf.default, shelf)
    card = shelf.cards[name]
    if "texture" in options and card.texture is None:
        raise ProblemError(
            422, f"texture: model {name} has none to turn up or down; leave it out, or take another model"
        )
    if profile_model is not None and profile_model != name:
        raise ProblemError(
            422, f"profile: it is for model {profile_model}, not for {name}; leave the model out"
        )
    return {**options, "model": name}


def read_model(fields: Mapping[str, str], shelf: Shelf) -> str:
    """The model that photos are to be read by: one that adapts.

    Raises:
        ProblemError: There is no such model, or it does not adapt (422).
    """
    name = _read(ModelFields, fields).get("model") or shelf.adapting
    if name is None:
        raise ProblemError(422, "model: none of this server's models adapts to photos")
    if not shelf.cards[_known(name, shelf)].adaptive:
        raise ProblemError(
            422, f"model: {name} does not adapt to photos; {shelf.adapting or 'none here'} does"
        )
    return name


def result_pixels(options: Mapping[str, Any], card: Model, width: int, height: int) -> int:
    """Pixels of a result; of a photo that may lie on its side, the more of both.

    Raises:
        ProblemError: More than any result may have (422).
    """
    from blindsr.picture.sizing import OutputSize

    size = output_size(options) or OutputSize(scale=card.scale)
    try:
        sizes = [size.of(height, width), size.of(width, height)]
    except InputError as error:
        raise ProblemError(422, str(error)) from error
    return max(rows * columns for rows, columns in sizes)


def output_size(options: Mapping[str, Any]) -> OutputSize | None:
    """The size that a job's options ask for; None for the model's own."""
    from blindsr.batch.asked import read_size

    return read_size(**{name: options.get(name) for name in SIZES})[0]


def _known(name: str, shelf: Shelf) -> str:
    if name not in shelf.cards:
        shown = re.sub(r"[^ -~]", "?", name)[:60]
        raise ProblemError(
            422, f"model {shown!r}: there is none of this name; there are {', '.join(shelf.cards)}"
        )
    return name


def _read(kind: type[_Fields], fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields that were given, each of its kind."""
    try:
        read = kind.model_validate({name: value for name, value in fields.items() if value != ""})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = re.sub(r"[^ -~]", "?", ".".join(map(str, first["loc"])))[:60]
        if first["type"] == "extra_forbidden":
            raise ProblemError(
                422, f"{where}: no such field; there are {', '.join(kind.model_fields)}"
            ) from error
        raise ProblemError(422, f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}") from error
    return read.model_dump(exclude_none=True)
