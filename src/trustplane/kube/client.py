"""Requests to one API server: typed answers, our errors, a deadline on each."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from trustplane.api.meta import Json
from trustplane.kube import transport
from trustplane.kube.answers import check, decode_event, decode_list
from trustplane.kube.budget import Share, share_for
from trustplane.kube.errors import (
    MAX_MESSAGE,
    NotFoundError,
    OversizedError,
    RefusedAccessError,
    UnavailableError,
)
from trustplane.kube.kubeconfig import connection
from trustplane.kube.reach import ADDRESS_STEP, RefusedAddressError
from trustplane.kube.resource import Resource
from trustplane.kube.splitting import WatchEvent
from trustplane.kube.transport import Transport
from trustplane.text import clean

T = TypeVar("T")
Params = Mapping[str, str | int]

TIMEOUT = 30.0  # seconds for one request, its answer included
PAGE = 500  # objects in one page of a list, as kubectl and client-go ask for
_LISTS: Final = 4  # of a stranger's server that are read at a time
_SMALLER: Final = 8  # times fewer objects in a page after one that was too large
_JSON: Final = "application/json"
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "trustplane"}


class Page(NamedTuple):
    """One page of a list."""

    items: list[msgspec.Raw]
    version: str  # the list's resource version, from which a watch can go on


class Client:
    """One API server, as one user.

    Several clients, to several servers, can be open at once. Every method raises a class of `kube.errors`;
    UnavailableError is the transient one.
    """

    def __init__(self, connections: Transport, *, timeout: float = TIMEOUT, most_kept: int | None = None) -> None:
        """Make a client.

        Args:
            connections: to the server.
            timeout: seconds for one request.
            most_kept: the weight of all objects of one kind that may be kept of a stranger's server; None: it is ours.
        """
        self.most_kept = most_kept
        self._connections = connections
        self._timeout = timeout
        self._listing = nullcontext() if most_kept is None else asyncio.Semaphore(_LISTS)

    @classmethod
    @asynccontextmanager
    async def open(cls, kubeconfig: Path | Json | None = None, *, timeout: float = TIMEOUT) -> AsyncIterator["Client"]:
        """Open a client for an operator's kubeconfig, and close its connections at the end. Nothing is sent yet.

        What a stranger may have written, such as a Secret's content, is for `kube.access` alone: a kubeconfig that is
        opened here can run programs and name files.

        Args:
            kubeconfig: a file; its content; or None for $KUBECONFIG, ~/.kube/config, or in-cluster.
            timeout: seconds for one request.

        Raises:
            UserError: there is no usable kubeconfig.
        """
        async with connection(kubeconfig) as connections:
            yield cls(connections, timeout=timeout)

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._connections.server

    async def get(self, resource: Resource[T], name: str, namespace: str = "") -> T:
        """Read one object; NotFoundError where it is absent."""
        return resource.decode(await self.raw("GET", resource.path(namespace, name)))

    async def find(self, resource: Resource[T], name: str, namespace: str = "") -> T | None:
        """Read one object, or return None where it is absent."""
        try:
            return await self.get(resource, name, namespace)
        except NotFoundError:
            return None

    async def list(self, resource: Resource[T], namespace: str = "", *, labels: str = "", fields: str = "") -> list[T]:
        """Read all objects that match, of one namespace or of all; `labels` and `fields` are selectors.

        Raises:
            OversizedError: there are too many to be held at once.
        """
        async with self._listing:
            pages = self.pages(resource, namespace, labels=labels, fields=fields)
            return [*await self._held(pages, resource)]

    async def _held(self, pages: AsyncGenerator[Page, None], resource: Resource[T]) -> Sequence[T]:
        items = []
        what = f"The list of {resource} at {self.server}"
        size, most = 0, self.most_kept or transport.LIST_BYTES
        with share_for(self.most_kept, most) as share:
            async with aclosing(pages):
                async for page in pages:
                    size += sum(self._size(item) for item in page.items)
                    if size > most:
                        raise transport.oversized(what, most)
                    if not share.hold(size):
                        raise transport.crowded(what)
                    items += [resource.decode(item) for item in page.items]
        return items

    def _size(self, item: msgspec.Raw) -> int:
        return len(memoryview(item)) if self.most_kept is None else transport.weight(item)

    async def create(self, resource: Resource[T], body: Json) -> T:
        """Create an object that must not exist yet: AlreadyExistsError where it does."""
        body = _complete(resource, body)
        path = resource.path(body["metadata"].get("namespace", ""))
        return resource.decode(await self.raw("POST", path, body=body))

    async def apply(
        self, resource: Resource[T], body: Json, *, manager: str, subresource: str = "", force: bool = True
    ) -> T:
        """Apply on the server: own the fields of `body`, give up those of an earlier apply that it lacks.

        Args:
            resource: the kind.
            body: the fields to own; `metadata.name` (and `namespace`) say which object. Created where absent.
            manager: the field manager, one for each writer.
            subresource: such as `status`; the object must exist then.
            force: take fields from other managers; else ConflictError where another one set a different value.
        """
        body = _complete(resource, body)
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"], subresource)
        params = {"fieldManager": manager, "force": str(force).lower()}
        data = await self.raw("PATCH", path, body=body, content_type="application/apply-patch+yaml", params=params)
        return resource.decode(data)

    async def patch(
        self, resource: Resource[T], name: str, namespace: str, body: Json | Sequence[Json], *, subresource: str = ""
    ) -> T:
        """Patch an object that exists: a dict is a JSON merge patch (RFC 7386), a list a JSON patch (RFC 6902).

        With `metadata.resourceVersion` in a merge patch, ConflictError where the object has changed since.
        """
        content_type = "application/merge-patch+json" if isinstance(body, dict) else "application/json-patch+json"
        path = resource.path(namespace, name, subresource)
        return resource.decode(await self.raw("PATCH", path, body=body, content_type=content_type))

    async def delete(
        self,
        resource: Resource[T],
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        propagation: str = "Background",
    ) -> None:
        """Ask for an object's deletion; one that is absent already is a success.

        Args:
            resource: the kind.
            name: the object's name.
            namespace: its namespace, empty for cluster-scoped kinds.
            uid: delete this very object only: ConflictError where another one has taken its name.
            propagation: Background, Foreground or Orphan: what becomes of the objects that it owns.
        """
        options: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self.raw("DELETE", resource.path(namespace, name), body=options)
        except NotFoundError:
            return

    async def raw(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = _JSON,
        params: Params | None = None,
        most: int = transport.ANSWER_BYTES,
    ) -> bytes:
        """Send any request and return the answer's body.

        Args:
            method: such as GET.
            path: from the root of the server, such as `/version`.
            body: what is sent as JSON, whatever the content type.
            content_type: of the body.
            params: the query.
            most: bytes of the answer; OversizedError where there are more.
        """
        with share_for(self.most_kept, most) as share:
            return await self._raw(method, path, body, content_type, params, most, share)

    async def _raw(
        self,
        method: str,
        path: str,
        body: object,
        content_type: str,
        params: Params | None,
        most: int,
        share: Share,
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        async with self._request(method, path, body, content_type, params, timeout) as response:
            data = await transport.read(response, most, share)
        self._check_weight(data, f"{method} {path} at {self.server}")
        return data

    def _check_weight(self, data: bytes, what: str) -> None:
        if self.most_kept is not None and transport.weight(data) > transport.STRANGERS_WEIGHT:
            raise transport.oversized(what, transport.STRANGERS_WEIGHT)

    async def pages(
        self, resource: Resource[Any], namespace: str = "", *, labels: str = "", fields: str = "", limit: int = PAGE
    ) -> AsyncGenerator[Page, None]:
        """Read a list page by page, all at one resource version; where objects are large, in smaller pages.

        Raises:
            GoneError: the reader was so slow that the list's version was compacted away: start again.
            OversizedError: even a page of one object is too large.
        """
        params: dict[str, str | int] = _selectors(labels, fields) | {"limit": limit}
        most = transport.PAGE_BYTES if self.most_kept is None else transport.STRANGERS_PAGE_BYTES
        size, asked, following = 0, limit, True
        with share_for(self.most_kept, most) as share:
            while following:
                params["limit"] = asked
                try:
                    data = await self._raw("GET", resource.path(namespace), None, _JSON, params, most, share)
                except OversizedError:
                    if asked <= 1:
                        raise
                    limit = asked = max(1, asked // _SMALLER)
                    continue
                size += len(data)
                if self.most_kept is not None and size > transport.STRANGERS_PAGES_BYTES:
                    raise transport.oversized(
                        f"The list of {resource} at {self.server}", transport.STRANGERS_PAGES_BYTES
                    )
                answer = decode_list(data, resource, is_last_resort=asked <= 1)
                if answer is None:
                    asked = max(1, asked // _SMALLER)
                    continue
                asked = min(limit, asked * _SMALLER)  # an object of much structure makes the pages after it no smaller
                params["continue"], following = answer.next, bool(answer.next)
                page = Page(answer.items, answer.version)
                del data, answer  # a page that was read is not kept until the next one is there
                yield page
                del page

    async def watch(
        self,
        resource: Resource[Any],
        namespace: str = "",
        *,
        version: str,
        labels: str = "",
        fields: str = "",
        seconds: int = 60,
        idle: float = 90.0,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Read what changes after `version`, until the server ends the watch.

        Args:
            resource: the kind.
            namespace: one namespace, or empty for all.
            version: the resource version of a list, or the last one seen in a watch.
            labels: a label selector.
            fields: a field selector.
            seconds: after which the server ends the watch.
            idle: seconds of silence after which the server is held to be dead; more than `seconds`.

        Raises:
            GoneError: `version` is too old: list again.
            OversizedError: an object is too large to be read.
            UnavailableError: the connection broke, was silent for too long, or did not end.
        """
        params = _selectors(labels, fields) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": seconds,
        }
        timeout = aiohttp.ClientTimeout(total=seconds + idle, sock_connect=self._timeout, sock_read=idle)
        path, most = resource.path(namespace), transport.LINE_BYTES
        with share_for(self.most_kept, most) as share:
            async with (
                self._request("GET", path, None, _JSON, params, timeout) as response,
                aclosing(transport.lines(response, most, share)) as lines,
            ):
                async for line in lines:
                    self._check_weight(line, f"The watch of {resource} at {self.server}")
                    yield decode_event(line, resource, self.server)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        body: object,
        content_type: str,
        params: Params | None,
        timeout: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        what = f"{method} {path} at {self.server}"
        headers = {**_HEADERS, "Content-Type": content_type, **await self._connections.credentials()}
        url = URL(f"{self.server}{path}" + (f"?{urlencode(params)}" if params else ""), encoded=True)
        data = None if body is None else json.dumps(body)
        try:
            async with self._connections.session.request(
                method,
                url,
                data=data,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                **self._connections.options,
            ) as response:
                await check(response, what)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(cause := getattr(error, "os_error", error), RefusedAddressError):
                raise RefusedAccessError(f"{what} is not asked", why=str(cause), next_step=ADDRESS_STEP) from error
            raise UnavailableError(
                f"{what} had no answer",
                why=clean(str(error), MAX_MESSAGE) or f"nothing was received for {_patience(timeout)} s",
                next_step="It is tried again by itself; look at the API server if this lasts",
            ) from error


def _patience(timeout: aiohttp.ClientTimeout) -> str:
    return f"{timeout.sock_read or timeout.total:g}"


def _complete(resource: Resource[Any], body: Json) -> Json:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}


def _selectors(labels: str, fields: str) -> dict[str, str | int]:
    chosen = {"labelSelector": labels, "fieldSelector": fields}
    return {name: selector for name, selector in chosen.items() if selector}
