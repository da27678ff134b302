from pathlib import Path

import pytest

from trustplane_local.stack import PORTS, Stack


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(
        id="0a1b2c3d",
        folder=tmp_path / "stack",
        cache=tmp_path / "cache",
        bin=tmp_path / "cache" / "bin",
        rootfs=tmp_path / "cache" / "rootfs",
        images=tmp_path / "cache" / "images",
        kubernetes_version="v1.36.3",
        subnet="198.18.64.0/18",
        ports={name: 20000 + number for number, name in enumerate(PORTS)},
    )
