"""Release the machines of this host; run by `medley up` when it stops. They are rented again at the next start."""

from django.utils import timezone

from webapp.deployments import services


def main() -> int:
    """Release all local machines."""
    services.release_local_machines(now=timezone.now())
    return 0
