"""What tables of all servers have in common: the flow of a store, its ledger, and what a table is like."""
