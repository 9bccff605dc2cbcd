"""How the simulated Airbnb signs what it delivers: RSA over six values of the request.

``host|url|method|date|content-type|body`` is signed with RSASSA-PKCS1-v1_5 and SHA-256. ``url`` is the path; ``host`` has no
port, though the request's own Host header does.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

CONTENT_TYPE = "application/json; charset=utf-8"

_NAMES = "host url method date content-type body"

# A made-up key for made-up channels: it signs nothing but the sandbox's deliveries, and is everybody's to know.
_KEY = (
    "MIIEpAIBAAKCAQEA2Ij4sJCE3M+E/6T3qUXLQr2pu/9VmbQBtLCOhdDruucOnlHUROMngPUXx7JAeTgbCARwaF7Enpyeh3J0"
    "VVS/hCStRNakN1A4ylYdS8kOr431VAZ3fNYI1pYHyFSNC/kTWdXzsxrEhaqPGVWCDIV0MNwnZ85yV4o2mc5/SRx3VsX3uo0R"
    "tp7thp1UQonKyCEwbFO0fy/ALdH6lOjD2YGlYBlDMFNi/KUNwU+Xhm2OdhqDX9QVRvm18IdM9mZbuClC+MU66dwuiFrHXAS0"
    "t1VvdYrGfxjUYpeNcLL7fkCB1xEBdqcS8cPpTkHRbgj+1v3e4SLim5DZbytIvl8lTKQWjwIDAQABAoIBAGpq0pHvzKQ6hrof"
    "CKpTx0PbM35Vy+t4qHf1Z24Dkb6uzKPpQmHCo4kAqzm09HO+q6ZCjD33CTmMbmrRyLOhLWhToCYbOOSIVAi4zrgOrV2A7mdn"
    "sDSVeg1/+X4uc41FUYnOmPDWgGvSuXYxbHMb6VET+XfOYap9Hj1z22GCkHH/fEHfN2BUGUwH9btDP9vkulNCCj1CkAvvwPL8"
    "VRGcI28X5eepnr5Tp3wuoQOohNGeMgT9r1ekIQ3FKuLMpRyMyq1LzUB/vd0R2MDw4kRc1WkyJfJedbV/eP/qrGyNeLKsu62U"
    "QhZ4EcrZHchQhBfJNJ6J8CskcarHFzxIsKvorO0CgYEA+8DcYD4PhvrLp/4YIdHFk2jCij6CcX6VUhQuOlcq5gPnPMjD+Y5P"
    "Vk5c9JZUEJDiTCaTlaTsTuDDrGtEDZ4pMTcXsrFWFueAPJZV6HepRwHWT3Wo+u4tGLfGDN/iEpXNS+wkjSGjanQKZcpq+Fj7"
    "Yujhnylupa30hmgYt/XyTpsCgYEA3DAHQ2FAkbdCCOLYFGe27r3VoIL/mciAfj6IoUA7X548Bh0rMInByTTlK69B/v06IEys"
    "/jSpTR6R5uCi+76e1UYghcIouMWaw1dgXPzY20lZM9WnsWVmdUB2Bi3nCuE5CjLu1/W+nHfVkKSASrWW1JgnE5CugWo7B/v1"
    "zQCm/R0CgYAnY7+XV156khb3S+xerkGplMSLeMhUFagrVXj+K9FMd+PgQNFY5IlJSa2Fn1e7189wdsC0sz8+ADDdc1MMhmiP"
    "iL0uekyr/MC1uhfq7X4Q3Bq6CADOciGgMnDMZuMqYUHj1SjK5C57Y3iVAJzICrQaf7F9g7AKQDN4LCVh8xtcbQKBgQDX2aVl"
    "IlNgBZyQhYB6EGo+hI6FeaYEJZABMmBSY1tRExeYjsOmI4V7L4VxW6+AvtFalJAJ66oEVfGFubVMwMOII+UB+yJccCqVUHTA"
    "84XLAo6Vx99KgjL8wqJw0FLsUXnPS7rkrp2bWcZcs0ao9nbUFgxIm87WQ0N3QkLmIruQ6QKBgQDh7/ezAc2UqpnfOFtwB2lp"
    "ci+RaOs6n5bVbyDR5G2/LmRilBIsl8xW7AInhbeu7d2AthTY/PzvbkIagRVpmMGkASRQ4xHyVdIM316YjnXlhtyqO5TMfFZX"
    "UK4e5hQ8LDkGKlEXaoSotFgS2+Tly/XZRiqKNM74hBnJKtRFJXjyuw=="
)


def public_key() -> str:
    """What a host's system verifies the simulated Airbnb's deliveries with, in PEM."""
    pem = _private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def signed_headers(
    url: str, date: str, body: bytes, *, host_with_port: bool = False, forged: bool = False
) -> Mapping[str, str]:
    """The headers of a POST of ``body`` to ``url`` at ``date``, an HTTP date.

    ``host_with_port`` signs the Host header as it is sent. ``forged``: the signature is another body's.
    """
    parts = urlsplit(url)
    host = parts.netloc if host_with_port else parts.netloc.removesuffix(f":{parts.port}")
    text = f"{host}|{parts.path}|POST|{date}|{CONTENT_TYPE}|".encode() + body
    signature = b64encode(_private_key().sign(text + b" " * forged, PKCS1v15(), SHA256())).decode()
    return {
        "Host": parts.netloc,
        "Date": date,
        "Content-Type": CONTENT_TYPE,
        "Authorization": f'Signature keyId="booking_web_hooks",algorithm="rsa-sha256",headers="{_NAMES}",'
        f'delimiter="|",signature="{signature}"',
    }


@cache
def _private_key() -> RSAPrivateKey:
    key = load_der_private_key(b64decode(_KEY), None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("the sandbox signs with RSA")
    return key
