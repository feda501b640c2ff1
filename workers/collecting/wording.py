"""Failures of connections in words for a log: what went wrong, without the innards of a library."""

import aiohttp


def describe_failure(error: Exception) -> str:
    """Return a few words for what aiohttp or the network said."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error)
    return str(error) or type(error).__name__
