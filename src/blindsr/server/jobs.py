"""Requests about jobs: sent, asked for, followed, fetched, cancelled."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.responses import JSONResponse, Response, StreamingResponse

from blindsr.server import described
from blindsr.server.downloads import MEDIA_TYPES, OTHER_TYPE, archive_response, file_response
from blindsr.server.events import tell
from blindsr.server.problems import ProblemError, full
from blindsr.server.service import Service, caller, service_of
from blindsr.server.shown import show_job
from blindsr.server.store import JobRecord
from blindsr.server.taking_in import Key, take_in

MOST_LISTENING = 256
"""Streams of events at once, of all clients."""

MOST_ARCHIVED = 200
"""Jobs of one archive."""

JobId = Annotated[str, InPath(description="Id of the job.", max_length=64)]

router = APIRouter(tags=["jobs"])

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_RESULT = {
    "description": "The file, or a part of it.",
    "content": dict.fromkeys(sorted({*MEDIA_TYPES.values(), OTHER_TYPE}), _BYTES),
}
_ZIP = {
    "description": "A .zip.",
    "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
}


@router.post(
    "/v1/jobs",
    status_code=202,
    response_model=described.JobShown,
    summary="Restore and enlarge photos",
    openapi_extra=described.JOB_FORM,
    responses={
        **described.problems(400, 401, 409, 413, 415, 422, 429),
        202: {"headers": {"Location": {"description": "The job.", "schema": {"type": "string"}}}},
    },
)
async def post_job(request: Request, key: Key = None) -> JSONResponse:
    """Takes in photos and options, and answers at once; what becomes of them the job tells."""
    return await take_in(request, "upscale", key, ("files", "mask"))


@router.get(
    "/v1/jobs", response_model=described.JobList, summary="Your jobs", responses=described.problems(401)
)
def get_jobs(request: Request) -> JSONResponse:
    """The newest first, 100 at most."""
    service = service_of(request)
    places = service.store.places()
    # Shown as they are: to have FastAPI check them first would take longer than everything else.
    return JSONResponse(
        {"jobs": [show_job(service, job, places) for job in service.store.jobs(caller(request))]}
    )


@router.get(
    "/v1/jobs/{job}",
    response_model=described.JobShown,
    summary="A job",
    responses=described.problems(401, 404, 422),
)
def get_job(request: Request, job: JobId) -> JSONResponse:
    """How far it is."""
    service = service_of(request)
    return JSONResponse(show_job(service, job_of(request, job), service.store.places()))


@router.delete(
    "/v1/jobs/{job}",
    summary="Cancel a job, or forget it",
    responses={
        202: {"model": described.JobShown, "description": "It is cancelled."},
        204: {"description": "It had ended; it and its files are gone."},
        **described.problems(401, 404, 422),
    },
    status_code=202,
    response_model=None,
)
def delete_job(request: Request, job: JobId) -> Response:
    """A job that waits or runs is cancelled, at the next tile; of one that has ended all is deleted."""
    service, found = service_of(request), job_of(request, job)
    if found.is_over:
        service.store.remove(job)
        service.board.post(job)
        return Response(status_code=204)
    cancelled = service.store.cancel(job)
    service.board.post_all()
    return JSONResponse(show_job(service, cancelled or found), 202)


@router.get(
    "/v1/jobs/{job}/events",
    summary="What becomes of a job",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: queued (with place), running, tile (done of total), photo, "
            "and at the end done, failed or cancelled, with the job.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **described.problems(401, 404, 422, 429),
    },
)
def get_events(request: Request, job: JobId) -> Response:
    """A stream that ends with the job."""
    service, client = service_of(request), caller(request)
    job_of(request, job)
    if service.board.listening >= MOST_LISTENING:
        raise full("too many clients listen to events; ask for the job itself now and then", 10)

    def look() -> dict[str, Any] | None:
        found = service.store.job(job, client)
        places = service.store.places() if found is not None and found.status == "queued" else {}
        return None if found is None else show_job(service, found, places)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(tell(look, service.board, job), 200, headers, "text/event-stream")


@router.get(
    "/v1/jobs/{job}/files/{n}",
    summary="A result",
    response_class=Response,
    responses={
        200: _RESULT,
        206: _RESULT,
        304: {"description": "As you have it."},
        **described.problems(401, 404, 409, 416, 422),
    },
)
def get_file(
    request: Request,
    job: JobId,
    n: Annotated[int, InPath(ge=0, lt=1 << 31, description="Number of the photo.")],
) -> Response:
    """Takes Range, If-Range and If-None-Match."""
    service, found = service_of(request), job_of(request, job)
    if n >= len(found.photos):
        raise ProblemError(404, f"the job has {len(found.photos)} photos, from 0; there is no {n}")
    photo = found.photos[n]
    if photo.status in ("failed", "cancelled"):
        raise ProblemError(404, photo.error or f"{photo.name}: was cancelled, so there is no result")
    if photo.status != "done":
        raise ProblemError(
            409, f"{photo.name}: is {photo.status}; wait until it is done", {"Retry-After": "2"}
        )
    path = service.store.result_file(job, photo)
    return file_response(path, photo.result, photo.digest or "", request.headers)


@router.get(
    "/v1/jobs/{job}/archive",
    summary="All results",
    response_class=Response,
    responses={200: _ZIP, **described.problems(401, 404, 409, 422)},
)
def get_archive(request: Request, job: JobId) -> Response:
    """Those of its photos that are done, once the job has ended."""
    return _archive(service_of(request), [job_of(request, job)], f"blindsr-{job[:8]}.zip")


@router.get(
    "/v1/archive",
    summary="All results of several jobs",
    response_class=Response,
    responses={200: _ZIP, **described.problems(401, 404, 409, 422)},
)
def get_archives(
    request: Request,
    job: Annotated[list[str], Query(min_length=1, max_length=MOST_ARCHIVED, description="Ids of the jobs.")],
) -> Response:
    """Those of their photos that are done, once all of these jobs have ended."""
    return _archive(service_of(request), [job_of(request, one) for one in dict.fromkeys(job)], "blindsr.zip")


def _archive(service: Service, jobs: list[JobRecord], name: str) -> Response:
    """The results of jobs that have ended, in a .zip."""
    for job in jobs:
        if not job.is_over:
            raise ProblemError(
                409, f"job {job.id} is {job.status}; wait until it has ended", {"Retry-After": "2"}
            )
    files = [
        (photo.result, service.store.result_file(job.id, photo))
        for job in jobs
        for photo in job.photos
        if photo.status == "done"
    ]
    if not files:
        raise ProblemError(404, "none of the photos is done, so there is nothing to fetch")
    return archive_response(files, name)


def job_of(request: Request, job: str) -> JobRecord:
    found = service_of(request).store.job(job, caller(request))
    if found is None:
        raise ProblemError(404, "no such job: it was never there, is another client's, or has expired")
    return found
