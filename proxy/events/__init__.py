"""Everything that the proxy reports: one small class for each kind of event, with its fields and their types.

`event` says what all of them have in common. Each other module has the events of one theme: `cancels`, `starts` (and
changes), `steers`, `relays`, `requests`, `guard` (what it learned, and its mistakes) and `process`. `catalogue` lists
them all, by the names that a trace and a log show. Nothing here decides anything.
"""
