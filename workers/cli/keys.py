"""`medley keys`: keys with which clients use a deployment through the gateway."""

import json
from typing import Annotated

import typer

from workers.cli.console import check_identifier, connect
from workers.cli.table import rows_to_text
from workers.home import find_home

keys = typer.Typer(help="Keys of the gateway's clients.", no_args_is_help=True)

DeploymentName = Annotated[str, typer.Option("--deployment", help="Name of the deployment.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@keys.command("create")
def create_key(
    deployment: DeploymentName,
    name: Annotated[str, typer.Option(help="Who uses the key.")] = "command line",
    as_json: AsJson = False,
) -> None:
    """Make a key; it is shown this once."""
    path = f"/deployments/{check_identifier(deployment, field='deployment')}/keys"
    answer = connect(find_home()).ask("POST", path, {"name": name})
    print(json.dumps({"key": answer["key"]}) if as_json else answer["key"])


@keys.command("list")
def list_keys(deployment: DeploymentName, as_json: AsJson = False) -> None:
    """List the keys of a deployment, without the keys themselves."""
    path = f"/deployments/{check_identifier(deployment, field='deployment')}"
    found = connect(find_home()).ask("GET", path)["keys"]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = [(str(key["id"]), f"{key['prefix']}...", _describe_state(key["revoked_at"]), key["name"]) for key in found]
    print(rows_to_text(("ID", "KEY", "STATE", "NAME"), rows) if rows else "No keys.")


def _describe_state(revoked_at: str | None) -> str:
    return "valid" if revoked_at is None else f"revoked {revoked_at[:10]}"


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[int, typer.Argument(help="Number of the key, from `medley keys list`.")],
    deployment: DeploymentName,
) -> None:
    """Switch a key off for good."""
    path = f"/deployments/{check_identifier(deployment, field='deployment')}/keys/{key_id}"
    connect(find_home()).ask("DELETE", path)
    print(f"Key {key_id} is revoked.")
