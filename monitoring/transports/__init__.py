"""How a message reaches people: one file and one class for each kind of channel; they do not know each other."""
