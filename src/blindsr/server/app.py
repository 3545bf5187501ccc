"""The application: every request's way to its answer, the page's files, and how mistakes are told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

from blindsr.server import api, described, jobs, profiles
from blindsr.server.problems import MEDIA_TYPE, ProblemError, phrase, problem_response
from blindsr.server.service import Service
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


def build_app(service: Service) -> FastAPI:
    """The application, without the gate around it.

    Args:
        service: Everything that requests need.
    """
    app = FastAPI(title="blindsr", version=__version__, docs_url=None, redoc_url=None)
    app.state.service = service
    for module in (jobs, profiles, api):
        app.include_router(module.router)
    if service.settings.page:
        _add_page(app)
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_fault)
    app.openapi = _description(app, service.settings.root_path)  # type: ignore[method-assign]
    return app


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
