"""Client of one API server: typed responses, classified errors, a deadline on every request."""

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
from trustplane.kube.budget import Share, share_for
from trustplane.kube.errors import (
    MAX_MESSAGE,
    RETRY_STEP,
    NotFoundError,
    OversizedError,
    RefusedAccessError,
    UnavailableError,
)
from trustplane.kube.kubeconfig import open_transport
from trustplane.kube.reach import ADDRESS_STEP, RefusedAddressError
from trustplane.kube.resource import Resource
from trustplane.kube.responses import check_response, decode_event, decode_list
from trustplane.kube.splitting import WatchEvent
from trustplane.kube.transport import Transport
from trustplane.text import clean

T = TypeVar("T")
Params = Mapping[str, str | int]

TIMEOUT = 30.0  # seconds for one request including its response
PAGE = 500  # objects in one page of a list, as in kubectl and client-go
_LISTS: Final = 4  # concurrent lists from a tenant's server
_SMALLER: Final = 8  # factor by which the next page shrinks after an oversized one
_JSON: Final = "application/json"
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "trustplane"}


class Page(NamedTuple):
    """One page of a list."""

    items: list[msgspec.Raw]
    version: str  # the list's resource version, from which a watch can continue


class Client:
    """A client of one API server, as one user.

    Every method raises classes of `kube.errors`; UnavailableError is the transient one.
    """

    def __init__(self, connections: Transport, *, timeout: float = TIMEOUT, most_kept: int | None = None) -> None:
        """Make a client.

        Args:
            connections: to the server.
            timeout: seconds for one request.
            most_kept: maximum weight of one kind's objects kept of a tenant's server; None: the server is trusted.
        """
        self.most_kept = most_kept
        self._connections = connections
        self._timeout = timeout
        self._listing = nullcontext() if most_kept is None else asyncio.Semaphore(_LISTS)

    @classmethod
    @asynccontextmanager
    async def open(cls, kubeconfig: Path | Json | None = None, *, timeout: float = TIMEOUT) -> AsyncIterator["Client"]:
        """Open a client for an operator's kubeconfig; close its connections at the end. Sends nothing yet.

        For content that a tenant may have written, such as a Secret, use `kube.access`: a kubeconfig opened here can
        run programs and read files.

        Args:
            kubeconfig: a file; its content; or None for $KUBECONFIG, ~/.kube/config, or in-cluster.
            timeout: seconds for one request.

        Raises:
            UserError: no usable kubeconfig exists.
        """
        async with open_transport(kubeconfig) as connections:
            yield cls(connections, timeout=timeout)

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._connections.server

    async def get(self, resource: Resource[T], name: str, namespace: str = "") -> T:
        """Read one object; NotFoundError if it is absent."""
        return resource.decode(await self.raw("GET", resource.path(namespace, name)))

    async def find(self, resource: Resource[T], name: str, namespace: str = "") -> T | None:
        """Read one object; None if it is absent."""
        try:
            return await self.get(resource, name, namespace)
        except NotFoundError:
            return None

    async def list(self, resource: Resource[T], namespace: str = "", *, labels: str = "", fields: str = "") -> list[T]:
        """Read all matching objects of one namespace or of all; `labels` and `fields` are selectors.

        Raises:
            OversizedError: the objects are too many to hold at once.
        """
        async with self._listing:
            pages = self.pages(resource, namespace, labels=labels, fields=fields)
            return [*await self._decode_all(pages, resource)]

    async def _decode_all(self, pages: AsyncGenerator[Page, None], resource: Resource[T]) -> Sequence[T]:
        items = []
        what = f"The list of {resource} at {self.server}"
        size, most = 0, self.most_kept or transport.LIST_BYTES
        with share_for(self.most_kept, most) as share:
            async with aclosing(pages):
                async for page in pages:
                    size += sum(self._size(item) for item in page.items)
                    if size > most:
                        raise transport.oversized_error(what, most)
                    if not share.hold(size):
                        raise transport.budget_error(what)
                    items += [resource.decode(item) for item in page.items]
        return items

    def _size(self, item: msgspec.Raw) -> int:
        return len(memoryview(item)) if self.most_kept is None else transport.weight(item)

    async def create(self, resource: Resource[T], body: Json) -> T:
        """Create an object; AlreadyExistsError if it exists."""
        body = _complete(resource, body)
        path = resource.path(body["metadata"].get("namespace", ""))
        return resource.decode(await self.raw("POST", path, body=body))

    async def apply(
        self, resource: Resource[T], body: Json, *, manager: str, subresource: str = "", force: bool = True
    ) -> T:
        """Apply server-side: own the fields of `body`, release fields of an earlier apply that it lacks.

        Args:
            resource: the kind.
            body: the fields to own, with `metadata.name` (and `namespace`). Creates the object if absent.
            manager: the field manager, one per writer.
            subresource: such as `status`; requires an existing object.
            force: take over fields of other managers; if false, ConflictError when another manager's value differs.
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
        """Patch an existing object: a dict is a JSON merge patch (RFC 7386), a list a JSON patch (RFC 6902).

        With `metadata.resourceVersion` in a merge patch, ConflictError if the object has changed since.
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
        """Request an object's deletion; an absent object is a success.

        Args:
            resource: the kind.
            name: the object's name.
            namespace: its namespace, empty for cluster-scoped kinds.
            uid: delete only the object with this UID: ConflictError if a successor has taken its name.
            propagation: Background, Foreground or Orphan: the fate of the objects it owns.
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
        most: int = transport.RESPONSE_BYTES,
    ) -> bytes:
        """Send any request and return the response's body.

        Args:
            method: such as GET.
            path: from the root of the server, such as `/version`.
            body: sent as JSON regardless of the content type.
            content_type: of the body.
            params: the query.
            most: maximum bytes of the response; OversizedError if it is larger.
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
            data = await transport.read_body(response, most, share)
        self._check_weight(data, f"The response to {method} {path} at {self.server}")
        return data

    def _check_weight(self, data: bytes, what: str) -> None:
        if self.most_kept is not None and transport.weight(data) > transport.TENANT_WEIGHT:
            raise transport.oversized_error(what, transport.TENANT_WEIGHT)

    async def pages(
        self, resource: Resource[Any], namespace: str = "", *, labels: str = "", fields: str = "", limit: int = PAGE
    ) -> AsyncGenerator[Page, None]:
        """Read a list page by page at one resource version; use smaller pages for large objects.

        Raises:
            GoneError: the list's version was compacted during a slow read: start again.
            OversizedError: a page with a single object is still too large.
        """
        params: dict[str, str | int] = _selectors(labels, fields) | {"limit": limit}
        most = transport.PAGE_BYTES if self.most_kept is None else transport.TENANT_PAGE_BYTES
        size, count, has_next = 0, limit, True
        with share_for(self.most_kept, most) as share:
            while has_next:
                params["limit"] = count
                try:
                    data = await self._raw("GET", resource.path(namespace), None, _JSON, params, most, share)
                except OversizedError:
                    if count <= 1:
                        raise
                    limit = count = max(1, count // _SMALLER)
                    continue
                size += len(data)
                if self.most_kept is not None and size > transport.TENANT_LIST_BYTES:
                    raise transport.oversized_error(
                        f"The list of {resource} at {self.server}", transport.TENANT_LIST_BYTES
                    )
                content = decode_list(data, resource, is_last_resort=count <= 1)
                if content is None:
                    count = max(1, count // _SMALLER)
                    continue
                count = min(limit, count * _SMALLER)  # one complex object must not shrink all later pages
                params["continue"], has_next = content.next, bool(content.next)
                page = Page(content.items, content.version)
                del data, content  # free this page before the next one arrives
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
        """Yield the changes after `version` until the server ends the watch.

        Args:
            resource: the kind.
            namespace: one namespace, or empty for all.
            version: the resource version of a list, or the last version received by a watch.
            labels: a label selector.
            fields: a field selector.
            seconds: duration after which the server ends the watch.
            idle: seconds of silence after which the server is considered dead; more than `seconds`.

        Raises:
            GoneError: `version` is too old: list again.
            OversizedError: an object is too large.
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
                aclosing(transport.read_lines(response, most, share)) as lines,
            ):
                async for line in lines:
                    self._check_weight(line, f"An event of the watch of {resource} at {self.server}")
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
                await check_response(response, what)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(cause := getattr(error, "os_error", error), RefusedAddressError):
                raise RefusedAccessError(f"{what} was not sent", why=str(cause), next_step=ADDRESS_STEP) from error
            raise UnavailableError(
                f"{what} got no response",
                why=clean(str(error), MAX_MESSAGE) or f"the server was silent for {_patience(timeout)} s",
                next_step=RETRY_STEP,
            ) from error


def _patience(timeout: aiohttp.ClientTimeout) -> str:
    return f"{timeout.sock_read or timeout.total:g}"


def _complete(resource: Resource[Any], body: Json) -> Json:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}


def _selectors(labels: str, fields: str) -> dict[str, str | int]:
    chosen = {"labelSelector": labels, "fieldSelector": fields}
    return {name: selector for name, selector in chosen.items() if selector}
