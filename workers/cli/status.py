"""`medley status`: what runs."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from workers.cli.console import connect
from workers.cli.table import rows_to_text
from workers.home import find_home


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the console and its deployments. Exit status 3: it does not run."""
    console = connect(find_home())
    deployments = console.ask("GET", "/deployments")
    if as_json:
        print(json.dumps({"web_url": console.web_url, "deployments": deployments}, indent=2))
        return
    print(f"Console {console.web_url}")
    print(deployments_to_text(deployments))


def deployments_to_text(deployments: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of deployments, one line each."""
    if not deployments:
        return "No deployments."
    head = ("DEPLOYMENT", "STATE", "MODEL", "USD/H", "SHARDS", "GATEWAY")
    return rows_to_text(head, [_deployment_to_row(deployment) for deployment in deployments])


def _deployment_to_row(deployment: Mapping[str, Any]) -> tuple[str, ...]:
    shards = deployment["shards"]
    num_ready = sum(shard["state"] == "ready" for shard in shards)
    return (
        deployment["name"],
        deployment["state"],
        deployment["model"],
        f"{float(deployment['usd_per_hour']):.2f}",
        f"{num_ready}/{len(shards)} ready",
        deployment["gateway_url"],
    )
