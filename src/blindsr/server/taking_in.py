"""What is sent becomes a job: received on the disk, measured, checked, and put into the store."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Header, Request
from fastapi.responses import JSONResponse

from blindsr.server.admission import RESULT_BYTES, check_disk, measure_photos, take_mask
from blindsr.server.fields import read_job_fields, read_model
from blindsr.server.problems import ProblemError, full
from blindsr.server.service import Service, caller, service_of
from blindsr.server.shown import show_job, show_profile
from blindsr.server.store import JobRecord, Kind, PhotoRecord, QueueFullError
from blindsr.server.uploads import Form, receive_form
from blindsr.system.files import temporary_folder

MOST_PROFILES = 64
"""Profiles of one client."""

_KEY = r"[!-~]{1,200}"

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="A name for this request: sent again with it, it makes no second job.",
        max_length=200,
        pattern=f"^{_KEY}$",
    ),
]


async def take_in(
    request: Request, kind: Kind, key: str | None, file_fields: tuple[str, ...]
) -> JSONResponse:
    """Photos and options, to be restored or read."""
    service, client = service_of(request), caller(request)
    settings = service.settings
    await to_thread.run_sync(check_disk, service.store.folder, length_of(request))
    with service.key(kind, client, key), temporary_folder(service.store.folder) as folder:
        form = await receive_form(request, folder, file_fields, settings.queue)
        work = partial(_answer, service, kind, client, key, form, folder)
        return await to_thread.run_sync(work, limiter=service.in_turn)


def _answer(
    service: Service, kind: Kind, client: str, key: str | None, form: Form, folder: Path
) -> JSONResponse:
    """Take in what was sent, and show it."""
    job = _add(service, kind, client, key, form, folder)
    service.workers.wake()
    shown = (
        show_job(service, job, service.store.places()) if kind == "upscale" else show_profile(service, job)
    )
    return JSONResponse(shown, 202, {"Location": shown["href"]})


def _add(service: Service, kind: Kind, client: str, key: str | None, form: Form, folder: Path) -> JobRecord:
    """What was sent, as a job in the store."""
    store, digest = service.store, form.digest
    if key is not None and (earlier := store.of_key(kind, client, key)) is not None:
        if earlier.digest != digest:
            raise ProblemError(422, "this Idempotency-Key was used for another request; give another key")
        return earlier
    options, photos = (_read_job if kind == "upscale" else _read_profile)(service, client, form, folder)
    _, results = store.in_hand()
    check_disk(store.folder, RESULT_BYTES * (results + sum(photo.result_pixels for photo in photos)))
    for n, file in enumerate(form.of("files")):
        file.path.rename(folder / f"{n}.photo")
    try:
        return store.add(kind, client, options, photos, folder, digest, key)
    except QueueFullError as error:
        raise full(str(error), 10) from error


def _read_job(
    service: Service, client: str, form: Form, folder: Path
) -> tuple[dict[str, Any], list[PhotoRecord]]:
    """A job's options and photos."""
    store, profile = service.store, None
    named = form.fields.get("profile")
    if named:
        profile = store.job(named, client, "profile")
        if profile is None or profile.status != "done":
            raise ProblemError(
                422, "profile: there is none of this id that is done; GET /v1/profiles lists them"
            )
    options = read_job_fields(
        form.fields, service.shelf, None if profile is None else profile.options["model"]
    )
    card = service.shelf.cards[options["model"]]
    photos = measure_photos(form.of("files"), service.settings, options, card)
    if form.of("mask"):
        options["mask"] = True
        take_mask(form, card, folder / "mask")
    if profile is not None:  # the job has its own: the profile may be deleted meanwhile
        (folder / "profile").write_bytes(store.profile_file(profile.id).read_bytes())
    return options, photos


def _read_profile(
    service: Service, client: str, form: Form, folder: Path
) -> tuple[dict[str, Any], list[PhotoRecord]]:
    """A profile's options, and all its photos as one piece of work."""
    model = read_model(form.fields, service.shelf)
    if len(service.store.jobs(client, "profile")) >= MOST_PROFILES:
        raise full(f"you have {MOST_PROFILES} profiles, which is as many as may be; delete some", 60)
    files = form.of("files")
    measured = measure_photos(files, service.settings, {}, service.shelf.cards[model])
    pixels = sum(photo.pixels for photo in measured)
    return {"model": model, "photos": [file.name for file in files]}, [
        PhotoRecord(0, "profile", pixels, 0, "")
    ]


def length_of(request: Request) -> int:
    """What a request says of its length; the gate has bounded it."""
    told = request.headers.get("content-length", "0")
    return int(told) if told.isascii() and told.isdigit() else 0
