"""Dates and times as operators write them, in both languages alike: 2026-11-03 09:30:00."""
