"""The two ends of a call on the simulated desk: reading its body, giving its answer.

Bodies are bounded, answers carry the content type of their format, and a refusal has the body the
standard gives it. Never decides what the answer is.
"""

from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from simulators.desk.intake import BODY_BYTES_MAX
from simulators.desk.wire import Format, Reason, Refusal, refusal_record, written


async def read_body(request: Request) -> bytes | Refusal:
    """The whole body; one that is too long is read no further than the limit."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES_MAX:
                return Refusal(Reason.TOO_LARGE, f"body is over {BODY_BYTES_MAX} bytes")
    except ClientDisconnect:
        return Refusal(Reason.INVALID, "body ended early")
    return body


def answered(
    root: str,
    record: Any,
    fmt: Format,
    status: int = 200,
    headers: dict[str, str] | None = None,
    *,
    name: str | None = None,
    attributes: dict[str, str] | None = None,
) -> Response:
    """`name` and `attributes`: of the outermost XML element, where it is not as in the standard."""
    content = written(root, record, fmt, name, **(attributes or {}))
    return Response(content, status, {"content-type": fmt.content_type, **(headers or {})})


def refused(refusals: list[Refusal], fmt: Format) -> Response:
    """The status is that of the first refusal."""
    return answered("errors", refusal_record(refusals), fmt, refusals[0].reason.status)
