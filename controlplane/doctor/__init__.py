"""``manage.py doctor``: looks at the whole installation and says what to mend. One small function a check."""
