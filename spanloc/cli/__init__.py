"""The console commands: a file each, named after it, over the calls that Python users make.

``commands`` starts one. ``frame`` is what all commands share, ``run`` the parts of a training, ``search`` those of
``spanloc-tune``. ``evaluated_data`` and ``decoding`` are parts of an evaluation. A mistake in a setting is a
``ValueError`` that names it; ``frame`` prints the line.
"""
