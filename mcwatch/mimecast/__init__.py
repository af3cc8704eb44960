"""One account's Mimecast API: credentials, quota, clock skew, envelope and errors behind one call."""
