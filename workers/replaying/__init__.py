"""Parts of background traffic: the trace, prompts of a length, and the sender."""
