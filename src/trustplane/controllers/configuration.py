"""Controller of TkgServiceConfiguration: create the stock object, check its trust list, keep the last good list."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from trustplane.api.conditions import TRUST_VALID
from trustplane.api.configuration import NAME, STOCK_SPEC, TkgServiceConfiguration, TkgServiceConfigurationStatus
from trustplane.api.core import Secret
from trustplane.api.crds.fitting import fitted
from trustplane.api.keys import Key, key_of
from trustplane.controllers.transitions import changed_conditions, record_events
from trustplane.fleet import last_good
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import AlreadyExistsError, ConflictError, NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.informer import Informer
from trustplane.kube.kinds import CONFIGURATIONS, FIELD_MANAGER
from trustplane.kube.reconciler import Reconciler
from trustplane.reporting.trust_status import service_configuration_status
from trustplane.trust import list_sources

CONFIGURATION_KEY = Key("", NAME)


class ConfigurationReconciler(Reconciler):
    """Keep the service's configuration present and its status current.

    Args:
        client: To the management cluster.
        configurations: All objects of the kind; only the one named `tkg-service-configuration` counts.
        secrets: Trustplane's Secrets, including that of the last good list, which is restored if deleted.
        recorder: Recorder of Events.
        namespace: Trustplane's own namespace, with the last good list.
    """

    name = "configuration"
    workers = 1

    def __init__(
        self,
        client: Client,
        configurations: Informer[TkgServiceConfiguration],
        secrets: Informer[Secret],
        recorder: Recorder,
        *,
        namespace: str,
    ) -> None:
        self._client = client
        self._configurations = configurations
        self._secrets = secrets
        self._recorder = recorder
        self._namespace = namespace

    def controller(self) -> Controller:
        """Return the controller; its first reconcile creates the object if it is missing."""
        self.wake(CONFIGURATION_KEY)
        return super().controller()

    def _watches(self) -> list[Watch[Any]]:
        return [Watch(self._configurations), Watch(self._secrets, self._keys_of_secret)]

    def _keys_of_secret(self, secret: Secret) -> list[Key]:
        return [CONFIGURATION_KEY] if last_good.is_last_good(key_of(secret), self._namespace) else []

    async def reconcile(self, key: Key) -> Result:
        """Create the stock object if it is missing; otherwise check the existing one."""
        if key != CONFIGURATION_KEY:
            return Result()
        configuration = self._configurations.get(CONFIGURATION_KEY)
        if configuration is None:
            await self._create_stock()
        else:
            await self._update_status(configuration)
        return Result()

    async def _create_stock(self) -> None:
        spec = msgspec.to_builtins(STOCK_SPEC)
        body = {"apiVersion": CONFIGURATIONS.api_version, "kind": CONFIGURATIONS.kind, "metadata": {"name": NAME}}
        # The original, created by `kubectl apply`, has this annotation; without it, users' `kubectl apply` warns.
        applied = msgspec.json.encode({**body, "spec": spec}).decode()
        annotations = {"kubectl.kubernetes.io/last-applied-configuration": applied}
        stock = {**body, "metadata": {"name": NAME, "annotations": annotations}, "spec": spec}
        try:
            await self._client.create(CONFIGURATIONS, stock)
        except AlreadyExistsError:
            return  # created by another client; the watch wakes the controller

    async def _update_status(self, configuration: TkgServiceConfiguration) -> None:
        kept = await last_good.find_last_good(self._client, namespace=self._namespace)
        # Keep the list before the status reports it as checked, and before any cluster takes it.
        if good := list_sources.last_good_list_to_record(configuration, kept):
            await last_good.store_last_good(self._client, good, namespace=self._namespace)
        result = list_sources.parse_service_list(configuration, kept)
        body = service_configuration_status(configuration, result, now=datetime.now(UTC))
        body["status"] = fitted(CONFIGURATIONS.kind, body["status"])
        status = msgspec.convert(body["status"], TkgServiceConfigurationStatus)
        if status == configuration.status:
            return
        # This status belongs to this version only; a newer version wakes the controller again.
        body["metadata"]["resourceVersion"] = configuration.metadata.resource_version
        try:
            await self._client.apply(CONFIGURATIONS, body, manager=FIELD_MANAGER, subresource="status")
        except (ConflictError, NotFoundError):
            return
        await record_events(
            self._recorder,
            configuration,
            changed_conditions(configuration.status.conditions, status.conditions, {TRUST_VALID}),
        )
