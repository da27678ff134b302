"""CRD of ClusterTrust."""

from trustplane.api.clustertrust import (
    ASSESSMENTS,
    GROUP,
    KIND,
    MAX_FAILURES,
    MAX_IMAGES,
    MAX_NODES,
    STATES,
    VERSION,
)
from trustplane.api.crds.schema import (
    array,
    column,
    condition_column,
    conditions,
    definition,
    integer,
    obj,
    root,
    string,
    time,
)
from trustplane.api.limits import MAX_ENTRIES, MAX_HOST_LENGTH
from trustplane.api.meta import Json

_DIGEST = 64


def crd() -> Json:
    """Return the CRD."""
    schema = root(
        "Trust of the Cluster of the same name: what its nodes are to trust, what they have, and what their kubelets "
        "prove. Made by Trustplane; it has no spec.",
        None,
        _status(),
    )
    return definition(
        group=GROUP,
        kind=KIND,
        plural="clustertrusts",
        scope="Namespaced",
        versions=(VERSION,),
        schema=schema,
        columns=[
            condition_column("Current", "Current", "Whether nodes have the set that the lists ask for."),
            condition_column("Proven", "Proven", "Whether every node's kubelet proved it."),
            column("Nodes", ".status.provenNodes", "Proven nodes, and all."),
            column("Since", ".status.inForce.since", "When the set in force was taken.", "date"),
            column("Age", ".metadata.creationTimestamp", "Time since it was made.", "date"),
        ],
        short="ctrust",
    )


def _status() -> Json:
    digest = string("Digest of the set: SHA-256 over names and certificates.", max_length=_DIGEST)
    desired = obj(
        "The set that the lists ask for.",
        {
            "digest": digest,
            "entries": array("Its entries.", _entry(), max_items=MAX_ENTRIES),
            "source": string("Service, Cluster or Merged: which lists it is made of."),
        },
    )
    in_force = obj(
        "The set that the cluster has taken.",
        {
            "digest": digest,
            "since": time("When it was taken, as far as it is known."),
            "reason": string("Why it was taken: a rule of propagation."),
        },
    )
    states = ("proven", "accepted", "applied", "pending", "outdated", "notTrusted", "unclear", "unreachable", "failed")
    return obj(
        "What Trustplane reports.",
        {
            "desired": desired,
            "inForce": in_force,
            "difference": string(
                "What it takes to get from the set in force to the desired one, by name and fingerprint.",
                max_length=32768,
            ),
            "summary": obj("Nodes by state.", {one: integer(f"Nodes: {one}.") for one in ("total", *states)}),
            "provenNodes": string("Proven nodes, and all: 2/3."),
            "nodes": array("Nodes that are not proven.", _node(), max_items=MAX_NODES),
            "more": integer("Nodes that are not proven and not listed."),
            "lastProof": time("The latest proof of any node."),
            "conditions": conditions("Current, Proven, WholeCluster and KubeconfigAccepted."),
            "failures": array(
                "Pods that wait for an image in vain, by registry and cause, most pods first.",
                _failure(),
                max_items=MAX_FAILURES,
            ),
            "moreFailingPods": integer("Pods of registries and causes that are not listed, and those beyond 5,000."),
            "images": array("Registries that images of its pods come from.", _image(), max_items=MAX_IMAGES),
            "moreImages": integer("Registries of images that are not listed."),
        },
    )


def _failure() -> Json:
    return obj(
        "Pods that wait for an image in vain.",
        {
            "host": string("The registry, as images name it.", max_length=MAX_HOST_LENGTH),
            "cause": string("A code of `trustplane explain`."),
            "pods": integer("How many pods."),
            "since": time("When the first of them was seen."),
            "lastSeen": time("When they were last seen to fail, to the hour."),
            "example": string("One of the pods: namespace/name.", max_length=317),
        },
    )


def _image() -> Json:
    return obj(
        "A registry.",
        {
            "host": string("The registry, as images name it.", max_length=MAX_HOST_LENGTH),
            "image": string("One of the images.", max_length=512),
            "trust": string("Whether the cluster's nodes trust it.", enum=list(ASSESSMENTS)),
            "message": string("How that is known.", max_length=1024),
        },
    )


def _entry() -> Json:
    return obj(
        "An entry.",
        {
            "name": string("Its name: it is in file tkg-<name>.pem on every node."),
            "fingerprints": array(
                "SHA-256 fingerprints of its certificates.", string("A fingerprint.", max_length=_DIGEST), max_items=100
            ),
            "hosts": array(
                "Registries that it is for; left out: it is for the whole node.",
                string("A host, as in the names of images.", max_length=MAX_HOST_LENGTH),
                max_items=MAX_ENTRIES,
            ),
            "expires": time("When the first of its certificates expires."),
        },
    )


def _node() -> Json:
    return obj(
        "A node.",
        {
            "name": string("Name of the Node; left out before there is one."),
            "machine": string("Name of its Machine."),
            "state": string("State of its trust.", enum=list(STATES)),
            "since": time("Since when it is in this state."),
            "digest": string("Digest, or its beginning, of the set that was last written on it.", max_length=_DIGEST),
            "method": string("How it was written: Bootstrap or InPlace."),
            "provenAt": time("The latest proof of this node."),
            "message": string("What happened, why, and what to do next.", max_length=2048),
        },
    )
