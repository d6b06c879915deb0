"""The application: pages and files by their addresses, errors as pages."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from streaming.cli.serving.bins import Bins
from streaming.cli.serving.catalog import Catalog
from streaming.cli.serving.media import kind_of, playable, thumbnail
from streaming.cli.serving.pages import Pages
from streaming.cli.serving.plans import Plans
from streaming.cli.serving.plots import line
from streaming.cli.serving.run import Run
from streaming.core.errors import ObjectNotFoundError, StreamingError
from streaming.core.imports import optional_import
from streaming.loader.watching.report import show_rate, show_time
from streaming.writing.bulk.report import show_bytes

__all__ = ["make_application"]

_HERE = os.path.dirname(__file__)
_MOST_MEDIA_BYTES = 256 << 20
_ALONE = "default-src 'none'; media-src 'self'; sandbox"


def make_application(
    catalog: Catalog, plans: Plans, run: Run, decode: Callable[[Sequence[int]], str] | None = None
) -> Starlette:
    """Return the application. It trusts whoever asks: put a ``Guard`` before it.

    Args:
        catalog: What is shown.
        plans: Makes the page of plans.
        run: Makes the page of a run.
        decode: From token ids to text, if a tokenizer was given.
    """
    templates = _templates()
    templates.globals.update(has_data=catalog.place is not None, has_run=run.folder is not None)
    pages, bins = Pages(catalog, decode), Bins(catalog, decode)

    def page(name: str, make: Callable[[Request], dict[str, Any]]) -> Route:
        async def answer(request: Request) -> Response:
            def lay_out() -> str:
                return templates.get_template(f"{name}.html").render(
                    page=name, query=request.query_params, **make(request)
                )

            return HTMLResponse(await run_in_threadpool(lay_out))

        return Route("/" if name == "home" else f"/{name}", answer, methods=["GET"])

    async def first(request: Request) -> Response:
        del request
        return RedirectResponse("/run" if run.folder is not None else "/plan")

    async def value(request: Request) -> Response:
        return await run_in_threadpool(_value, pages, request)

    def failed(request: Request, error: Exception) -> Response:
        status = (
            error.status_code
            if isinstance(error, HTTPException)
            else 404
            if isinstance(error, ObjectNotFoundError)
            else 400
            if isinstance(error, StreamingError)
            else 500  # a flaw of this program's, whose traceback goes to the terminal
        )
        text = error.detail if isinstance(error, HTTPException) else str(error) or repr(error)
        page = templates.get_template("error.html")
        return HTMLResponse(page.render(page="error", text=text, status=status, query=request.query_params), status)

    return Starlette(
        routes=[
            *([Route("/", first, methods=["GET"])] if catalog.place is None else []),
            *(page(name, getattr(pages, name)) for name in ("home", "dataset", "samples", "sample", "column", "order")),
            page("bin", bins.bin),
            page("plan", plans.plan),
            page("run", run.run),
            Route("/value", value, methods=["GET"]),
            Mount("/static", StaticFiles(directory=os.path.join(_HERE, "static"))),
        ],
        exception_handlers={StreamingError: failed, HTTPException: failed, Exception: failed},
    )


def _templates() -> Any:
    jinja2 = optional_import("jinja2", "serve", "Serving pages")
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.join(_HERE, "templates")), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    found.filters.update(bytes=show_bytes, line=line, number="{:,}".format, time=show_time, rate=show_rate)
    return found


def _value(pages: Pages, request: Request) -> Response:
    """Return an image as a PNG made here, a sound or video as it is, for the browser to play."""
    opened = pages.opened(request)
    values = pages.values(request)
    name = request.query_params.get("c", "")
    if name not in values:
        raise ObjectNotFoundError(f"{opened.source.name} has no column {name!r} that is shown.")
    value = values[name]
    kind = kind_of(value)
    headers = {"content-security-policy": _ALONE}
    if kind == "image":
        side = 1200 if request.query_params.get("size") == "large" else 160
        try:
            return Response(thumbnail(value, side), media_type="image/png", headers=headers)
        except ValueError as error:
            raise HTTPException(415, str(error)) from error
    media = playable(value) if isinstance(value, bytes) else None
    if media is None or len(value) > _MOST_MEDIA_BYTES:
        raise HTTPException(415, "This value is not one that is shown by itself.")
    return Response(bytes(value), media_type=media, headers=headers)
