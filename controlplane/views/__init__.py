"""Pages of the console that are no list of nouns: overview, playground, one's own password."""
