"""What runs inside the sandbox: scripts with the standard library alone, started by path."""
