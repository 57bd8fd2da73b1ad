"""The vocabulary of alerts, which rules and channels are written in: pure, it asks no database.

metrics     what can be watched, of what, in which unit, and by which aggregations
presets     the rules that ship
addresses   where a channel may send, and how a URL that is a secret is shown
"""
