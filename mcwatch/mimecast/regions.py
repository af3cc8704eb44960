"""The hosts Mimecast publishes, by region (reference notes B and C)."""

from typing import Literal

Region = Literal["global", "us", "usb", "uk", "eu", "de", "ca", "za", "au", "je"]

OAUTH2_HOSTS: dict[str, str] = {
    "global": "https://api.services.mimecast.com",
    "us": "https://us-api.services.mimecast.com",
    "uk": "https://uk-api.services.mimecast.com",
}
HMAC_HOSTS: dict[str, str] = {
    region: f"https://{region}-api.mimecast.com" for region in ("eu", "de", "us", "usb", "ca", "za", "au", "je")
}
