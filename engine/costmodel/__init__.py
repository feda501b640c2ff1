"""Cost model: memory fit, prefill and decode time, network, with source and error band."""
