"""The keys that background traffic uses: one per deployment and process, made when first needed."""

from collections.abc import Awaitable, Callable


class KeyRing:
    """Keeps plain texts in memory only; a new process makes new keys, and the old ones are revoked."""

    def __init__(self, make: Callable[[str], Awaitable[str]]) -> None:
        self._make = make
        self._keys: dict[str, str] = {}

    async def get(self, deployment_name: str) -> str:
        """Return the deployment's key, made now if there is none."""
        if deployment_name not in self._keys:
            await self.renew(deployment_name)
        return self._keys[deployment_name]

    async def renew(self, deployment_name: str) -> str:
        """Replace the deployment's key: the gateway refuses the present one."""
        self._keys[deployment_name] = await self._make(deployment_name)
        return self._keys[deployment_name]
