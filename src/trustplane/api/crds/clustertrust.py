"""CRD of ClusterTrust."""

from trustplane.api.clustertrust import ASSESSMENTS, GROUP, KIND, MAX_FAILURES, MAX_IMAGES, MAX_NODES, STATES, VERSION
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
        "Trust of the Cluster of the same name: the desired set, the set on its nodes, and the proofs of their "
        "kubelets. Created by Trustplane; without a spec.",
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
            condition_column("Current", "Current", "Whether the nodes have the desired set."),
            condition_column("Proven", "Proven", "Whether every node's kubelet proved its trust."),
            column("Nodes", ".status.provenNodes", "Proven nodes of all nodes."),
            column("Since", ".status.inForce.since", "When the cluster took the set in force.", "date"),
            column("Age", ".metadata.creationTimestamp", "Time since creation.", "date"),
        ],
        short="ctrust",
    )


def _status() -> Json:
    digest = string("Digest of the set: SHA-256 over names and certificates.", max_length=_DIGEST)
    desired = obj(
        "The set requested by the lists.",
        {
            "digest": digest,
            "entries": array("Entries of the set.", _entry(), max_items=MAX_ENTRIES),
            "source": string("Source of the set: Service, Cluster or Merged."),
        },
    )
    in_force = obj(
        "The set taken by the cluster.",
        {
            "digest": digest,
            "since": time("When the cluster took the set, if known."),
            "reason": string("Why the cluster took the set: a propagation rule."),
        },
    )
    states = ("proven", "accepted", "applied", "pending", "outdated", "notTrusted", "unclear", "unreachable", "failed")
    return obj(
        "Observed trust of the cluster.",
        {
            "desired": desired,
            "inForce": in_force,
            "difference": string(
                "Changes from the set in force to the desired set, by name and fingerprint.", max_length=32768
            ),
            "summary": obj(
                "Number of nodes by state.",
                {
                    "total": integer("All nodes."),
                    **{s: integer(f"Nodes in state {s[0].upper()}{s[1:]}.") for s in states},
                },
            ),
            "provenNodes": string("Proven nodes of all nodes, such as 2/3."),
            "nodes": array("Nodes without a current proof.", _node(), max_items=MAX_NODES),
            "more": integer("Further nodes without a current proof."),
            "lastProof": time("Time of the latest proof of any node."),
            "conditions": conditions("Current, Proven, WholeCluster and KubeconfigAccepted."),
            "failures": array(
                "Pods with failing image pulls, by registry and cause, most pods first.",
                _failure(),
                max_items=MAX_FAILURES,
            ),
            "moreFailingPods": integer("Further failing pods, by unlisted registries and causes or beyond 5,000."),
            "images": array("Registries used by images of the cluster's pods.", _image(), max_items=MAX_IMAGES),
            "moreImages": integer("Further registries of images."),
        },
    )


def _failure() -> Json:
    return obj(
        "Pods with failing image pulls.",
        {
            "host": string("Registry host, as in image references.", max_length=MAX_HOST_LENGTH),
            "cause": string("A code of `trustplane explain`."),
            "pods": integer("Number of pods."),
            "since": time("When the first failure was observed."),
            "lastSeen": time("When a failure was last observed, to the hour."),
            "example": string("One of the pods: namespace/name.", max_length=317),
        },
    )


def _image() -> Json:
    return obj(
        "A registry.",
        {
            "host": string("Registry host, as in image references.", max_length=MAX_HOST_LENGTH),
            "image": string("One of the images.", max_length=512),
            "trust": string("Whether the cluster's nodes trust the registry.", enum=list(ASSESSMENTS)),
            "message": string("Evidence for `trust`.", max_length=1024),
        },
    )


def _entry() -> Json:
    return obj(
        "An entry.",
        {
            "name": string("Name of the entry, stored in tkg-<name>.pem on every node."),
            "fingerprints": array(
                "SHA-256 fingerprints of its certificates.", string("A fingerprint.", max_length=_DIGEST), max_items=100
            ),
            "hosts": array(
                "Scope of the entry: the registries it applies to; if omitted, the whole node.",
                string("A registry host, as in image references.", max_length=MAX_HOST_LENGTH),
                max_items=MAX_ENTRIES,
            ),
            "expires": time("Earliest expiry of its certificates."),
        },
    )


def _node() -> Json:
    return obj(
        "A node.",
        {
            "name": string("Name of the Node; omitted before the Node exists."),
            "machine": string("Name of its Machine."),
            "state": string("State of its trust.", enum=list(STATES)),
            "since": time("When it entered this state."),
            "digest": string("Digest of the set last written to it, or the beginning of it.", max_length=_DIGEST),
            "method": string("How the set was written: Bootstrap or InPlace."),
            "provenAt": time("Time of its latest proof."),
            "message": string("What happened, why, and what to do next.", max_length=2048),
        },
    )
