"""The sections of a page, one module each: from evidence to tables and figures."""
