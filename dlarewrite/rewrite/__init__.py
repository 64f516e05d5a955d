"""Passes and what runs them: the pass API, the driver that holds them to the laws, pipelines and instruments."""
