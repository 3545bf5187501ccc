"""Jobs and profiles as the API shows them."""

from __future__ import annotations

from typing import Any

from blindsr.server.service import Service
from blindsr.server.store import JobRecord, PhotoRecord


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
