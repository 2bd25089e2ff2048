"""Log files and output files: where they live, how they are bounded, and how they are read.

What may live here: everything about bytes that commands wrote to a log or to GITPOD_OUTPUT. Commands write
to the files themselves; nothing here stands between a command and its file. Knows ids and paths, not records;
HTTP, phases and wishes belong to the floors above.
"""
