"""The HTTP side: which requests are Store Transactions, who may make them, how fast their bodies come, and the answers.

Source: DICOM PS3.18 10.5.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from http import HTTPStatus

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dicom_node.receive.part10 import StoreRequest
from dicom_node.receive.settings import ReceiverSettings
from dicom_node.receive.storing import StoreHandler
from dicom_node.receive.web.access import has_token, is_admitted
from dicom_node.receive.web.multipart import reader_for
from dicom_node.receive.web.refusals import RequestRefused
from dicom_node.receive.web.response import content, media_type, status_of
from dicom_node.receive.web.settings import WebReceiverSettings
from dicom_node.receive.web.transaction import UID, StoreTransaction

log = structlog.get_logger()

GATHERED_BYTES = 1 << 18
"""The body goes to the thread that writes it in pieces of this size, or of what came in this time."""
GATHERED_S = 5.0
RETRY_AFTER_S = 30


class StoreService:
    """The origin server of the Store Transaction; lives in one event loop."""

    def __init__(self, settings: ReceiverSettings, web: WebReceiverSettings, store: StoreHandler) -> None:
        self._settings = settings
        self._web = web
        self._store = store
        self._running = 0

    def application(self) -> Starlette:
        routes = [Route(path, self.answer, methods=["POST"]) for path in ("/studies", "/studies/{study}")]
        application = Starlette(routes=routes)
        application.router.redirect_slashes = False
        return application

    async def answer(self, request: Request) -> Response:
        """Store what a request brings."""
        try:
            self._admit(request)
        except RequestRefused as refused:
            log.warning("web request refused", peer=_peer(request)[0], status=refused.status.value, reason=refused.words)
            return _refusal(refused)
        self._running += 1
        try:
            return await self._store_parts(request)
        except ClientDisconnect:
            log.warning("web client has gone in the middle of a request", peer=_peer(request)[0])
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        except Exception:  # the outcome of a request is settled here: no traceback leaves the node
            log.exception("web request failed")
            return PlainTextResponse("internal error\n", HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            self._running -= 1

    def _admit(self, request: Request) -> None:
        """Before anything of the body is read.

        Raises:
            RequestRefused: the client may not store, or not now.
        """
        if not is_admitted(_peer(request)[0], self._settings.peers):
            raise RequestRefused(HTTPStatus.FORBIDDEN, "this address may not store here")
        if not has_token(request.headers.get("authorization", ""), self._web.token):
            raise RequestRefused(HTTPStatus.UNAUTHORIZED, "a bearer token is needed")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise RequestRefused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body without Content-Encoding")
        if not UID.fullmatch(request.path_params.get("study", "0")):
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "the study of the request is no UID")
        if self._running >= self._web.max_requests:
            raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at the same time")

    async def _store_parts(self, request: Request) -> Response:
        """One thread serves the request: it parses, writes files, and does so in turn, so that the event loop does neither."""
        transaction = StoreTransaction(
            self._store, self._settings, _origin(request), request.path_params.get("study", ""), self._web.max_parts
        )
        loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1, "web-request")
        try:
            refused = await self._read(request, transaction, thread)
        finally:
            discarded = loop.run_in_executor(thread, transaction.discard)  # also where this task is cancelled
            thread.shutdown(wait=False)
            await asyncio.shield(discarded)
        status = refused.status if refused else status_of(transaction.outcomes)
        stored, failed = transaction.stored_count, transaction.refused_count
        reason = {"reason": refused.words} if refused else {}
        said = log.warning if refused or failed else log.info
        said("web request ended", peer=_peer(request)[0], status=status.value, stored=stored, refused=failed, **reason)
        if refused and not transaction.outcomes:
            return _refusal(refused)
        wanted = media_type(request.headers.get("accept", ""))
        body = await asyncio.to_thread(content, transaction.outcomes, wanted)
        return Response(body, status, _headers(refused), wanted)

    async def _read(self, request: Request, transaction: StoreTransaction, thread: Executor) -> RequestRefused | None:
        """Read the body to its end. Why it could not be, or None."""
        loop, body = asyncio.get_running_loop(), request.stream()
        gathered, size, since = list[bytes](), 0, loop.time()
        try:
            reader = reader_for(request.headers.get("content-type", ""), transaction)
            while (chunk := await self._next(body)) is not None:
                if transaction.is_overdue:
                    raise RequestRefused(HTTPStatus.REQUEST_TIMEOUT, "an instance takes too long to arrive")
                gathered.append(chunk)
                size += len(chunk)
                if size >= GATHERED_BYTES or loop.time() - since > GATHERED_S:
                    await loop.run_in_executor(thread, reader.feed, b"".join(gathered))
                    gathered, size, since = [], 0, loop.time()
            await loop.run_in_executor(thread, reader.feed, b"".join(gathered))
            await loop.run_in_executor(thread, reader.finish)
        except RequestRefused as refused:
            return refused
        return None if transaction.outcomes else RequestRefused(HTTPStatus.BAD_REQUEST, "the body has no part")

    async def _next(self, body: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._web.idle_s):
                return await anext(body, None)
        except TimeoutError:
            raise RequestRefused(HTTPStatus.REQUEST_TIMEOUT, "nothing came for too long") from None


def _peer(request: Request) -> tuple[str, int]:
    return (request.client.host, request.client.port) if request.client else ("", 0)


def _origin(request: Request) -> StoreRequest:
    """What is known of the sender of a request. The AE title in a file is that of its writer, and is not taken for it."""
    host, port = _peer(request)
    local_host, local_port = request.scope.get("server") or ("", 0)
    addresses = {"peer_host": host, "local_host": local_host, "scheme": request.url.scheme}
    return StoreRequest("", "", "", peer_port=port, local_port=local_port or 0, **addresses)


def _refusal(refused: RequestRefused) -> Response:
    return PlainTextResponse(f"{refused.words}\n", refused.status, _headers(refused))


def _headers(refused: RequestRefused | None) -> dict[str, str]:
    if refused is None:
        return {}
    headers = {"Warning": f'299 dicom-node "{refused.words}"'}
    if refused.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if refused.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers
