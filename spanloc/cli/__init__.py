"""The console commands: a file each, named after it, over the calls that Python users make.

``commands`` and ``entry`` start one; ``arguments``, ``mistakes``, ``stopping``, ``ranks``, ``machine`` and ``folder`` are
about how it is called, how it ends, and where it runs; ``show`` and ``terminal`` print. ``settings``, ``resume``,
``requeue``, ``environment``, ``tracking``, ``objective``, ``evaluated_data`` and ``decoding`` are parts of a training or an evaluation,
``sweeps`` and ``launchers`` of several runs.
"""
