"""Where people answer, behind one protocol: Argilla, or plain files."""
