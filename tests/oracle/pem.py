"""Convert DER to PEM, and to the `data` of a list entry."""

import base64


def pem(*ders: bytes) -> str:
    return "".join(f"-----BEGIN CERTIFICATE-----\n{_lines(der)}-----END CERTIFICATE-----\n" for der in ders)


def data(*ders: bytes) -> str:
    return base64.b64encode(pem(*ders).encode()).decode()


def _lines(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    return "".join(f"{text[at : at + 64]}\n" for at in range(0, len(text), 64))
