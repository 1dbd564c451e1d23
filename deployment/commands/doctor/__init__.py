"""`doctor`: checks of environment, profile, registry, tables and machine before a command needs them.

One module per area. Each check is a function that returns findings and changes nothing.
"""
