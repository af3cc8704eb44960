-- What of a search was read, to the second: spans that never overlap, half-open. cover says what became of the range
-- (domain/window/coverage.py), at_secs when that was last found, on the API's clock.
CREATE TABLE coverage (
  feed_id    INTEGER NOT NULL REFERENCES feed (id),
  search     TEXT    NOT NULL,
  start_secs INTEGER NOT NULL,
  end_secs   INTEGER NOT NULL,
  cover      TEXT    NOT NULL,
  at_secs    INTEGER NOT NULL,
  PRIMARY KEY (feed_id, search, start_secs)
) STRICT, WITHOUT ROWID;
