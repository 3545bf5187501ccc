"""What every request passes: is it meant for us, from whom, how much, how fast; what answers say."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import time
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from blindsr.server.metrics import Metrics
from blindsr.server.problems import ProblemError
from blindsr.server.settings import Settings, is_loopback
from blindsr.system.memory import show_bytes

OPEN_PATHS = ("/v1/", "/metrics")
"""Beginnings of the paths that need a token; the others tell nothing."""

UPLOADS = ("/v1/jobs", "/v1/profiles", "/v1/inspect")
"""Paths that take files."""

SMALL_BODY = 1 << 16
"""Most bytes that any other path takes."""

SLOWEST = 2048
"""Bytes a second that a client must send on average, once its patience is used up once."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
}

NOBODY = "everybody"
"""The client where no token is asked for."""


class Gate:
    """ASGI middleware around all of the application.

    Args:
        app: What is behind it.
        settings: What the server was told.
        metrics: What is counted.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._clients = {_digest(token): client_of(token) for token in settings.tokens}
        self._metrics_token = None if settings.metrics_token is None else _digest(settings.metrics_token)
        self._hosts = {host.lower().rstrip(".") for host in settings.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(scope, message)
                self._metrics.request_ended(
                    _method(scope), _route(scope), status, time.perf_counter() - start
                )
            # One who does not take what he asked for must not hold it for ever.
            with anyio.fail_after(self._settings.patience):
                await send(message)

        root = self._settings.root_path
        bare = bool(root) and scope["path"] == root
        try:
            self._under_root(scope)
            self._check(scope)
            patient = _Patient(receive, self._limit(scope), self._settings.patience)
            patient.check_length(Headers(scope=scope))
        except ProblemError as problem:
            await problem.response()(scope, receive, send_on)
            return
        if bare:
            # Without the last slash, what the page asks for would be looked for beside its folder.
            await RedirectResponse(f"{root}/", 308)(scope, receive, send_on)
            return
        try:
            await self._app(scope, patient, send_on)
        except TimeoutError:  # he takes nothing, so nothing can be answered any more
            scope.get("state", {}).get("abort", lambda: None)()

    def _under_root(self, scope: Scope) -> None:
        """Paths as a proxy sends them on: with what it puts before them, or already without."""
        root, path = self._settings.root_path, scope["path"]
        if root and (path == root or path.startswith(f"{root}/")):
            path = path[len(root) :] or "/"
        scope["bare_path"] = path
        scope["root_path"] = root
        scope["path"] = root + path

    def _check(self, scope: Scope) -> None:
        """Refuse what is not meant for this server, or comes from somebody without the right to it."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(host, scope):
            shown = re.sub(r"[^ -~]", "?", host)[:60]
            raise ProblemError(
                421, f"host {shown!r}: this server has another name; --allow-host gives it this one"
            )
        self._check_origin(headers, host)
        path = scope["bare_path"]
        if path == "/metrics" and self._metrics_token is not None:
            if not hmac.compare_digest(_digest(_bearer(headers)), self._metrics_token):
                raise _unauthorised()
        elif path.startswith(OPEN_PATHS):
            scope.setdefault("state", {})["client"] = self._client(headers)

    def _client(self, headers: Headers) -> str:
        """Who this is. Every token is compared, and wholly: no time tells how much was right."""
        if not self._clients:
            return NOBODY
        given, found = _digest(_bearer(headers)), None
        for digest, client in self._clients.items():
            if hmac.compare_digest(given, digest):
                found = client
        if found is None:
            raise _unauthorised()
        return found

    def _is_own(self, host: str, scope: Scope) -> bool:
        """Whether a Host header names this server: else a foreign page may have led a browser here."""
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?", host)
        if match is None:
            return False
        name = match[1].strip("[]").lower().rstrip(".")
        if name in self._hosts or name == self._settings.host.lower():
            return True
        bound = self._settings.host
        if is_loopback(name):
            return is_loopback(bound) or _is_any(bound)
        # No name leads here but by a name: an address in digits cannot be rebound.
        return _is_any(bound) and _is_address(name)

    def _check_origin(self, headers: Headers, host: str) -> None:
        """Refuse what another site's page sends: browsers do that without asking for leave (no CORS)."""
        origin = headers.get("origin")
        if origin is not None:
            place = urlsplit(origin).netloc.lower() if origin != "null" else ""
            if place != host.lower() and place.rpartition("@")[2].partition(":")[0] not in self._hosts:
                raise ProblemError(403, "a page of another site has sent this; open the server's own page")
        elif (
            headers.get("sec-fetch-site") in ("cross-site", "same-site")
            and headers.get("sec-fetch-mode") != "navigate"
        ):
            raise ProblemError(403, "a page of another site has asked for this; open the server's own page")

    def _limit(self, scope: Scope) -> int:
        takes_files = scope["method"] == "POST" and scope["bare_path"] in UPLOADS
        return self._settings.max_upload if takes_files else SMALL_BODY

    def _complete(self, scope: Scope, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if scope["bare_path"].startswith(OPEN_PATHS):
            headers.setdefault("Cache-Control", "no-store")


class _Patient:
    """Receives a request's body: no more than a limit, and not for ever."""

    def __init__(self, receive: Receive, limit: int, patience: float) -> None:
        self._receive, self._limit, self._patience = receive, limit, patience
        self._taken = 0
        self._waited = 0.0
        self._whole = False

    def check_length(self, headers: Headers) -> None:
        """Refuse a body that says it is too long before any of it is read."""
        told = headers.get("content-length", "")
        if told.isascii() and told.isdigit() and (len(told) > 18 or int(told) > self._limit):
            raise self._too_large()

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        start = time.monotonic()
        try:
            with anyio.fail_after(self._patience):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        self._waited += time.monotonic() - start
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._taken > self._limit:
                raise self._too_large()
            if not self._whole and self._waited > self._patience and self._taken < SLOWEST * self._waited:
                raise self._too_slow()
        return message

    def _too_large(self) -> ProblemError:
        return ProblemError(
            413,
            f"the request is larger than {show_bytes(self._limit)}; send fewer photos at once",
            {"Connection": "close"},
        )

    def _too_slow(self) -> ProblemError:
        return ProblemError(408, "the request came too slowly; send it again", {"Connection": "close"})


def client_of(token: str) -> str:
    """What a client is called in the database: it tells nobody the token."""
    return hashlib.sha256(f"client of {token}".encode()).hexdigest()[:16]


def _bearer(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _unauthorised() -> ProblemError:
    return ProblemError(
        401,
        "no token, or a wrong one: send the header Authorization: Bearer TOKEN",
        {"WWW-Authenticate": "Bearer"},
    )


def _is_any(host: str) -> bool:
    """Whether a server listens at all addresses of its machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH") else "other"


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "none"))
