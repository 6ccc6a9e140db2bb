"""What runs inside the sandbox, with the standard library alone, as a package called ``inside``.

Imports are relative, because there it is found without the packages around it.
"""
