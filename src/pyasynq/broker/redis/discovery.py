"""Find the primary by asking sentinels, and the slots by asking cluster nodes; some may hang.

Differs:
    The driver asks one after another with the full time limit for each, so one that hangs uses up
    the time of a call. Here the next one is asked after `HEAD_START_S`, and the first answer wins.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

from redis import exceptions as driver_errors
from redis._parsers import AsyncCommandsParser
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode, NodesManager
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.cluster import PRIMARY

from pyasynq.broker.redis.connection import ANSWER_S, map_error, reason
from pyasynq.broker.redis.dialing import first_of
from pyasynq.broker.url import Host
from pyasynq.core.errors import BrokerAuthError

HEAD_START_S: Final = 0.5
"""Time after which the next server is asked too: enough for TLS to another continent."""

TIMEOUT_S: Final = ANSWER_S - 1
"""Time limit for all servers; the limit of the call ends later, so the error has each reason."""

SLOTS: Final = 16_384


class Sentinels(Sentinel):
    """Sentinels, of which the one that answered last is asked first."""

    def __init__(self, clients: Sequence[Redis]) -> None:
        """Ask *clients*."""
        inherited: Any = super()  # redis-py is typed only in part
        inherited.__init__([])
        self.sentinels: list[Redis] = list(clients)

    async def discover_master(self, service_name: str) -> Host:
        """Return the address of the primary *service_name*.

        Raises:
            RedisError: If no sentinel names it; the text has the reason of each.
        """
        asked = list(self.sentinels)
        found = await first_of(
            [partial(self._ask, sentinel, service_name) for sentinel in asked],
            head_start_s=HEAD_START_S,
            timeout_s=TIMEOUT_S,
        )
        if isinstance(found, list):
            what = f"No master found for {service_name!r}"
            raise _no_answer(what, map(_address_of, asked), found, MasterNotFoundError)
        sentinel, primary = found
        self.sentinels.sort(key=lambda each: each is not sentinel)
        return primary

    async def _ask(self, sentinel: Redis, name: str) -> tuple[Redis, Host]:
        known = cast("dict[str, dict[str, Any]]", await sentinel.sentinel_masters())
        state = known.get(name)
        if state is None:
            msg = "knows no primary of this name"
            raise MasterNotFoundError(msg)
        if not self.check_master_state(state, name):
            msg = "the primary is down"
            raise MasterNotFoundError(msg)
        return sentinel, (state["ip"], state["port"])


class Cluster(RedisCluster):
    """A client of a cluster, some nodes of which may hang."""

    def __init__(
        self,
        hosts: Iterable[Host],
        *,
        connection: Mapping[str, Any],
        require_full_coverage: bool = True,
        dynamic_startup_nodes: bool = True,
        **settings: Any,  # noqa: ANN401 - the driver's own settings
    ) -> None:
        """Learn the cluster from the nodes *hosts*.

        Args:
            hosts: At least one.
            connection: Settings of every connection, and its class.
            require_full_coverage: Whether each slot must be on a node.
            dynamic_startup_nodes: Whether nodes that are found replace *hosts*.
            **settings: Settings of the driver's client of a cluster.
        """
        super().__init__(startup_nodes=[ClusterNode(*host) for host in hosts], **settings)
        self.connection_kwargs.update(connection)
        self.nodes_manager: Nodes = Nodes(
            [ClusterNode(*host, **self.connection_kwargs) for host in hosts],
            require_full_coverage,
            self.connection_kwargs,
            dynamic_startup_nodes=dynamic_startup_nodes,
            event_dispatcher=cast("Any", self._event_dispatcher),
        )
        self.commands_parser: Commands = Commands(self.nodes_manager)


class Commands(AsyncCommandsParser):
    """The commands of Redis, as any node lists them."""

    def __init__(self, nodes: NodesManager) -> None:
        """Ask the primaries among *nodes*."""
        inherited: Any = super()
        inherited.__init__()
        self._nodes = nodes

    async def initialize(self, node: ClusterNode | None = None) -> None:
        """Ask for the commands; *node* is asked first.

        Raises:
            RedisError: If no primary answers.
        """
        others = self._nodes.get_nodes_by_server_type(PRIMARY)
        asked = [node or self.node, *(other for other in others if other != node)]
        learn = super().initialize
        found = await first_of(
            [partial(learn, each) for each in asked],
            head_start_s=HEAD_START_S,
            timeout_s=TIMEOUT_S,
        )
        if isinstance(found, list):
            raise found[0]


class Nodes(NodesManager):
    """The nodes of a cluster."""

    async def initialize(
        self,
        additional_startup_nodes_info: list[Host] | None = None,
        last_failed_node_name: str | None = None,
    ) -> None:
        """Learn the cluster from the first node that answers.

        Raises:
            RedisError: If none does; the text has the reason of each.
        """
        known = self.startup_nodes
        node = await self._first_to_answer(known.values(), last_failed_node_name)
        self.startup_nodes: dict[str, ClusterNode] = {node.name: node}
        try:
            await super().initialize(additional_startup_nodes_info)
        finally:
            self.startup_nodes = known
        if self._dynamic_startup_nodes:
            self.set_nodes(known, self.nodes_cache, remove_old=True)
        # Gets commands without a key. The driver would choose the first primary, which may hang.
        self.default_node: ClusterNode = self.nodes_cache.get(node.name, self.default_node)

    async def _first_to_answer(
        self, nodes: Iterable[ClusterNode], failed: str | None
    ) -> ClusterNode:
        asked = sorted(nodes, key=lambda node: (node.name == failed, random.random()))
        found = await first_of(
            [partial(self._check_node, node) for node in asked],
            head_start_s=HEAD_START_S,
            timeout_s=TIMEOUT_S,
        )
        if isinstance(found, list):
            what = "No node of the cluster answers"
            addresses = (node.name for node in asked)
            raise _no_answer(what, addresses, found, driver_errors.RedisClusterException)
        return found

    async def _check_node(self, node: ClusterNode) -> ClusterNode:
        try:
            ranges = await node.execute_command("CLUSTER SLOTS")
        except driver_errors.ResponseError as error:
            if "cluster support disabled" not in str(error):
                raise
            msg = "Cluster mode is not enabled on this node"
            raise driver_errors.RedisClusterException(msg) from error
        covered = sum(last - first + 1 for first, last, *_ in ranges)
        if covered < SLOTS and self.require_full_coverage:
            msg = f"{SLOTS - covered} slots are on no node"
            raise driver_errors.RedisClusterException(msg)
        return node


def _address_of(sentinel: Redis) -> str:
    settings = sentinel.connection_pool.connection_kwargs
    return f"{settings['host']}:{settings['port']}"


def _no_answer(
    what: str, addresses: Iterable[str], failures: Sequence[Exception], kind: type[Exception]
) -> Exception:
    """Return the error that says *what* failed, and the reason at each of *addresses*."""
    if all(isinstance(map_error(failure), BrokerAuthError) for failure in failures):
        kind = driver_errors.AuthenticationError
    each = zip(addresses, failures, strict=True)
    why = [f"{place}: {reason(failure)}" for place, failure in each]
    return kind(f"{what}: {'; '.join(why)}")
