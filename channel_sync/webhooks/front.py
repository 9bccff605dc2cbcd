"""What stands between the channels and us: whose word on the sender is believed, and what the channels addressed."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import urlsplit

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Front:
    """``public_url`` is what channels address, where that is not our own address: signatures are made over it.

    ``trusted_proxies`` are those whose X-Forwarded-For is believed.
    """

    public_url: str | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    def source(self, peer: str | None, forwarded_for: Sequence[str]) -> str:
        """The address that a request came from.

        ``peer`` is who connected, ``forwarded_for`` the X-Forwarded-For headers. Each proxy appends whom it was called
        by, so they are believed from the right, as far as those who appended them are trusted.
        """
        source = peer or UNKNOWN
        if not self.trusted_proxies:
            return source
        hops = [hop.strip() for line in forwarded_for for hop in line.split(",")]
        while hops and self._is_trusted(source):
            hop = hops.pop()
            if not _is_address(hop):
                return source
            source = hop
        return source

    def addressed(self, host: str, path: str) -> tuple[str, str]:
        """Host (with its port, if it had one) and path as the channel wrote them, from those that reached us."""
        if self.public_url is None:
            return host, path
        public = urlsplit(self.public_url)
        return public.netloc, public.path.rstrip("/") + path

    def _is_trusted(self, address: str) -> bool:
        if not _is_address(address):
            return False
        found = ip_address(address)
        mapped = found.ipv4_mapped if found.version == 6 else None
        return any((mapped or found) in network for network in self.trusted_proxies)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
