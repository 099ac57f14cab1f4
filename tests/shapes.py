"""The checker of shapes and types: beartype, for which an int is a float, as in all of Python."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
