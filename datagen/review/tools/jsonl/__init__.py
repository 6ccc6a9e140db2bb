"""The review tool for teams without one: JSONL files."""
