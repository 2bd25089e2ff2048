"""Charter: the rules, pure. No clock, no process, no file, no id drawn, no logging: values in, values out.

`fold` admits a fact and refuses what cannot follow; `decide` looks at wish, run and clock and says what is to
be done and when to look
again. A restart needs nothing but the stored record and the clock.
"""
