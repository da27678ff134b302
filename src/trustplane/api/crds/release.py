"""CRD of TanzuKubernetesRelease."""

from trustplane.api.crds.schema import (
    array,
    column,
    condition_column,
    conditions,
    definition,
    obj,
    observed_generation,
    root,
    rule,
    string,
)
from trustplane.api.meta import Json
from trustplane.api.release import KIND, VERSION


def crd() -> Json:
    """Return the CRD."""
    return definition(
        kind=KIND,
        plural="tanzukubernetesreleases",
        scope="Cluster",
        versions=(VERSION,),
        schema=root("A Kubernetes version that a cluster can ask for by its name.", _spec(), _status()),
        columns=[
            column("Version", ".spec.version", "Version of the release."),
            condition_column("Ready", "Ready", "Whether clusters can be made of it."),
            condition_column("Compatible", "Compatible", "Whether this service can run it."),
            column("Created", ".metadata.creationTimestamp", "When it appeared.", "date"),
        ],
        short="tkr",
    )


def _spec() -> Json:
    image = obj("A container image.", {"imageRepository": string("Its repository."), "imageTag": string("Its tag.")})
    reference = obj("Another object.", {"name": string("Its name.")}, required=("name",))
    kubernetes = obj(
        "The Kubernetes inside.",
        {
            "version": string("Version of Kubernetes, such as v1.36.3.", minLength=1),
            "imageRepository": string("Where its images are."),
            "etcd": image,
            "pause": image,
            "coredns": image,
            "kube-vip": image,
        },
        required=("version",),
    )
    return obj(
        "Content of the release; never changed.",
        {
            "version": string("Version of the release, such as v1.36.3+trustplane.1.", minLength=1),
            "kubernetes": kubernetes,
            "osImages": array("Images that nodes start from.", reference, max_items=100),
            "bootstrapPackages": array("Packages that every cluster gets.", reference, max_items=100),
        },
        required=("version", "kubernetes"),
        rules=[
            rule(
                "self.version == oldSelf.version && self.kubernetes.version == oldSelf.kubernetes.version",
                "changes the version of a release. Clusters that run it would differ from their release. "
                "Make a release with another name",
            )
        ],
    )


def _status() -> Json:
    return obj(
        "What Trustplane reports.",
        {"observedGeneration": observed_generation(), "conditions": conditions("Ready, Compatible and Valid.")},
    )
