"""Options of commands: a use case by its name, one of a few words."""
