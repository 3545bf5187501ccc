"""What the API answers, as its description tells it (OpenAPI): shapes of the JSON, and examples."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from blindsr.server.fields import JobFields, ModelFields
from blindsr.server.problems import MEDIA_TYPE, phrase

Status = Literal["queued", "running", "done", "failed", "cancelled"]

_AN_ID = "3f2c9a1b8d7e4f60a1b2c3d4e5f60718"


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["texture: input should be less than or equal to 1"])


class PhotoShown(BaseModel):
    """A photo of a job."""

    n: int = Field(description="Its number in the job, from 0.")
    name: str = Field(examples=["holiday.jpg"])
    status: Status
    error: str | None = Field(description="Why it failed, on one line.")
    pixels: int = Field(description="How many it has.")
    result: str | None = Field(description="Name of its result.", examples=["holiday_x4.jpg"])
    href: str | None = Field(description="Where the result is, once it is done.")
    bytes: int | None = Field(description="Size of the result's file.")
    width: int | None
    height: int | None
    seconds: float | None
    kept: list[str] = Field(description="What the result has of what the photo carried.")
    changed: list[str]
    dropped: list[str]
    warnings: list[str]


class JobShown(BaseModel):
    """A job."""

    id: str = Field(examples=[_AN_ID])
    status: Status = Field(description="done if any photo is done, failed if none is.")
    place: int | None = Field(description="Photos that come before its first one; null once it has begun.")
    created: float = Field(description="Seconds since 1970.")
    ended: float | None
    expires: float | None = Field(description="When it will be forgotten.")
    options: dict[str, Any]
    error: str | None = Field(description="Of a failed job, the first photo's error.")
    photos: list[PhotoShown]
    href: str
    events: str
    archive: str


class JobList(BaseModel):
    """A client's jobs, the newest first, 100 at most."""

    jobs: list[JobShown]


class ProfileShown(BaseModel):
    """A profile of a camera."""

    id: str = Field(examples=[_AN_ID])
    status: Status
    model: str
    created: float
    photos: list[str] = Field(description="Names of the photos it was asked of.")
    read: list[str] = Field(description="Those that could be read.")
    errors: list[str] = Field(description="Why others could not.")
    distance: float | None = Field(
        description="How far the photos' conditions lie from the profile, on average."
    )
    error: str | None
    href: str


class ProfileList(BaseModel):
    """A client's profiles, the newest first, 100 at most."""

    profiles: list[ProfileShown]


class PhotoInspected(BaseModel):
    """What the model reads from a photo, and what its file carries."""

    model_config = ConfigDict(extra="allow")

    name: str
    error: str | None = None
    width: int | None = None
    height: int | None = None
    blur: dict[str, Any] | None = Field(None, description="Standard deviation, pixels of the result.")
    noise: dict[str, Any] | None = Field(None, description="Standard deviation, levels of 255.")
    jpeg: dict[str, Any] | None = None
    advice: list[str] = []
    carries: list[str] = []


class Inspected(BaseModel):
    """Photos, inspected."""

    model: str
    photos: list[PhotoInspected]


class ModelShown(BaseModel):
    """A model."""

    model_config = ConfigDict(protected_namespaces=())

    name: str = Field(examples=["cria-x4-compact"])
    description: str
    licence: str
    scale: int = Field(description="What it enlarges by.")
    adapts: bool = Field(description="Whether it adapts to photos, and takes profiles.")
    texture: float | None = Field(description="Its default; null where there is none to turn up or down.")
    halo: int = Field(description="Pixels around a part of a photo that have a say in its result.")
    default: bool
    loaded: bool


class ModelList(BaseModel):
    """The models of this server."""

    models: list[ModelShown]


class Health(BaseModel):
    """How the server is."""

    live: bool
    ready: bool = Field(description="Whether it takes jobs.")
    version: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What may go wrong with a request, for its description."""
    always = (403, 408, 421) if statuses else ()
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, *always}):
        found[status] = {"description": phrase(status), "content": content}
        if status == 429:
            wait = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
            found[status]["headers"] = {"Retry-After": wait}
    return found


_MASK = {
    "type": "string",
    "format": "binary",
    "description": "For one photo: a gray picture; where white, the texture asked for, where black, none.",
}


def form_of(kind: type[BaseModel], example: dict[str, Any], **files: dict[str, Any]) -> dict[str, Any]:
    """The description of a form with photos, and maybe further files."""
    schema = kind.model_json_schema()
    # A form has no null: what is not given is left out.
    properties = {name: _given(one) for name, one in schema["properties"].items()}
    photos = {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "format": "binary"},
        "description": "One or several photos.",
    }
    content = {
        "schema": {
            "type": "object",
            "required": ["files"],
            "additionalProperties": False,
            "properties": {"files": photos, **files, **properties},
        },
        "example": {"files": ["(the bytes of holiday.jpg)"], **example},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": content}}}


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    more = {"description": schema["description"]} if "description" in schema else {}
    return {**(kinds[0] if len(kinds) == 1 else schema), **more}


JOB_FORM = form_of(
    JobFields,
    {"model": "cria-x4-compact", "scale": 2.5, "texture": 0.5, "format": "webp", "quality": 85},
    mask=_MASK,
)
MODEL_FORM = form_of(ModelFields, {"model": "cmdsr-x4"})
