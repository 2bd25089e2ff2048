"""Charter: the store keeps records, stamps versions and tells who watches.

It knows no rule of services or tasks.

One protocol (`base`), one conformance suite, two implementations: memory and SQLite.
"""
