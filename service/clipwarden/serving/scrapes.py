"""A registry of metrics in, the page that Prometheus reads out: nothing else is served beside it."""

from collections.abc import Mapping
from http import HTTPStatus

from prometheus_client import CollectorRegistry, make_wsgi_app

from clipwarden.serving.http import Page, Request, Response

METRICS = "/metrics"


def metrics_pages(registry: CollectorRegistry) -> Mapping[str, Page]:
    """Serve a registry at /metrics, in the form and the compression that is asked for.

    Args:
        registry: Read in the thread that serves; its gauges read numbers of the event loop, and wait for nothing there.
    """
    app = make_wsgi_app(registry)  # the library's own negotiation; it reads no more of its environment than this

    def page(request: Request) -> Response:
        headers: dict[str, str] = {}

        def start(_status: str, named: list[tuple[str, str]]) -> None:
            headers.update(named)

        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": METRICS,
            "QUERY_STRING": request.query,
            "HTTP_ACCEPT": request.headers.get("accept", ""),
            "HTTP_ACCEPT_ENCODING": request.headers.get("accept-encoding", ""),
        }
        try:
            body = b"".join(app(environ, start))
        except (TypeError, ValueError):  # the library's, at versions that are none
            body = b"".join(app({**environ, "HTTP_ACCEPT": ""}, start))
        return Response(status=HTTPStatus.OK, body=body, headers=headers)

    return {METRICS: page}
