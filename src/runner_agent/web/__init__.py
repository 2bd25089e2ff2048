"""Charter: the dashboard, one page of plain modules that browsers take as they are. Nothing is built.

The page asks the API as any client does; here its files are served, and nothing else.
"""
