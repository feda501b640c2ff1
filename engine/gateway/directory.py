"""A routing table made ready for look-ups: key to deployment, name to deployment. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from engine.gateway.errors import InvalidKeyError, MissingKeyError, NoReadyShardError
from engine.routing.table import DeploymentRoutes, RoutingTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """One version of the table.

    Attributes:
        by_key: SHA-256 of an API key -> the deployment it opens.
    """

    version: str
    by_key: Mapping[str, DeploymentRoutes]
    by_name: Mapping[str, DeploymentRoutes]


EMPTY = Directory(version="", by_key={}, by_name={})


def build_directory(table: RoutingTable) -> Directory:
    """Return the table's look-ups."""
    return Directory(
        version=table.version,
        by_key={key_hash: routes for routes in table.deployments for key_hash in routes.key_hashes},
        by_name={routes.name: routes for routes in table.deployments},
    )


def find_deployment(directory: Directory, authorization: str) -> DeploymentRoutes:
    """Return the deployment that a request's `Authorization` header opens.

    Only digests are compared, by hash table: how long that takes says nothing about any key.

    Raises:
        MissingKeyError: there is no bearer key.
        NoReadyShardError: no table has come yet, so that nobody can tell whether the key is good.
        InvalidKeyError: no deployment knows the key.
    """
    kind, _, key = authorization.partition(" ")
    if kind.lower() != "bearer" or not key.strip():
        raise MissingKeyError("no API key: send the header `Authorization: Bearer KEY`")
    if not directory.version:
        raise NoReadyShardError("the gateway has no routing table yet: try again shortly")
    found = directory.by_key.get(hashlib.sha256(key.strip().encode(errors="replace")).hexdigest())
    if found is None:
        raise InvalidKeyError("the API key is unknown or revoked: create one for the deployment in the console")
    return found
