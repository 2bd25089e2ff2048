"""Charter: the nouns. Frozen data, ids, phases and errors; no behaviour beyond trivial questions, no input or
output.

Records have two halves with one writer each: the wish (metadata, spec, deletion) is written by `control` and,
for the
holds and sessions an execution asks for, by rules in `core`; the run half and the status are written by
`reconcile`.
"""
