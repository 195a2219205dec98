"""One list of scenarios that every implemented venue runs against its practice server, and the table that comes of it.

scenarios/   the list: functions marked `@scenario`, in the order in which the table shows them
bench.py     what a scenario works with: a server, its exchange, sessions, a settable clock
marks.py     what a venue cannot have, or cannot see, with the reason
table.py     docs/conformance.md from the results
"""
