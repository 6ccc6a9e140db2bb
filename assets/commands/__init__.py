"""What ``datagen`` does besides ``bench``: a file per command, and what they share."""
