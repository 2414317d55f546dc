"""Class names inside composed names: the columns ``p_<class>`` and ``raw_<class>``, the figures ``recall_<class>``."""

from __future__ import annotations

import re

from semeion.errors import InputError

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_ENCODED = re.compile(r"(?:[A-Za-z0-9_.-]|%[0-9A-Fa-f]{2})*")


def encode_class(name: str) -> str:
    """Percent-encode every UTF-8 byte of `name` outside ``[A-Za-z0-9_.-]``.

    Different names stay different, because the percent sign is itself encoded.

    Examples
    --------
    >>> encode_class("normal or benign")
    'normal%20or%20benign'
    """
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in name.encode())


def decode_class(encoded: str) -> str:
    """Return the name that :func:`encode_class` wrote.

    Raises
    ------
    InputError
        When `encoded` holds a character that should have been encoded, or bytes that are not UTF-8.
    """
    from urllib.parse import unquote

    fix = "percent-encode what is outside [A-Za-z0-9_.-]"
    if _ENCODED.fullmatch(encoded) is None:
        raise InputError("not a percent-encoded class name", where=repr(encoded), fix=fix)
    try:
        return unquote(encoded, errors="strict")
    except UnicodeDecodeError as error:
        raise InputError("the percent-encoded bytes are not UTF-8", where=repr(encoded), fix=fix) from error
