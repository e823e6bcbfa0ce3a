"""The command line: thin Typer commands, one file a noun."""
