"""The server as a process: started, supervised, stopped, logging."""
