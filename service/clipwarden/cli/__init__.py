"""The `clipwarden` command: arguments in; tables, JSON lines and exit codes out."""
