"""TkgServiceConfiguration: there is always one; its trust list is judged, and the last good one kept."""

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
from trustplane.reporting.trust_status import service_status
from trustplane.trust import lists

CONFIGURATION_KEY = Key("", NAME)


class ConfigurationReconciler:
    """Keeps the service's configuration present and its status true.

    Args:
        client: To the management cluster.
        configurations: All objects of the kind; only the one named `tkg-service-configuration` counts.
        secrets: With the one that keeps the last good list: it is made again where it is lost.
        recorder: For events.
        namespace: Trustplane's own, where the last good list is kept.
    """

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
        """Return the controller; it looks for the object once at its start, so that there is one."""
        watches: list[Watch[Any]] = [Watch(self._configurations), Watch(self._secrets, self._of_secret)]
        controller = Controller("configuration", self.reconcile, watches, workers=1)
        controller.wake(CONFIGURATION_KEY)
        return controller

    def _of_secret(self, found: Secret) -> list[Key]:
        return [CONFIGURATION_KEY] if last_good.is_last_good(key_of(found), self._namespace) else []

    async def reconcile(self, key: Key) -> Result:
        """Make the stock object where there is none, or judge what is there."""
        if key != CONFIGURATION_KEY:
            return Result()
        configuration = self._configurations.get(CONFIGURATION_KEY)
        if configuration is None:
            await self._create_stock()
        else:
            await self._judge(configuration)
        return Result()

    async def _create_stock(self) -> None:
        spec = msgspec.to_builtins(STOCK_SPEC)
        body = {"apiVersion": CONFIGURATIONS.api_version, "kind": CONFIGURATIONS.kind, "metadata": {"name": NAME}}
        # The original is made by `kubectl apply` and carries this: users' own `kubectl apply` then warns of nothing.
        applied = msgspec.json.encode({**body, "spec": spec}).decode()
        annotations = {"kubectl.kubernetes.io/last-applied-configuration": applied}
        stock = {**body, "metadata": {"name": NAME, "annotations": annotations}, "spec": spec}
        try:
            await self._client.create(CONFIGURATIONS, stock)
        except AlreadyExistsError:
            return  # made by somebody else just now; its arrival wakes us

    async def _judge(self, configuration: TkgServiceConfiguration) -> None:
        kept = await last_good.find_last_good(self._client, namespace=self._namespace)
        # Kept before the status says that it was judged, and before any cluster takes it.
        if good := lists.recorded(configuration, kept):
            await last_good.store_last_good(self._client, good, namespace=self._namespace)
        reading = lists.service(configuration, kept)
        body = service_status(configuration, reading, now=datetime.now(UTC))
        body["status"] = fitted(CONFIGURATIONS.kind, body["status"])
        status = msgspec.convert(body["status"], TkgServiceConfigurationStatus)
        if status == configuration.status:
            return
        # Decided on this very version: a newer one is on its way here, and wakes us.
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
