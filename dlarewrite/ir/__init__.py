"""The model under work: reading, writing, editing, ordering and checking it."""
