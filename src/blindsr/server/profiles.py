"""Requests about profiles of cameras."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.responses import JSONResponse, Response

from blindsr.server import described
from blindsr.server.downloads import file_response
from blindsr.server.problems import ProblemError
from blindsr.server.service import caller, service_of
from blindsr.server.shown import show_profile
from blindsr.server.store import JobRecord
from blindsr.server.taking_in import Key, take_in

ProfileId = Annotated[str, InPath(description="Id of the profile.", max_length=64)]

router = APIRouter(tags=["profiles"])

_PROFILE = {"description": "The file, or a part of it.", "content": {"application/json": {"schema": {}}}}


@router.post(
    "/v1/profiles",
    status_code=202,
    response_model=described.ProfileShown,
    summary="Adapt to a camera's photos",
    openapi_extra=described.MODEL_FORM,
    responses=described.problems(400, 401, 409, 413, 415, 422, 429),
)
async def post_profile(request: Request, key: Key = None) -> JSONResponse:
    """Reads once what photos of one camera share; a job may then name it. It is kept until it is deleted."""
    return await take_in(request, "profile", key, ("files",))


@router.get(
    "/v1/profiles",
    response_model=described.ProfileList,
    summary="Your profiles",
    responses=described.problems(401),
)
def get_profiles(request: Request) -> dict[str, Any]:
    """The newest first."""
    service = service_of(request)
    found = service.store.jobs(caller(request), "profile")
    return {"profiles": [show_profile(service, profile) for profile in found]}


@router.get(
    "/v1/profiles/{profile}",
    response_model=described.ProfileShown,
    summary="A profile",
    responses=described.problems(401, 404, 422),
)
def get_profile(request: Request, profile: ProfileId) -> dict[str, Any]:
    """How far it is."""
    return show_profile(service_of(request), profile_of(request, profile))


@router.get(
    "/v1/profiles/{profile}/file",
    response_class=Response,
    summary="A profile's file",
    responses={200: _PROFILE, 206: _PROFILE, **described.problems(401, 404, 409, 416, 422)},
)
def get_profile_file(request: Request, profile: ProfileId) -> Response:
    """As `blindsr adapt` writes it, for `blindsr upscale --profile`."""
    service, found = service_of(request), profile_of(request, profile)
    if found.status != "done":
        raise ProblemError(409, f"the profile is {found.status}; there is no file", {"Retry-After": "2"})
    digest = found.photos[0].digest or found.digest
    path = service.store.profile_file(profile)
    return file_response(path, f"camera-{profile[:8]}.profile", digest, request.headers, "application/json")


@router.delete(
    "/v1/profiles/{profile}",
    status_code=204,
    response_class=Response,
    summary="Forget a profile",
    responses=described.problems(401, 404, 422),
)
def delete_profile(request: Request, profile: ProfileId) -> Response:
    """Jobs that were given with it go on."""
    service, found = service_of(request), profile_of(request, profile)
    service.store.cancel(found.id)
    service.store.remove(found.id)
    return Response(status_code=204)


def profile_of(request: Request, profile: str) -> JobRecord:
    found = service_of(request).store.job(profile, caller(request), "profile")
    if found is None:
        raise ProblemError(404, "no such profile: it was never there, is another client's, or was deleted")
    return found
