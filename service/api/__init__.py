"""The edge, by actor: turns HTTP into one story call each; decides nothing."""
