"""Check every provider with one suite: data, refusals, limits, items, identity, and a walk.

``suite`` holds the checks and names no provider: they run over every folder in
``shared/providers``. The tests beside it prove that the suite bites, and that the template and the
guide lead to a provider that passes.
"""
