"""secrets: where values come from that only runs may see, and what hides them elsewhere (rule 5.6).

Values are read when a run starts, live in memory, and stand in no repr, no message and no file of ours.
"""
