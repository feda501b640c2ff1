"""Which providers there are, and the adapter of each."""

from typing import Final

from engine.clouds.local import LocalProvider, LocalSettings
from engine.clouds.port import CloudProvider, MissingCredentialsError

_LOCAL: Final = "local"
RENTABLE_PROVIDERS: Final = (_LOCAL,)  # where machines of ours may be


def get_provider(name: str, *, local: LocalSettings) -> CloudProvider:
    """Return the adapter of provider `name`.

    Raises:
        MissingCredentialsError: any provider but `local`: offers of it can be planned, not yet rented.
    """
    if name == _LOCAL:
        return LocalProvider(local)
    raise MissingCredentialsError(f"no credentials for provider {name}", provider=name)
