"""All outbound HTTP: one session per other side, library failures translated into mcwatch's errors, bounded retries."""
