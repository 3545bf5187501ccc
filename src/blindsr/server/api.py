"""Requests that make no job: what is read from photos, the models, and how the server is."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from blindsr.server import described, metrics
from blindsr.server.admission import check_disk
from blindsr.server.fields import read_model
from blindsr.server.inspecting import inspect_photos
from blindsr.server.problems import ProblemError
from blindsr.server.service import service_of
from blindsr.server.taking_in import length_of
from blindsr.server.uploads import receive_form
from blindsr.system.files import temporary_folder
from blindsr.version import __version__

MOST_INSPECTED = 16
"""Photos of one inspection."""

router = APIRouter()


@router.post(
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
    service = service_of(request)
    await to_thread.run_sync(check_disk, service.store.folder, length_of(request))
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


@router.get(
    "/v1/models",
    tags=["server"],
    response_model=described.ModelList,
    summary="The models of this server",
    responses=described.problems(401),
)
def get_models(request: Request) -> dict[str, Any]:
    """What a job may name."""
    shelf = service_of(request).shelf
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


@router.get("/health", tags=["server"], response_model=described.Health, summary="How the server is")
@router.get(
    "/health/ready", tags=["server"], response_model=described.Health, summary="Whether it takes jobs"
)
def get_ready(request: Request) -> JSONResponse:
    """503 where it does not take jobs, or nobody is there to do them."""
    ready = service_of(request).workers.alive
    return JSONResponse({"live": True, "ready": ready, "version": __version__}, 200 if ready else 503)


@router.get("/health/live", tags=["server"], response_model=described.Health, summary="Whether it answers")
async def get_live(request: Request) -> dict[str, Any]:
    """It does."""
    return {"live": True, "ready": service_of(request).workers.alive, "version": __version__}


@router.get(
    "/metrics",
    tags=["server"],
    response_class=PlainTextResponse,
    summary="Counters, for Prometheus",
    responses=described.problems(401),
)
def get_metrics(request: Request) -> Response:
    """Exposition format 0.0.4."""
    service = service_of(request)
    text = service.metrics.text(
        service.store.counts(),
        service.store.in_hand(),
        service.shelf.loaded,
        service.board.listening,
        service.workers.count,
    )
    return Response(text, media_type=metrics.MEDIA_TYPE)
