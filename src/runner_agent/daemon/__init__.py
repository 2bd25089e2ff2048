"""Charter: the only wiring. Reads settings, builds every floor once, listens to signals, and tells systemd
how things stand.
"""
