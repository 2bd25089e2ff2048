"""Charter: one module a subject, each with `measure(size) -> Iterator[Figure]`.

It starts what it needs and ends what it started.
"""
