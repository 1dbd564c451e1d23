"""The ledger: who changed which champion, when and why; where it lies and how it is repaired."""
