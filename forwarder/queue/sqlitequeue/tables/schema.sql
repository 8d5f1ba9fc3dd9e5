-- The schema of version 1.
--
-- Times are nanoseconds since 1970; 0 is none. Every row of event and delivery has a
-- checksum of its other columns; the seal's tag covers the payload.

-- One row. counts is derived from table event and its deliveries, as JSON; it is written
-- with every change of them, by one function, from the rows before and after it.
CREATE TABLE meta (
	id              INTEGER PRIMARY KEY CHECK (id = 1),
	store           BLOB    NOT NULL, -- random; a backup has another one
	writes          INTEGER NOT NULL, -- of this row: the WAL has them in a row, and begins with the next
	checksum        INTEGER NOT NULL, -- of these two
	path            TEXT    NOT NULL, -- of the file, where it was opened last
	clean           INTEGER NOT NULL, -- whether it was closed since
	used_at         INTEGER NOT NULL, -- the newest time that the store has seen
	named           INTEGER NOT NULL, -- the names of all events up to this seq are in table name
	filed           INTEGER NOT NULL, -- all events up to this seq are in table event; the others are in payload only
	counts          TEXT    NOT NULL,
	counts_checksum INTEGER NOT NULL  -- of these two
) STRICT;

CREATE TABLE upstream (
	id       INTEGER PRIMARY KEY,
	name     TEXT    NOT NULL UNIQUE,
	checksum INTEGER NOT NULL -- never 0
) STRICT;

-- seq is the time of receipt in microseconds since 1970, or one more than the newest
-- seq where that is not less: so seq orders events by arrival, and no event that was
-- received since a time has a lower seq than that time.
CREATE TABLE event (
	seq         INTEGER PRIMARY KEY,
	id          TEXT    NOT NULL,
	provider    TEXT    NOT NULL,
	type        TEXT    NOT NULL,
	subject     TEXT    NOT NULL,
	received_at INTEGER NOT NULL,
	state       INTEGER NOT NULL, -- 0 pending, 1 delivered, 2 dead, 3 quarantined, 4 unrouted, 5 unconfirmed, 6 for no upstream, 7 tombstone
	reason      TEXT    NOT NULL,
	ended_at    INTEGER NOT NULL,
	size        INTEGER NOT NULL, -- of the sealed payload; 0 where it is not kept
	key         INTEGER NOT NULL, -- the fingerprint of the key that sealed it
	checksum    INTEGER NOT NULL
) STRICT;

-- Events as they were stored, with their sealed payload. A row is written before any
-- other of the event, and deleted with the payload. upstreams is a JSON array.
CREATE TABLE payload (
	seq         INTEGER PRIMARY KEY,
	id          TEXT    NOT NULL,
	provider    TEXT    NOT NULL,
	type        TEXT    NOT NULL,
	subject     TEXT    NOT NULL,
	received_at INTEGER NOT NULL,
	state       INTEGER NOT NULL,
	reason      TEXT    NOT NULL,
	ended_at    INTEGER NOT NULL,
	upstreams   TEXT    NOT NULL,
	checksum    INTEGER NOT NULL, -- of all others but sealed
	sealed      BLOB    NOT NULL
) STRICT;

CREATE TABLE delivery (
	seq      INTEGER NOT NULL,
	upstream INTEGER NOT NULL,
	state    INTEGER NOT NULL, -- 0 pending and not attempted since it was stored or replayed, 1 pending, 2 delivered, 3 dead
	due      INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	used     INTEGER NOT NULL,
	history  BLOB    NOT NULL,
	checksum INTEGER NOT NULL,
	PRIMARY KEY (seq, upstream)
) STRICT, WITHOUT ROWID;

-- The events that have an id or a subject, by a hash of it. Rows for events that are
-- gone, or have another id, are possible, so the event's row is always compared.
CREATE TABLE name (
	hash INTEGER NOT NULL,
	seq  INTEGER NOT NULL,
	PRIMARY KEY (hash, seq)
) STRICT, WITHOUT ROWID;

-- Indexes are behind the tables, so that VACUUM INTO gives a copy the same root pages: package
-- salvage relies on that.
CREATE INDEX event_type ON event (type) WHERE type NOT IN ('note.generated', 'transcription.completed'); -- those are found by going through the events
CREATE INDEX event_set_aside ON event (state) WHERE state BETWEEN 3 AND 6;
CREATE INDEX event_ended ON event (state, ended_at) WHERE ended_at > 0;
CREATE INDEX event_kept ON event (ended_at) WHERE state = 1 AND size > 0;
CREATE INDEX delivery_state ON delivery (upstream, state, seq);
CREATE INDEX delivery_due ON delivery (upstream, due, seq) WHERE state = 1;
