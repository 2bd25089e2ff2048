"""Charter: argv to client calls, text out. The only floor that prints, exits and knows a terminal.

Imports are late where they cost: a command pays for what it uses, and `service list` answers within 120 ms.
"""
