-- Version 2: the newest line of the audit trail of each node, and the process that writes it.
-- Another process with the same name takes the row over, and the one before then uses another
-- name.
CREATE TABLE scribegate.audit (
	node   text COLLATE "C" PRIMARY KEY,
	holder bigint      NOT NULL, -- random
	seq    bigint      NOT NULL, -- 0 before the first line
	chain  text        NOT NULL,
	at     timestamptz NOT NULL
);
ALTER TABLE scribegate.audit SET (fillfactor = 50, autovacuum_vacuum_threshold = 100);
