"""Charter: measures the running product against `subprocess.Popen` in the same run, and writes down figures.

`python -m bench` runs all of it, `python -m bench --quick` a short form. What is measured stands in
`figures/`, one small module a subject; what it should be, in `budgets`; how it becomes a table, in `report`.
"""
