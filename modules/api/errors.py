"""Every error as an HTTP reply, in A1111's shape: `{"error", "detail", "body", "errors"}`."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from modules.core.errors import (
    BadInput,
    Busy,
    DownloadFailed,
    EaselError,
    ModelError,
    NotFound,
    OutOfSpace,
)

log = logging.getLogger(__name__)

STATUS: tuple[tuple[type[EaselError], int], ...] = (
    (NotFound, 404),
    (BadInput, 422),
    (ModelError, 422),
    (Busy, 503),
    (OutOfSpace, 507),
    (DownloadFailed, 502),
)
"""Status by kind of error; the first row that fits counts, 500 without one."""


def envelope(status: int, error: str, detail: str, headers: dict[str, str] | None = None) -> Any:
    """A1111's error reply; `errors` repeats the message, where older clients look for it."""
    content = {"error": error, "detail": detail, "body": "", "errors": detail}
    return JSONResponse(content, status, headers)


def error_reply(error: Exception) -> Any:
    """The reply to an error that nothing handled; the traceback goes to the log only."""
    name = type(error).__name__
    if isinstance(error, EaselError):
        status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
        return envelope(status, name, str(error))
    log.error("A request failed", exc_info=error)
    return envelope(500, name, f"{name}: {error}" if str(error) else name)


def add_error_handlers(server: FastAPI) -> None:
    """Answer our errors, refusals and failed validation; 404 and 405 stay FastAPI's own."""

    async def answer_easel(request: Request, error: Exception) -> Any:
        return error_reply(error)

    async def answer_http(request: Request, error: Exception) -> Any:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers) if error.headers else None
        return envelope(error.status_code, "HTTPException", str(error.detail), headers)

    async def answer_invalid(request: Request, error: Exception) -> Any:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"detail": _complaints(request, error)}, 422)

    server.add_exception_handler(EaselError, answer_easel)
    server.add_exception_handler(HTTPException, answer_http)
    server.add_exception_handler(RequestValidationError, answer_invalid)


def _complaints(request: Request, error: RequestValidationError) -> list[dict[str, Any]]:
    """Place, message and kind of each; never the input, which may be huge or secret."""
    if isinstance(error.body, bytes):
        kind = request.headers.get("content-type") or "none"
        message = f"Content-Type is {kind}; the body must be JSON, sent as application/json"
        return [{"loc": ["body"], "msg": message, "type": "content_type"}]
    return [
        {"loc": list(one["loc"]), "msg": _message(one), "type": one["type"]}
        for one in error.errors()
    ]


def _message(complaint: Any) -> str:
    reason = (complaint.get("ctx") or {}).get("error")
    if complaint["type"] == "json_invalid" and reason:
        return f"{complaint['msg']}: {reason}"
    return str(complaint["msg"])
