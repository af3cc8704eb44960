-- What expiry asks for is found in order, however much else there is.
CREATE INDEX seen_by_touch ON seen (touched_secs) WHERE touched_secs IS NOT NULL;

-- When a gone destination's positions were given up; its row stays for its dead letters' sake until they have expired.
ALTER TABLE destination ADD COLUMN released_secs INTEGER;
