"""What runs in the server's own environment, as a folder that its Python is given.

Nothing of ours can be imported there, and modules find each other by their bare names.
"""
