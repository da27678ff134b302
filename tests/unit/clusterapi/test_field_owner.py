from trustplane.api.meta import Json
from trustplane.clusterapi.field_owner import handed_back, is_borrowed


def entry(manager: str, operation: str, *fields: str) -> Json:
    spec = {"f:spec": {f"f:{one}": {} for one in fields}} if fields else {}
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:metadata": {}, **spec} if not fields else spec}


CLUSTER_API = entry("capi-kubeadmcontrolplane", "Apply", "users")


def test_what_we_wrote_is_given_back() -> None:
    managed = [CLUSTER_API, entry("trustplane", "Update", "files")]
    assert is_borrowed(managed)
    after = handed_back(managed)
    assert after == [entry("capi-kubeadmcontrolplane", "Apply", "users", "files")]
    assert not is_borrowed(after)
    assert entry("capi-kubeadmcontrolplane", "Apply", "users") == CLUSTER_API


def test_what_else_is_ours_stays() -> None:
    managed = [CLUSTER_API, entry("trustplane", "Update", "files", "format"), entry("kubectl", "Update", "files")]
    assert handed_back(managed)[1:] == [entry("trustplane", "Update", "format"), entry("kubectl", "Update", "files")]


def test_nothing_is_given_to_nobody() -> None:
    assert not is_borrowed([])
    assert not is_borrowed([CLUSTER_API])
    assert not is_borrowed([entry("trustplane", "Update", "files"), entry("manager", "Update", "users")])
