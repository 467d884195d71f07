"""Load on real users of the system; each acknowledged id goes into the ledger."""
