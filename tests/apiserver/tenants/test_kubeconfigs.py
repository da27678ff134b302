"""Attacks by Secret `<cluster>-kubeconfig`: it is parsed as data, and leads only to the cluster's API server."""

import base64
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.apiserver.tenants import servers
from tests.apiserver.tenants.servers import Server
from tests.apiserver.tenants.stage import (
    ATTACKER,
    TENANTS,
    Stage,
    config_of,
    give_endpoint,
    inline,
    kubeconfig,
    user_of,
)

from trustplane.api.keys import Key
from trustplane.api.meta import Json

pytestmark = pytest.mark.asyncio(loop_scope="session")

LETTERS = "abcdefghij"
MERGES = [
    "a0: &a0 {k: v}",
    *(f"a{n}: &a{n} {{" + ", ".join(f"k{m}: *a{n - 1}" for m in range(9)) + "}" for n in range(1, 9)),
]


@dataclass(frozen=True)
class Scene:
    """The possible targets of a kubeconfig.

    Attributes:
        own: The tenant's own API server, where Cluster API says that the cluster's is.
        listener: Another server of the tenant.
        plain: One without TLS.
    """

    stage: Stage
    own: Server
    listener: Server
    plain: Server

    def cluster(self, **changed: object) -> Json:
        """Return the entry of the cluster, with changes."""
        data = base64.b64encode(self.own.ca).decode()
        return {"server": self.own.url, "certificate-authority-data": data, **changed}

    def user(self, **user: object) -> Json:
        """Return a kubeconfig with this user."""
        return config_of(self.cluster(), user)

    def at(self, **changed: object) -> Json:
        """Return a kubeconfig with this cluster."""
        return config_of(self.cluster(**changed), {"token": "attackers"})


Content = Callable[[Scene], Json | str | bytes]


def _exec(scene: Scene) -> Json:
    command = {"command": "/bin/sh", "args": ["-c", f"id >{scene.stage.canary}"]}
    return scene.user(exec={"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", **command})


def _exec_of_gcp(scene: Scene) -> Json:
    config = {"cmd-path": "/bin/sh", "cmd-args": f"-c id>{scene.stage.canary}", "expiry-key": "{.e}"}
    return scene.user(**{"auth-provider": {"name": "gcp", "config": config}})


def _oidc(scene: Scene) -> Json:
    old = "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.x"
    config = {"idp-issuer-url": scene.listener.url, "client-id": "x", "client-secret": "x", "id-token": old}
    return scene.user(
        **{"auth-provider": {"name": "oidc", "config": {**config, "refresh-token": "x"}}},
    )


def _token_file(scene: Scene) -> Json:
    return scene.user(tokenFile=str(scene.stage.stolen[0]))


def _key_files(scene: Scene) -> Json:
    folder = scene.stage.api._folder
    return scene.user(**{"client-certificate": str(folder / "admin.crt"), "client-key": str(folder / "admin.key")})


def _ca_file(scene: Scene) -> Json:
    return config_of({"server": scene.own.url, "certificate-authority": "/proc/self/environ"}, {"token": "x"})


def _ca_beside_it(scene: Scene) -> Json:
    return scene.at(**{"certificate-authority": str(scene.stage.api._folder / "ca.crt")})


def _management(scene: Scene) -> Json:
    return inline(user_of(scene.stage.api, TENANTS["mallory"]))


def _impersonation(scene: Scene) -> Json:
    return scene.user(**{"token": "x", "as": "system:admin", "as-groups": ["system:masters"]})


def _relative(scene: Scene) -> Json:
    return config_of({**scene.cluster(), "server": f"{scene.own.url}/../../x?y#z"}, {"token": "x"})


# Refused kubeconfigs, and a word of the refusal that the owner sees.
REFUSED: dict[str, tuple[Content, str]] = {
    "exec": (_exec, "exec"),
    "exec-beside-a-token": (lambda one: _with_token(_exec(one)), "exec"),
    "auth-provider-gcp-runs-a-program": (_exec_of_gcp, "auth-provider"),
    "auth-provider-oidc-asks-a-url": (_oidc, "auth-provider"),
    "token-file-of-the-manager": (_token_file, "tokenFile"),
    "client-key-files-of-the-manager": (_key_files, "client-"),
    "ca-file": (_ca_file, "certificate-authority"),
    "ca-file-beside-the-data": (_ca_beside_it, "certificate-authority"),
    "proxy": (lambda one: one.at(**{"proxy-url": f"http://127.0.0.1:{one.plain.port}"}), "proxy-url"),
    "proxy-socks": (lambda one: one.at(**{"proxy-url": f"socks5://127.0.0.1:{one.plain.port}"}), "proxy-url"),
    "http": (lambda one: one.at(server=f"http://127.0.0.1:{one.plain.port}"), "https"),
    "insecure": (
        lambda one: config_of({"server": one.own.url, "insecure-skip-tls-verify": True}, {"token": "x"}),
        "insecure-skip-tls-verify",
    ),
    "another-port-of-loopback": (lambda one: one.at(server=one.listener.url), "kubeconfig is refused"),
    "a-name-of-loopback": (
        lambda one: one.at(server=f"https://localhost:{one.listener.port}"),
        "kubeconfig is refused",
    ),
    "loopback-as-a-number": (
        lambda one: one.at(server=f"https://2130706433:{one.listener.port}"),
        "kubeconfig is refused",
    ),
    "loopback-of-ipv6": (
        lambda one: one.at(server=f"https://[::ffff:127.0.0.1]:{one.listener.port}"),
        "kubeconfig is refused",
    ),
    "user-and-password-in-the-url": (
        lambda one: one.at(server=f"https://127.0.0.1:{one.own.port}@127.0.0.1:{one.listener.port}"),
        "kubeconfig is refused",
    ),
    "metadata-of-the-cloud": (lambda one: one.at(server="https://169.254.169.254/latest"), "kubeconfig is refused"),
    "service-of-the-management-cluster": (
        lambda one: one.at(server="https://kubernetes.default.svc"),
        "kubeconfig is refused",
    ),
    "management-api-server": (_management, "kubeconfig is refused"),
    "path-and-query-in-the-url": (_relative, "kubeconfig is refused"),
    "impersonation": (_impersonation, "user.as"),
    "merge-bomb": (lambda _: "\n".join([*MERGES, "<<: *a8"]), "kubeconfig is refused"),
    "alias-bomb": (lambda one: yaml.safe_dump(one.at()) + "\n".join(MERGES), "kubeconfig is refused"),
    "flow-bomb": (lambda _: "x: [" + "[],{}," * 110_000 + "]", "kubeconfig is refused"),
    "deep-flow": (lambda _: "[" * 200_000, "kubeconfig is refused"),
    "deep-block": (lambda _: "\n".join(f"{' ' * n}a:" for n in range(900)), "kubeconfig is refused"),
    "700-kb": (lambda one: yaml.safe_dump(one.at()) + "#" * 700_000, "kubeconfig is refused"),
    "python-tag": (
        lambda one: f"!!python/object/apply:os.system ['touch {one.stage.canary}']",
        "kubeconfig is refused",
    ),
    "no-text": (lambda _: b"\xff\xfe\x00" * 1000, "kubeconfig is refused"),
    "control-characters": (lambda _: "a: \x1b]0;pwned\x07\x1b[2J", "kubeconfig is refused"),
    "nothing": (lambda _: "", "kubeconfig is refused"),
    "a-list": (lambda _: "[1, 2]", "kubeconfig is refused"),
    "wrong-shapes": (
        lambda _: "clusters: {a: 1}\nusers: 5\ncontexts: [[1]]\ncurrent-context: {}",
        "kubeconfig is refused",
    ),
    "no-such-context": (lambda one: {**one.at(), "current-context": "none"}, "kubeconfig is refused"),
    "certificate-that-is-none": (
        lambda one: one.at(**{"certificate-authority-data": "bm9uZQ=="}),
        "kubeconfig is refused",
    ),
    "base64-that-is-none": (lambda one: one.at(**{"certificate-authority-data": "%%%"}), "kubeconfig is refused"),
    "token-with-a-line-end": (lambda one: one.user(token="x\r\nX-Remote-User: admin"), "kubeconfig is refused"),
    "huge-port": (lambda one: one.at(server="https://127.0.0.1:99999999999"), "kubeconfig is refused"),
}


def _with_token(content: Json) -> Json:
    content["users"][0]["user"]["token"] = "x"
    return content


@pytest.mark.parametrize("attack", REFUSED)
async def test_a_kubeconfig_executes_reads_and_contacts_nothing(quick_stage: Stage, keys: Path, attack: str) -> None:
    stage = quick_stage
    content, word = REFUSED[attack]
    name = f"k{list(REFUSED).index(attack)}"
    token = stage.manager.token
    async with AsyncExitStack() as stack:
        own, listener = [await stack.enter_async_context(servers.serving(keys, servers.nothing)) for _ in range(2)]
        plain = await stack.enter_async_context(servers.serving(keys, servers.nothing, tls=False))
        await stage.cluster(name, port=own.port)
        await stage.kubeconfig(name, content(Scene(stage, own, listener, plain)))
        shown = await stage.until_shown(name, word)
        assert "\\u001b" not in shown
        assert "Traceback" not in stage.manager.log.read_text(errors="replace").partition(f"{name}")[2]
        for server in (own, listener, plain):
            assert stage.stolen[1] not in server.heard
            assert token not in server.heard
        assert not listener.heard.requests, "the manager asked another server"
        assert not plain.heard.requests, "the manager spoke without TLS"
        assert "IMPERSONATE" not in str(own.heard.requests).upper()


@pytest.mark.parametrize("place", ["another-server", "management-api-server"])
async def test_redirects_are_not_followed(stage: Stage, keys: Path, place: str) -> None:
    """The tenant runs its cluster's API server: the manager contacts it, but follows none of its redirects."""
    async with servers.serving(keys, servers.nothing) as listener:
        target = listener.url if place == "another-server" else stage.api.url
        async with servers.serving(keys, servers.redirect(target)) as own:
            name = f"turned-{place}"
            await stage.cluster(name, port=own.port)
            await stage.kubeconfig(name, kubeconfig(own, token=TENANTS["mallory"]))
            await own.heard.until(bool)
            await stage.until_logged(name, "redirect")
            assert not listener.heard.connections
            assert '"Proven", "status": "True"' not in await stage.shown(name)


# The targets chosen by a tenant who may also set the address of its cluster's API server.
PLACES: dict[str, Callable[[Stage, Server], tuple[str, int]]] = {
    "loopback": lambda _, one: ("127.0.0.1", one.port),
    "a-name-of-loopback": lambda _, one: ("localhost", one.port),
    "loopback-in-ipv6": lambda _, one: ("::ffff:127.0.0.1", one.port),
    "every-address": lambda _, one: ("0.0.0.0", one.port),  # noqa: S104  the attacker's
    "metadata-of-the-cloud": lambda *_: ("169.254.169.254", 443),
    "management-api-server": lambda stage, _: ("127.0.0.1", stage.api.port),
    "health-of-the-manager": lambda stage, _: ("127.0.0.1", stage.manager.port),
}


async def test_a_strong_tenant_cannot_lead_the_manager_to_its_own_host(stage: Stage, keys: Path) -> None:
    async with servers.serving(keys, servers.nothing) as own:
        with stage.strict():
            for n, place in enumerate(PLACES.values()):
                host, port = place(stage, own)
                await stage.cluster(f"r{n}", tenant=stage.oscar)
                await give_endpoint(stage.oscar, Key(ATTACKER, f"r{n}"), port, host)
                url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
                data = base64.b64encode(own.ca).decode()
                cluster = {"server": url, "certificate-authority-data": data}
                await stage.kubeconfig(f"r{n}", config_of(cluster, {"token": TENANTS["oscar"]}))
            for n, _ in enumerate(PLACES):
                await stage.until_shown(f"r{n}", "kubeconfig is refused", seconds=30)
        assert not own.heard.connections
