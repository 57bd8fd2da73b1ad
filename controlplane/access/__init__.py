"""Who holds what, asked anew each time, and what they may therefore see.

standing   from an actor to what they hold: one query
lookups    the one place that gives the QuerySet of a noun that somebody may see
owners     somebody always owns the platform
"""
