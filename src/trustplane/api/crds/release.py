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
        schema=root("A Kubernetes version that clusters can request by name.", _spec(), _status()),
        columns=[
            column("Version", ".spec.version", "Version of the release."),
            condition_column("Ready", "Ready", "Whether clusters can use the release."),
            condition_column("Compatible", "Compatible", "Whether this service supports the release."),
            column("Created", ".metadata.creationTimestamp", "Time of creation.", "date"),
        ],
        short="tkr",
    )


def _spec() -> Json:
    image = obj(
        "A container image.", {"imageRepository": string("Image repository."), "imageTag": string("Image tag.")}
    )
    reference = obj("A reference to an object.", {"name": string("Name of the object.")}, required=("name",))
    kubernetes = obj(
        "The Kubernetes distribution of the release.",
        {
            "version": string("Version of Kubernetes, such as v1.36.3.", minLength=1),
            "imageRepository": string("Repository of its images."),
            "etcd": image,
            "pause": image,
            "coredns": image,
            "kube-vip": image,
        },
        required=("version",),
    )
    return obj(
        "Content of the release; its versions never change.",
        {
            "version": string("Version of the release, such as v1.36.3+trustplane.1.", minLength=1),
            "kubernetes": kubernetes,
            "osImages": array("Images of the nodes' operating systems.", reference, max_items=100),
            "bootstrapPackages": array("Packages installed in every cluster.", reference, max_items=100),
        },
        required=("version", "kubernetes"),
        rules=[
            rule(
                "self.version == oldSelf.version && self.kubernetes.version == oldSelf.kubernetes.version",
                "changes the version of a release. Clusters running it would differ from their release. "
                "Create a release with another name",
            )
        ],
    )


def _status() -> Json:
    return obj(
        "Observed state of the release.",
        {"observedGeneration": observed_generation(), "conditions": conditions("Ready, Compatible and Valid.")},
    )
