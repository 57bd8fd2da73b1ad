"""The console's forms. Each ends in one action; none of them writes a model."""
