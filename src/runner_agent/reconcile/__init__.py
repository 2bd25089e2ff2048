"""Charter: makes wishes so. A loop without opinions: read the record, ask `core` what is to be done, do it,
note what came of it.

Nothing here remembers what the store does not: tasks that wait for runs are begun again from the records, so
that starting up, recovering
from a crash and going on are the same road. Writes the run half of records, and for executions the wishes
that `core` derives.
"""
