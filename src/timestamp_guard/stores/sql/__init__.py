"""Tables of databases: one store, one ledger, a file for each dialect."""
