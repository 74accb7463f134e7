"""The memory, by what is locked together: SQL and files only; decides nothing."""
