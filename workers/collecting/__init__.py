"""Parts of the collector: sources that fetch, pure functions that measure, a store that writes."""
