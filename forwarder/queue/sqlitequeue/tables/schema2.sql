-- Version 2: the newest lines of the audit trail, one for each node, as JSON with a checksum.
ALTER TABLE meta ADD COLUMN audit TEXT NOT NULL DEFAULT '';
