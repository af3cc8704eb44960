"""mcwatch watches the mail flow of Mimecast accounts and feeds every message to a SIEM."""

__version__ = "0.1.0"
