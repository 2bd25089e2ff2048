"""Charter: the border to the wire. Bytes become messages, messages become commands and questions, and back.

Nothing is decided here and nothing is started here: handlers call `control` and read the store. The schema is
compiled from proto/ by scripts/build-schema.
"""
