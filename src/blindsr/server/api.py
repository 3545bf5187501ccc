"""The HTTP API: what is asked for, and what is answered. What is done for it lives in the other modules."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Header, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from blindsr.server import described, metrics
from blindsr.server.admission import RESULT_BYTES, check_disk, measure_photos, take_mask
from blindsr.server.board import Board
from blindsr.server.downloads import MEDIA_TYPES, OTHER_TYPE, archive_response, file_response
from blindsr.server.events import tell
from blindsr.server.fields import read_job_fields, read_model
from blindsr.server.inspecting import inspect_photos
from blindsr.server.problems import MEDIA_TYPE, ProblemError, full, phrase, problem_response
from blindsr.server.settings import Settings
from blindsr.server.shelf import Shelf
from blindsr.server.store import JobRecord, Kind, PhotoRecord, QueueFullError, Store
from blindsr.server.uploads import Form, receive_form
from blindsr.server.workers import Workers
from blindsr.system.files import temporary_folder
from blindsr.version import __version__

PAGE = Path(__file__).with_name("page")

_PAGE_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}
"""Kinds of files that the page may have."""

MOST_PROFILES = 64
"""Profiles of one client."""

MOST_INSPECTED = 16
"""Photos of one inspection."""

MOST_LISTENING = 256
"""Streams of events at once, of all clients."""

MOST_ARCHIVED = 200
"""Jobs of one archive."""

_KEY = r"[!-~]{1,200}"

JobId = Annotated[str, InPath(description="Id of the job.", max_length=64)]
ProfileId = Annotated[str, InPath(description="Id of the profile.", max_length=64)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="A name for this request: sent again with it, it makes no second job.",
        max_length=200,
        pattern=f"^{_KEY}$",
    ),
]


@dataclass
class Service:
    """Everything that requests need.

    Args:
        settings: What the server was told.
        store: The jobs.
        shelf: The models.
        board: Where changes are posted.
        workers: The threads.
        metrics: What is counted.
    """

    settings: Settings
    store: Store
    shelf: Shelf
    board: Board
    workers: Workers
    metrics: metrics.Metrics
    _keys: set[tuple[str, str, str]] = field(default_factory=set)
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def key(self, kind: str, client: str, key: str | None) -> Any:  # noqa: ANN401
        """Hold a request's name, so that it is not taken in twice at once."""
        if key is None:
            yield
            return
        name = kind, client, key
        with self._mutex:
            if name in self._keys:
                raise ProblemError(
                    409, "a request of this Idempotency-Key is being taken in; wait, and ask again"
                )
            self._keys.add(name)
        try:
            yield
        finally:
            with self._mutex:
                self._keys.discard(name)


def build_app(service: Service) -> FastAPI:
    """The application, without the gate around it.

    Args:
        service: Everything that requests need.
    """
    app = FastAPI(title="blindsr", version=__version__, docs_url=None, redoc_url=None)
    app.state.service = service
    app.include_router(_jobs)
    app.include_router(_others)
    if service.settings.page:
        _add_page(app)
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_fault)
    app.openapi = _description(app, service.settings.root_path)  # type: ignore[method-assign]
    return app


_jobs = APIRouter(prefix="/v1/jobs", tags=["jobs"])
_others = APIRouter()


@_jobs.post(
    "",
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
    return await _take_in(request, "upscale", key, ("files", "mask"))


@_jobs.get("", response_model=described.JobList, summary="Your jobs", responses=described.problems(401))
def get_jobs(request: Request) -> dict[str, Any]:
    """The newest first, 100 at most."""
    service = _service(request)
    places = service.store.places()
    return {"jobs": [show_job(service, job, places) for job in service.store.jobs(_client(request))]}


@_jobs.get(
    "/{job}", response_model=described.JobShown, summary="A job", responses=described.problems(401, 404, 422)
)
def get_job(request: Request, job: JobId) -> dict[str, Any]:
    """How far it is."""
    service = _service(request)
    return show_job(service, _job(request, job), service.store.places())


@_jobs.delete(
    "/{job}",
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
    service, found = _service(request), _job(request, job)
    if found.is_over:
        service.store.remove(job)
        service.board.post(job)
        return Response(status_code=204)
    cancelled = service.store.cancel(job)
    service.board.post_all()
    return JSONResponse(show_job(service, cancelled or found), 202)


@_jobs.get(
    "/{job}/events",
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
    service, client = _service(request), _client(request)
    _job(request, job)
    if service.board.listening >= MOST_LISTENING:
        raise full("too many clients listen to events; ask for the job itself now and then", 10)

    def look() -> dict[str, Any] | None:
        found = service.store.job(job, client)
        places = service.store.places() if found is not None and found.status == "queued" else {}
        return None if found is None else show_job(service, found, places)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(tell(look, service.board, job), 200, headers, "text/event-stream")


_BYTES = {"schema": {"type": "string", "format": "binary"}}
_RESULT = {
    "description": "The file, or a part of it.",
    "content": dict.fromkeys(sorted({*MEDIA_TYPES.values(), OTHER_TYPE}), _BYTES),
}
_PROFILE = {"description": "The file, or a part of it.", "content": {"application/json": {"schema": {}}}}


@_jobs.get(
    "/{job}/files/{n}",
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
    service, found = _service(request), _job(request, job)
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


_ZIP = {
    "description": "A .zip.",
    "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
}


@_jobs.get(
    "/{job}/archive",
    summary="All results",
    response_class=Response,
    responses={200: _ZIP, **described.problems(401, 404, 409, 422)},
)
def get_archive(request: Request, job: JobId) -> Response:
    """Those of its photos that are done, once the job has ended."""
    return _archive(_service(request), [_job(request, job)], f"blindsr-{job[:8]}.zip")


@_others.get(
    "/v1/archive",
    tags=["jobs"],
    summary="All results of several jobs",
    response_class=Response,
    responses={200: _ZIP, **described.problems(401, 404, 409, 422)},
)
def get_archives(
    request: Request,
    job: Annotated[list[str], Query(min_length=1, max_length=MOST_ARCHIVED, description="Ids of the jobs.")],
) -> Response:
    """Those of their photos that are done, once all of these jobs have ended."""
    return _archive(_service(request), [_job(request, one) for one in dict.fromkeys(job)], "blindsr.zip")


@_others.post(
    "/v1/profiles",
    tags=["profiles"],
    status_code=202,
    response_model=described.ProfileShown,
    summary="Adapt to a camera's photos",
    openapi_extra=described.MODEL_FORM,
    responses=described.problems(400, 401, 409, 413, 415, 422, 429),
)
async def post_profile(request: Request, key: Key = None) -> JSONResponse:
    """Reads once what photos of one camera share; a job may then name it. It is kept until it is deleted."""
    return await _take_in(request, "profile", key, ("files",))


@_others.get(
    "/v1/profiles",
    tags=["profiles"],
    response_model=described.ProfileList,
    summary="Your profiles",
    responses=described.problems(401),
)
def get_profiles(request: Request) -> dict[str, Any]:
    """The newest first."""
    service = _service(request)
    found = service.store.jobs(_client(request), "profile")
    return {"profiles": [show_profile(service, profile) for profile in found]}


@_others.get(
    "/v1/profiles/{profile}",
    tags=["profiles"],
    response_model=described.ProfileShown,
    summary="A profile",
    responses=described.problems(401, 404, 422),
)
def get_profile(request: Request, profile: ProfileId) -> dict[str, Any]:
    """How far it is."""
    return show_profile(_service(request), _profile(request, profile))


@_others.get(
    "/v1/profiles/{profile}/file",
    tags=["profiles"],
    response_class=Response,
    summary="A profile's file",
    responses={200: _PROFILE, 206: _PROFILE, **described.problems(401, 404, 409, 416, 422)},
)
def get_profile_file(request: Request, profile: ProfileId) -> Response:
    """As `blindsr adapt` writes it, for `blindsr upscale --profile`."""
    service, found = _service(request), _profile(request, profile)
    if found.status != "done":
        raise ProblemError(409, f"the profile is {found.status}; there is no file", {"Retry-After": "2"})
    digest = found.photos[0].digest or found.digest
    path = service.store.profile_file(profile)
    return file_response(path, f"camera-{profile[:8]}.profile", digest, request.headers, "application/json")


@_others.delete(
    "/v1/profiles/{profile}",
    tags=["profiles"],
    status_code=204,
    response_class=Response,
    summary="Forget a profile",
    responses=described.problems(401, 404, 422),
)
def delete_profile(request: Request, profile: ProfileId) -> Response:
    """Jobs that were given with it go on."""
    service, found = _service(request), _profile(request, profile)
    service.store.cancel(found.id)
    service.store.remove(found.id)
    return Response(status_code=204)


@_others.post(
    "/v1/inspect",
    tags=["photos"],
    response_model=described.Inspected,
    response_model_exclude_none=True,
    summary="What the model reads from photos",
    openapi_extra=described.MODEL_FORM,
    responses=described.problems(400, 401, 413, 415, 422, 429),
)
async def post_inspect(request: Request) -> dict[str, Any]:
    """Blur, noise and compression, each with its error, and what the files carry. Nothing is kept."""
    service = _service(request)
    await to_thread.run_sync(check_disk, service.store.folder, _length(request))
    with temporary_folder(service.store.folder) as folder:
        form = await receive_form(request, folder, ("files",), MOST_INSPECTED)

        def inspect() -> dict[str, Any]:
            model = read_model(form.fields, service.shelf)
            if not form.files:
                raise ProblemError(422, "files: no photo was sent; send one or several in the field files")
            return {
                "model": model,
                "photos": inspect_photos(form.files, model, service.shelf, service.settings),
            }

        return await to_thread.run_sync(inspect)


@_others.get(
    "/v1/models",
    tags=["server"],
    response_model=described.ModelList,
    summary="The models of this server",
    responses=described.problems(401),
)
def get_models(request: Request) -> dict[str, Any]:
    """What a job may name."""
    shelf = _service(request).shelf
    loaded = shelf.loaded
    return {
        "models": [
            {
                "name": name,
                "description": card.description,
                "licence": card.licence,
                "scale": card.scale,
                "adapts": card.adaptive,
                "texture": card.texture,
                "halo": card.halo,
                "default": name == shelf.default,
                "loaded": name in loaded,
            }
            for name, card in shelf.cards.items()
        ]
    }


@_others.get("/health", tags=["server"], response_model=described.Health, summary="How the server is")
@_others.get(
    "/health/ready", tags=["server"], response_model=described.Health, summary="Whether it takes jobs"
)
def get_ready(request: Request) -> JSONResponse:
    """503 where it does not take jobs."""
    ready = _service(request).workers.alive
    return JSONResponse({"live": True, "ready": ready, "version": __version__}, 200 if ready else 503)


@_others.get("/health/live", tags=["server"], response_model=described.Health, summary="Whether it answers")
async def get_live(request: Request) -> dict[str, Any]:
    """It does."""
    return {"live": True, "ready": _service(request).workers.alive, "version": __version__}


@_others.get(
    "/metrics",
    tags=["server"],
    response_class=PlainTextResponse,
    summary="Counters, for Prometheus",
    responses=described.problems(401),
)
def get_metrics(request: Request) -> Response:
    """Exposition format 0.0.4."""
    service = _service(request)
    text = service.metrics.text(
        service.store.counts(), service.store.in_hand(), service.shelf.loaded, service.board.listening
    )
    return Response(text, media_type=metrics.MEDIA_TYPE)


async def _take_in(
    request: Request, kind: Kind, key: str | None, file_fields: tuple[str, ...]
) -> JSONResponse:
    """Photos and options, to be restored or read."""
    service, client = _service(request), _client(request)
    settings = service.settings
    await to_thread.run_sync(check_disk, service.store.folder, _length(request))
    with service.key(kind, client, key), temporary_folder(service.store.folder) as folder:
        form = await receive_form(request, folder, file_fields, settings.queue)
        job = await to_thread.run_sync(_add, service, kind, client, key, form, folder)
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


def show_job(service: Service, job: JobRecord, places: dict[str, int] | None = None) -> dict[str, Any]:
    """A job as the API shows it."""
    href = f"{service.settings.root_path}/v1/jobs/{job.id}"
    failed = next((photo.error for photo in job.photos if photo.error), None)
    return {
        "id": job.id,
        "status": job.status,
        "place": (places or {}).get(job.id, 0) if job.status == "queued" else None,
        "created": job.created,
        "ended": job.ended,
        "expires": None if job.ended is None else job.ended + service.settings.keep,
        "options": dict(job.options),
        "error": failed if job.status == "failed" else None,
        "photos": [_show_photo(photo, href) for photo in job.photos],
        "href": href,
        "events": f"{href}/events",
        "archive": f"{href}/archive",
    }


def _show_photo(photo: PhotoRecord, href: str) -> dict[str, Any]:
    done = photo.status == "done"
    told = photo.told if done else {}
    return {
        "n": photo.n,
        "name": photo.name,
        "status": photo.status,
        "error": photo.error,
        "pixels": photo.pixels,
        "result": photo.result,
        "href": f"{href}/files/{photo.n}" if done else None,
        "bytes": photo.bytes,
        "width": told.get("width"),
        "height": told.get("height"),
        "seconds": None if photo.seconds is None else round(photo.seconds, 3),
        **{kind: list(told.get(kind, ())) for kind in ("kept", "changed", "dropped", "warnings")},
    }


def show_profile(service: Service, profile: JobRecord) -> dict[str, Any]:
    """A profile as the API shows it."""
    return {
        "id": profile.id,
        "status": profile.status,
        "model": profile.options["model"],
        "created": profile.created,
        "photos": list(profile.options["photos"]),
        "read": list(profile.told.get("read", ())),
        "errors": list(profile.told.get("errors", ())),
        "distance": profile.told.get("distance"),
        "error": profile.photos[0].error,
        "href": f"{service.settings.root_path}/v1/profiles/{profile.id}",
    }


def _service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


def _client(request: Request) -> str:
    return str(request.scope["state"]["client"])


def _job(request: Request, job: str) -> JobRecord:
    found = _service(request).store.job(job, _client(request))
    if found is None:
        raise ProblemError(404, "no such job: it was never there, is another client's, or has expired")
    return found


def _profile(request: Request, profile: str) -> JobRecord:
    found = _service(request).store.job(profile, _client(request), "profile")
    if found is None:
        raise ProblemError(404, "no such profile: it was never there, is another client's, or was deleted")
    return found


def _length(request: Request) -> int:
    """What a request says of its length; the gate has bounded it."""
    told = request.headers.get("content-length", "0")
    return int(told) if told.isascii() and told.isdigit() else 0


def _add_page(app: FastAPI) -> None:
    """The page's files, each by its own path: no path of a client is looked up on the disk."""

    def serve(file: Path, kind: str) -> Callable[[], FileResponse]:
        return lambda: FileResponse(file, media_type=kind, headers={"Cache-Control": "no-cache"})

    for file in sorted(PAGE.rglob("*")):
        kind = _PAGE_TYPES.get(file.suffix)
        if kind is not None and file.is_file():
            path = "/" + file.relative_to(PAGE).as_posix()
            app.get(path, include_in_schema=False)(serve(file, kind))
            if path == "/index.html":
                app.get("/", include_in_schema=False)(serve(file, kind))


def _on_problem(request: Request, error: Exception) -> Response:
    return cast(ProblemError, error).response()


def _on_http(request: Request, error: Exception) -> Response:
    http = cast(HTTPException, error)
    headers = dict(http.headers or {})
    if http.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    detail = {404: "there is nothing at this path", 405: "this path does not take this method"}
    return problem_response(http.status_code, detail.get(http.status_code, str(http.detail)), headers)


def _methods(request: Request) -> set[str]:
    """All methods that a path takes; the framework tells those of one route."""
    description: dict[str, Any] = request.app.openapi()
    place = request.scope["bare_path"]
    found: set[str] = set()
    for path, methods in description["paths"].items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)), place):
            found |= {method.upper() for method in methods}
    return found or {"GET"}


def _on_invalid(request: Request, error: Exception) -> Response:
    first = cast(RequestValidationError, error).errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return problem_response(422, f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}")


def _on_fault(request: Request, error: Exception) -> Response:
    return problem_response(500, "a fault of the server; its log tells more")


def _description(app: FastAPI, root_path: str) -> Callable[[], dict[str, Any]]:
    """The OpenAPI description, with what FastAPI does not find out by itself."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title="blindsr", version=__version__, routes=app.routes, servers=[{"url": root_path or "/"}],
                description="Blind image super-resolution on a plain CPU: restores and enlarges photos.",
            )  # fmt: skip
            parts = schema.setdefault("components", {})
            shapes = parts.setdefault("schemas", {})
            shapes["Problem"] = described.Problem.model_json_schema()
            for name in ("HTTPValidationError", "ValidationError"):  # it is a problem, too
                shapes.pop(name, None)
            parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, methods in schema["paths"].items():
                for one in methods.values():
                    one["security"] = [{"token": []}] if path.startswith(("/v1/", "/metrics")) else []
                    _describe_problems(one)
            app.openapi_schema = schema
        return app.openapi_schema

    return describe


def _describe_problems(operation: dict[str, Any]) -> None:
    """Whatever FastAPI says of 422: here it is a problem as any other."""
    for status, response in operation["responses"].items():
        if int(status) >= 400 and MEDIA_TYPE not in response.get("content", {}):
            response["description"] = phrase(int(status))
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        elif int(status) >= 400:
            response["content"].pop("application/json", None)
