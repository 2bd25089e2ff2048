"""Charter: the one client of the agent's HTTP interface, typed and synchronous, standard library only.

It finds the agent, speaks Connect JSON, and turns what goes wrong into `errors`. It knows no terminal and no
rule of services or tasks; it prints nothing and exits nobody.
"""
