-- The schema of version 1.
--
-- Times are in nanoseconds since 1970, 0 means none, unless a column has a type of time:
-- those are by the database's clock.
--
-- Migrations only add what an earlier version ignores, so that nodes of two versions work
-- side by side while they are replaced one by one.

-- One row.
CREATE TABLE scribegate.meta (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	version integer NOT NULL,
	oldest  integer NOT NULL, -- the oldest version of the schema whose programs can work with this one
	used_at bigint  NOT NULL, -- the newest time that the store has seen
	ended   bigint  NOT NULL, -- traces that ended then or before count as deleted
	purges  bigint  NOT NULL DEFAULT 1 -- grows when events are purged, which nodes may have in memory
);

-- The nodes that use the store. A node leases deliveries until its row's time has passed,
-- and renews it. Another node then deletes the row, and the leases with it.
CREATE TABLE scribegate.node (
	id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name   text        NOT NULL,
	sealer bigint      NOT NULL, -- the fingerprint of the key with which it seals
	since  timestamptz NOT NULL,
	seen   timestamptz NOT NULL,
	until  timestamptz NOT NULL
);

-- The version of the pauses has a row of its own: a node that hangs while it has locked it
-- must not make the others wait to store events.
CREATE TABLE scribegate.pause_version (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	version bigint NOT NULL
);
INSERT INTO scribegate.pause_version (version) VALUES (1);

-- The pauses of upstreams: see queue.Pause.
CREATE TABLE scribegate.pause (
	upstream text COLLATE "C" NOT NULL,
	backend  text COLLATE "C" NOT NULL,
	hold     bigint NOT NULL,
	probe    bigint NOT NULL,
	delay    bigint NOT NULL,
	prober   text   NOT NULL,
	probed   text   NOT NULL,
	PRIMARY KEY (upstream, backend)
);

-- The keys that have sealed, and since when. Records are resealed with the newest.
CREATE TABLE scribegate.key (
	fingerprint bigint PRIMARY KEY,
	since       timestamptz NOT NULL
);

-- The ids of all events, for deduplication. buried is set when the event was deleted and
-- its id is kept until the end of the dedupe window. An id without an event, whose trace was
-- dropped, counts as buried.
CREATE TABLE scribegate.known (
	id          text COLLATE "C" PRIMARY KEY,
	seq         bigint  NOT NULL,
	received_at bigint  NOT NULL,
	buried      boolean NOT NULL
);
CREATE INDEX known_buried ON scribegate.known (received_at) WHERE buried;

-- The events that are not over: a delivery is pending or dead, or the payload is kept.
--
-- seq is the time at which a node stored the event, in microseconds since 1970, in its
-- upper 53 bits, and the lower bits of the node's id in the others. So seq orders the
-- events by arrival, and two nodes never choose the same.
CREATE TABLE scribegate.event (
	seq         bigint PRIMARY KEY,
	id          text COLLATE "C" NOT NULL,
	provider    text COLLATE "C" NOT NULL,
	type        text COLLATE "C" NOT NULL,
	subject     text COLLATE "C" NOT NULL,
	received_at bigint   NOT NULL,
	state       smallint NOT NULL, -- 0 pending, 1 delivered, 2 dead, 3 quarantined, 4 unrouted, 5 unconfirmed
	reason      text     NOT NULL,
	ended_at    bigint   NOT NULL,
	size        bigint   NOT NULL, -- of the sealed payload; 0 where it is not kept
	key         bigint   NOT NULL  -- the fingerprint of the key that sealed it
);
CREATE INDEX event_subject ON scribegate.event (subject, seq) WHERE subject <> '';
CREATE INDEX event_type ON scribegate.event (type, seq) WHERE type NOT IN ('note.generated', 'transcription.completed'); -- these two are found by scanning the events
CREATE INDEX event_set_aside ON scribegate.event (state, seq) WHERE state BETWEEN 3 AND 5;
CREATE INDEX event_ended ON scribegate.event (state, ended_at) WHERE ended_at > 0;
CREATE INDEX event_kept ON scribegate.event (key, seq) INCLUDE (size, state, ended_at) WHERE size > 0;

-- slot is seq, so that the payloads are in partitions by the time at which they were stored, or
-- 0. Most payloads are deleted soon. What is left in an old partition gets the slot 0, and the
-- partition is dropped.
CREATE TABLE scribegate.payload (
	slot   bigint NOT NULL,
	seq    bigint NOT NULL,
	sealed bytea  NOT NULL,
	PRIMARY KEY (seq, slot)
) PARTITION BY RANGE (slot);
ALTER TABLE scribegate.payload ALTER COLUMN sealed SET STORAGE EXTERNAL; -- it cannot be compressed
CREATE TABLE scribegate.payload_rest PARTITION OF scribegate.payload FOR VALUES FROM (0) TO (1);

-- The traces of events that are over. When an event ends, its rows in event, delivery and
-- payload are deleted, and there is one row here, which never changes. The partitions are
-- dropped when the retention of their traces has ended. An id is found through known.
CREATE TABLE scribegate.history (
	seq         bigint NOT NULL,
	id          text COLLATE "C" NOT NULL,
	provider    text COLLATE "C" NOT NULL,
	type        text COLLATE "C" NOT NULL,
	subject     text COLLATE "C" NOT NULL,
	received_at bigint NOT NULL,
	reason      text   NOT NULL,
	ended_at    bigint NOT NULL,
	deliveries  bytea  NOT NULL
) PARTITION BY RANGE (ended_at);
CREATE INDEX history_seq ON scribegate.history (seq);
CREATE INDEX history_subject ON scribegate.history (subject, seq) WHERE subject <> '';
CREATE INDEX history_type ON scribegate.history (type, seq) WHERE type NOT IN ('note.generated', 'transcription.completed');

-- Stages have rows here too. State 4 is pending and blocked: not claimed before the
-- completion of the event or, for a cleanup, before all of its deliveries. due is kept
-- meanwhile. node is the node that leases the delivery, or NULL.
CREATE TABLE scribegate.delivery (
	seq      bigint   NOT NULL,
	upstream text COLLATE "C" NOT NULL,
	state    smallint NOT NULL, -- 0 pending and not attempted since it was stored or replayed, 1 pending, 2 delivered, 3 dead, 4 blocked
	due      bigint   NOT NULL,
	attempts integer  NOT NULL,
	used     integer  NOT NULL,
	history  bytea    NOT NULL,
	node     bigint,
	PRIMARY KEY (seq, upstream)
);
CREATE INDEX delivery_open ON scribegate.delivery (upstream, state, seq) INCLUDE (node) WHERE state <> 2;
CREATE INDEX delivery_first ON scribegate.delivery (upstream, seq) WHERE state = 0 AND node IS NULL;
CREATE INDEX delivery_retry ON scribegate.delivery (upstream, due, seq) WHERE state = 1 AND node IS NULL;
CREATE INDEX delivery_node ON scribegate.delivery (node) WHERE node IS NOT NULL;

-- Their rows change all the time, and few are alive.
ALTER TABLE scribegate.delivery SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
ALTER TABLE scribegate.event SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
ALTER TABLE scribegate.payload_rest SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
ALTER TABLE scribegate.known SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
ALTER TABLE scribegate.node SET (fillfactor = 50, autovacuum_vacuum_threshold = 100);

INSERT INTO scribegate.meta (version, oldest, used_at, ended) VALUES (1, 1, 0, 0);
