from asyncio import sslproto
from typing import Any

from trustplane.kube.tls_abort import make_abort_safe


def test_a_closed_connection_can_be_aborted() -> None:
    make_abort_safe()
    kind: Any = sslproto._SSLProtocolTransport
    gone = kind.__new__(kind)
    gone._ssl_protocol, gone._closed = None, True
    gone.abort()


def test_an_open_connection_is_aborted_once() -> None:
    make_abort_safe()
    kind: Any = sslproto._SSLProtocolTransport
    aborted: list[object] = []

    class Protocol:
        def _abort(self, error: object = None) -> None:
            aborted.append(error)

    connection = kind.__new__(kind)
    connection._ssl_protocol, connection._closed = Protocol(), True
    connection.abort()
    assert len(aborted) == 1
