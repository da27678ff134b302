"""TanzuKubernetesRelease v1alpha3: a Kubernetes version available to clusters."""

import msgspec

from trustplane.api.meta import Condition, Object, Struct

VERSION = "v1alpha3"
KIND = "TanzuKubernetesRelease"


class KubernetesSpec(Struct):
    """The Kubernetes distribution of a release."""

    version: str = ""  # such as v1.36.3
    image_repository: str = ""


class TanzuKubernetesReleaseSpec(Struct):
    """Content of a release."""

    version: str = ""  # such as v1.36.3+trustplane.1
    kubernetes: KubernetesSpec = msgspec.field(default_factory=KubernetesSpec)


class TanzuKubernetesReleaseStatus(Struct):
    """The reported state of a release."""

    observed_generation: int = 0
    conditions: list[Condition] = msgspec.field(default_factory=list)


class TanzuKubernetesRelease(Object):
    """A release."""

    spec: TanzuKubernetesReleaseSpec = msgspec.field(default_factory=TanzuKubernetesReleaseSpec)
    status: TanzuKubernetesReleaseStatus = msgspec.field(default_factory=TanzuKubernetesReleaseStatus)
