"""Quality and speed, one command each: ``python -m benchmarks.scaling``, ``python -m benchmarks.networks FOLDER``."""
