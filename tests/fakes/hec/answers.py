"""What HEC answers, code by code."""

from aiohttp import web

_TEXTS = {
    0: (200, "Success"), 1: (403, "Token disabled"), 2: (401, "Token is required"), 3: (401, "Invalid authorization"),
    4: (403, "Invalid token"), 5: (400, "No data"), 6: (400, "Invalid data format"), 7: (400, "Incorrect index"),
    8: (500, "Internal server error"), 9: (503, "Server is busy"), 10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"), 12: (400, "Event field is required"), 13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"), 15: (400, "Error in handling indexed fields"),
    16: (400, "Query string authorization is not enabled"), 17: (200, "HEC is healthy"),
    18: (503, "HEC is unhealthy, queues are full"), 19: (503, "HEC is unhealthy, ack service unavailable"),
    20: (503, "HEC is unhealthy, queues are full, ack service unavailable"), 21: (400, "Invalid token"),
    22: (400, "Token disabled"), 23: (503, "Server is shutting down"),
    24: (200, "HEC queue is approaching its capacity limit"), 25: (200, "HEC ACK is approaching its capacity limit"),
    26: (429, "HEC queue is at capacity and cannot process any more requests"),
    27: (429, "HEC ACK channel is at capacity and cannot process any more requests"),
    28: (400, "Data channel is missing"),
}  # fmt: skip


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """An answer other than success; ``event`` is the number it names."""

    def __init__(self, code: int, event: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.event = event


def said(code: int, event: object = None, ack_id: object = None, status: int | None = None) -> web.Response:
    """Return an answer in HEC's words."""
    usual, text = _TEXTS[code]
    document: dict[str, object] = {"text": text, "code": code}
    if event is not None:
        document["invalid-event-number"] = event
    if ack_id is not None:
        document["ackId"] = ack_id
    return web.json_response(document, status=status or usual)
