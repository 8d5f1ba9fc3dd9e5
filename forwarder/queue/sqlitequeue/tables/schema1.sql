-- The schema of version 1.
--
-- Times are in nanoseconds since 1970; 0 means none. Every row of event and delivery has
-- a checksum of its other columns. The authentication tag of the seal protects the sealed
-- payload.
--
-- Never change a comment within a statement: it is part of the schema that SQLite stores.

-- One row. counts is JSON and is derived from tables event and delivery. One function
-- updates it with every change, from the rows before and after the change.
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

-- seq is the time of receipt in microseconds since 1970, or the newest seq plus one if
-- that is greater. So seq orders events by arrival, and every event that was received
-- since a time has a seq of at least that time.
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

-- The initial state of events, with their sealed payloads. A row is inserted before all
-- other rows of the event, replaced at the end of the event's completion, and deleted with
-- the payload. upstreams is a JSON array, and has the names of stages too.
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

-- Stages have rows here too, and their names are in table upstream. State 4 is pending
-- and blocked: not claimed before the completion of the event or, for a cleanup, before
-- all of its deliveries. due is kept meanwhile.
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

-- The events with an id or a subject, by hash. A row may refer to an event that was
-- deleted or that has another id, so readers always compare the event's row.
CREATE TABLE name (
	hash INTEGER NOT NULL,
	seq  INTEGER NOT NULL,
	PRIMARY KEY (hash, seq)
) STRICT, WITHOUT ROWID;

-- The indexes come after all tables, so that the tables of a copy by VACUUM INTO have the
-- same root pages. Package salvage relies on that.
CREATE INDEX event_type ON event (type) WHERE type NOT IN ('note.generated', 'transcription.completed'); -- these two are found by scanning the events
CREATE INDEX event_set_aside ON event (state) WHERE state BETWEEN 3 AND 6;
CREATE INDEX event_ended ON event (state, ended_at) WHERE ended_at > 0;
CREATE INDEX event_kept ON event (ended_at) WHERE state = 1 AND size > 0;
CREATE INDEX delivery_state ON delivery (upstream, state, seq);
CREATE INDEX delivery_due ON delivery (upstream, due, seq) WHERE state = 1;
