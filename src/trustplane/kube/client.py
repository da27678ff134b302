"""Requests to one API server: typed answers, our errors, a deadline on each."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec

from trustplane.api.meta import Json, Metadata
from trustplane.kube.errors import NotFoundError, Status, UnavailableError, UnreadableError, error_of, status_of
from trustplane.kube.kubeconfig import connection
from trustplane.kube.resource import Resource

T = TypeVar("T")
Params = Mapping[str, str | int]

TIMEOUT = 30.0  # seconds for one request, its answer included
PAGE = 500  # objects in one page of a list, as kubectl and client-go ask for


class Page(NamedTuple):
    """One page of a list."""

    items: list[msgspec.Raw]
    version: str  # the list's resource version, from which a watch can go on


class WatchEvent(msgspec.Struct):
    """One line of a watch."""

    type: str  # ADDED, MODIFIED, DELETED, BOOKMARK or ERROR
    object: msgspec.Raw


class _ListMetadata(Metadata):
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None = None


class Client:
    """One API server, as one user.

    Several clients, to several servers, can be open at once. Every method raises a class of `kube.errors`;
    UnavailableError is the transient one.
    """

    def __init__(self, transport: Any, *, timeout: float = TIMEOUT) -> None:
        self._transport = transport
        self._timeout = timeout

    @classmethod
    @asynccontextmanager
    async def open(cls, kubeconfig: Path | Json | None = None, *, timeout: float = TIMEOUT) -> AsyncIterator["Client"]:
        """Open a client, and close its connections at the end. Nothing is sent yet.

        Args:
            kubeconfig: a file; its content; or None for $KUBECONFIG, ~/.kube/config, or in-cluster.
            timeout: seconds for one request.

        Raises:
            UserError: there is no usable kubeconfig.
        """
        async with connection(kubeconfig) as transport:
            yield cls(transport, timeout=timeout)

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._transport.configuration.host)

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
        """Read all objects that match, of one namespace or of all; `labels` and `fields` are selectors."""
        pages = [page async for page in self.pages(resource, namespace, labels=labels, fields=fields)]
        return [resource.decode(item) for page in pages for item in page.items]

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
        content_type: str = "application/json",
        params: Params | None = None,
    ) -> bytes:
        """Send any request and return the answer's body.

        Args:
            method: such as GET.
            path: from the root of the server, such as `/version`.
            body: what is sent as JSON, whatever the content type.
            content_type: of the body.
            params: the query.
        """
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        async with self._request(method, path, body, content_type, params, timeout) as response:
            data: bytes = await response.read()
            return data

    async def pages(
        self, resource: Resource[Any], namespace: str = "", *, labels: str = "", fields: str = "", limit: int = PAGE
    ) -> AsyncGenerator[Page, None]:
        """Read a list page by page, all at one resource version.

        Raises:
            GoneError: the reader was so slow that the list's version was compacted away: start again.
        """
        params: dict[str, str | int] = _selectors(labels, fields) | {"limit": limit}
        while True:
            answer = _decode_list(await self.raw("GET", resource.path(namespace), params=params), resource)
            yield Page(answer.items or [], answer.metadata.resource_version)
            if not answer.metadata.continue_:
                return
            params["continue"] = answer.metadata.continue_

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
            UnavailableError: the connection broke, or was silent for too long.
        """
        params = _selectors(labels, fields) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": seconds,
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=idle)
        path = resource.path(namespace)
        async with self._request("GET", path, None, "application/json", params, timeout) as response:
            while line := await response.content.readline():
                yield _decode_event(line, resource, self.server)

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
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": "trustplane"}
        for setting in (await self._transport.configuration.auth_settings()).values():
            headers[setting["key"]] = setting["value"]
        url = f"{self.server}{path}" + (f"?{urlencode(params)}" if params else "")
        try:
            answer = await self._transport.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=timeout
            )
            async with answer.response as response:
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise error_of(status_of(response.status, await response.read()), what)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(
                f"{what} had no answer",
                why=str(error) or f"nothing was received for {timeout.total or timeout.sock_read:g} s",
                next_step="It is tried again by itself; look at the API server if this lasts",
            ) from error


def _complete(resource: Resource[Any], body: Json) -> Json:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}


def _selectors(labels: str, fields: str) -> dict[str, str | int]:
    chosen = {"labelSelector": labels, "fieldSelector": fields}
    return {name: selector for name, selector in chosen.items() if selector}


def _decode_list(data: bytes, resource: Resource[Any]) -> _List:
    try:
        return msgspec.json.decode(data, type=_List)
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"The list of {resource} cannot be read", why=str(error)) from error


def _decode_event(line: bytes, resource: Resource[Any], server: str) -> WatchEvent:
    try:
        event = msgspec.json.decode(line, type=WatchEvent)
    except msgspec.MsgspecError as error:
        # A connection that breaks within a line ends it early.
        raise UnavailableError(f"The watch of {resource} at {server} broke off", why=str(error)) from error
    if event.type == "ERROR":
        raise error_of(msgspec.json.decode(event.object, type=Status), f"The watch of {resource} at {server}")
    return event
