"""Model processes: foreign code runs apart from the server, which can stop it at a deadline and survive its end."""
