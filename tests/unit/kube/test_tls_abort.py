from asyncio import sslproto
from typing import Any

from trustplane.kube.tls_abort import make_safe


def test_a_connection_that_is_gone_can_be_aborted() -> None:
    make_safe()
    kind: Any = sslproto._SSLProtocolTransport
    gone = kind.__new__(kind)
    gone._ssl_protocol, gone._closed = None, True
    gone.abort()


def test_one_that_is_there_is_aborted_once() -> None:
    make_safe()
    kind: Any = sslproto._SSLProtocolTransport
    aborted: list[object] = []

    class Protocol:
        def _abort(self, error: object = None) -> None:
            aborted.append(error)

    there = kind.__new__(kind)
    there._ssl_protocol, there._closed = Protocol(), True
    there.abort()
    assert len(aborted) == 1
