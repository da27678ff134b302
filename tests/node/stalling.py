"""A registry that makes images of their names, and stalls where a test wants it to. It runs on the node.

    python3 stalling.py PORT

While `/run/stall/<stage>-<name>` exists, requests for that image wait; stages are `manifest` and `blob`. The registry
creates `/run/stall/asked-<stage>-<name>` at a request. Requests for images `slow-*` take 0.1 s each. Plain HTTP.
"""

import hashlib
import io
import json
import re
import sys
import tarfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GATES = Path("/run/stall")
OCI = "application/vnd.oci.image."
_PATH = re.compile(r"/v2/(?P<name>[^/]+)/(?P<kind>manifest|blob)s/(?P<what>[^/]+)")


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def image(name: str) -> tuple[bytes, dict[str, bytes]]:
    """Return the manifest, and blobs by digest: a configuration, and a layer of one file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("name")
        entry.size = len(name)
        tar.addfile(entry, io.BytesIO(name.encode()))
    layer = stream.getvalue()
    rootfs = {"type": "layers", "diff_ids": [digest(layer)]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    parts = [
        {"mediaType": f"{OCI}{kind}", "digest": digest(data), "size": len(data)}
        for kind, data in (("config.v1+json", config), ("layer.v1.tar", layer))
    ]
    manifest = {"schemaVersion": 2, "mediaType": f"{OCI}manifest.v1+json", "config": parts[0], "layers": parts[1:]}
    return json.dumps(manifest).encode(), {digest(config): config, digest(layer): layer}


class Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = _PATH.fullmatch(self.path)
        if found is None:
            self._answer(200 if self.path == "/v2/" else 404, b"{}")
            return
        manifest, blobs = image(found["name"])
        self._wait(f"{found['kind']}-{found['name']}")
        if found["kind"] == "manifest":
            self._answer(200, manifest, f"{OCI}manifest.v1+json")
        else:
            data = blobs.get(found["what"])
            self._answer(200 if data else 404, data or b"{}")

    do_HEAD = do_GET  # noqa: N815  the base class's names

    def _wait(self, gate: str) -> None:
        (GATES / f"asked-{gate}").touch()
        if "-slow-" in gate:
            time.sleep(0.1)
        while (GATES / gate).exists():
            time.sleep(0.01)

    def _answer(self, status: int, data: bytes, kind: str = "application/octet-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Content-Digest", digest(data))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    GATES.mkdir(exist_ok=True)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Registry).serve_forever()
