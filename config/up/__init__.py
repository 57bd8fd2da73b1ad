"""`make up`: one machine, every process, in the foreground.

__main__     the story, from the checks to the last stop
instance     this instance's directory, secrets, ports and environment
preflight    what would go wrong later, said now
programs     the processes and how each is started and stopped
supervision  supervisord: its configuration, orders to it
readiness    waiting for an answer, with progress
stopping     ending everything that was started
progress     the lines people see
"""
