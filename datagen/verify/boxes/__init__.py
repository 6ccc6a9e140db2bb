"""How a sandbox is made; :mod:`datagen.verify.sandbox` says what it guarantees.

``box`` holds the sandbox and ``default`` the one that a process shares. A job is a talk with a
process: ``testing``, ``expressions`` and ``programs`` hold these talks, ``messages`` what they have
in common. ``pool`` keeps processes ready, ``process`` is one of them and ``channel`` its pipes.
``launch`` starts it with the command line of ``isolation`` and the ``syscall_filter``. ``modes``
finds out what works here. What runs on the other side is in :mod:`datagen.verify.inside`.
"""
