"""SLO and throughput samples and roll-ups."""
