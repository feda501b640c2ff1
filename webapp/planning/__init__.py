"""Models, workloads, plan requests, plans, explanations."""
