"""What went wrong with a request, as RFC 9457 problem details: one line that says what, where, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"

_LONGEST = 500  # characters of a detail


class ProblemError(Exception):
    """A request that cannot be answered as it was meant.

    Args:
        status: The HTTP status.
        detail: One line for a person: what was wrong, where, what to do.
        headers: Sent with it.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})

    def response(self) -> JSONResponse:
        """The answer."""
        return problem_response(self.status, self.detail, self.headers)


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer that tells a problem, on one line."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": phrase(status),
        "status": status,
        "detail": " ".join(detail.split())[:_LONGEST],
    }
    return JSONResponse(content, status, headers, media_type=MEDIA_TYPE)


def phrase(status: int) -> str:
    """What HTTP calls a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def full(detail: str, seconds: float) -> ProblemError:
    """There is no room for a request; the client is told when to come again."""
    return ProblemError(429, detail, {"Retry-After": str(max(1, round(seconds)))})
