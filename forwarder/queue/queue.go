package queue

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

// The errors that every engine shares.
var (
	// ErrFull means that the stored events have reached the configured size.
	ErrFull = errors.New("queue is full")

	// ErrClosed means that the queue is closed.
	ErrClosed = errors.New("queue is closed")

	// ErrNotFound means that the store has no event with the id.
	ErrNotFound = errors.New("no such event")

	// ErrNoPayload means that the event's payload has been deleted, as happens after the last
	// delivery.
	ErrNoPayload = errors.New("the event's payload is no longer kept")

	// ErrPending means that the event still waits for an upstream.
	ErrPending = errors.New("the event still waits for an upstream")

	// ErrBusy means that the same operation is already running.
	ErrBusy = errors.New("it is already running")

	// ErrUnavailable means that the store cannot be used now, since its file was removed or
	// replaced, or is being repaired. The error may be temporary.
	ErrUnavailable = errors.New("the store cannot be used")

	// ErrInvalid means that a filter or a selection is not valid.
	ErrInvalid = errors.New("invalid selection")

	// ErrUnreadable means that a stored payload cannot be opened.
	ErrUnreadable = errors.New("the event's payload cannot be opened")

	// ErrUnrouted means that no upstream accepts the event.
	ErrUnrouted = errors.New("no upstream accepts the event")
)

// A Queue stores events durably until every upstream has accepted them.
//
// All methods are safe for concurrent use. A closed queue returns ErrClosed.
type Queue interface {
	// Store stores the item, its deliveries and its dedupe entry in one durable
	// transaction, and returns after they are on stable storage. If the id is already
	// in the store, nothing changes and the receipt is a duplicate.
	//
	// Store retries until ctx ends, and does not return a temporary storage error
	// before. After an error nothing of the item is stored, unless ctx ended during the
	// commit.
	Store(ctx context.Context, it Item) (Receipt, error)

	// Claim returns deliveries that are due for an upstream or a stage, and leases them
	// to the caller until they are settled or released. No other call returns a leased
	// delivery. A claim ends with the process. In a store that several nodes share, it ends when its
	// lease has ended too, and another node gets the delivery. A new event
	// may become due a moment after Store returns; the queue calls the wake function
	// then. All other methods see the event at once.
	Claim(upstream string, now time.Time, want Want) (Claimed, error)

	// Load returns the event of a claimed delivery. The caller must not change it,
	// since other callers may share it. Load returns ErrNotFound if the event, or its
	// delivery to this upstream, has been purged, and ErrUnreadable if its payload can
	// never be opened. For a cleanup it returns ErrNoPayload.
	Load(d Delivery) (*event.Event, error)

	// Settle records the outcome of an attempt at a claimed delivery. It returns before
	// the outcome is durable: a lost outcome costs a duplicate, never an event. The
	// claim ends when the outcome is durable. The outcome of a purged delivery changes
	// nothing. A completed event replaces the stored one and makes the deliveries to the
	// upstreams due, in one durable transaction and whatever MaxSize is: no Load returns
	// the earlier event any more.
	Settle(o Outcome)

	// Release ends a claim, as if the delivery had not been claimed.
	Release(d Delivery)

	// Notify sets the wake function. The queue calls it whenever an upstream or a stage
	// may have a delivery that is due earlier than Claim returned, because the delivery
	// was stored, replayed, released or unblocked. There is only one wake function; it
	// must not block.
	Notify(wake func(upstream string))

	// Events lists records, newest first.
	Events(ctx context.Context, f Filter) (Page, error)

	// Event returns the record of one event, or ErrNotFound.
	Event(ctx context.Context, id string) (Record, error)

	// Payload returns a stored event, or ErrNotFound, ErrNoPayload or
	// ErrUnreadable.
	Payload(ctx context.Context, id string) (*event.Event, error)

	// Replay makes the selected deliveries due at once, and counts their attempts from
	// 1 again. It skips claimed deliveries. With IDs alone, it replays either all events or
	// none: it returns ErrNotFound for an unknown id or an event without a delivery to
	// any of the upstreams, ErrNoPayload for an event without payload, ErrInvalid for a
	// quarantined event, and ErrUnrouted for an unrouted or unconfirmed event for which
	// Route returns no upstream.
	//
	// To replay an unrouted or unconfirmed event, Replay opens its payload, calls
	// Route, and adds a delivery to each returned upstream that is also in the
	// selection, and the returned stages. An event that waits for its completion still
	// waits, and the completion becomes due at once. With IDs alone, if Route returns
	// upstreams and not the completion any more, Replay drops the completion and the
	// cleanup.
	//
	// With State, Replay changes a part of the events at a time, and skips what is not in
	// the state at that moment: with IDs too, an unknown event is not an error.
	Replay(ctx context.Context, s ReplaySelection) (Replayed, error)

	// Purge deletes the selected deliveries permanently, and returns the number of
	// their events. It deletes claimed deliveries too: an attempt in flight may still
	// reach the upstream, and its outcome changes nothing. If no delivery of an event
	// to an upstream remains, Purge deletes the event and its id, so that the same event
	// is new if it is received again. Otherwise it deletes the event's cleanup. If all
	// remaining deliveries of an event have ended, the event ends now.
	//
	// With State and IDs, Purge skips an unknown event and one that is not in the state.
	// With IDs alone, Purge deletes either all events or none: it returns ErrNotFound for an
	// unknown id and, without Force, ErrPending for an event with a pending delivery.
	Purge(ctx context.Context, s PurgeSelection) (int, error)

	// Stats returns counts of the store's content. It is cheap.
	Stats() (Stats, error)

	// Configure changes the settings of an open queue.
	Configure(s Settings)

	// Close commits the pending changes and stops the queue. Claimed deliveries stay in
	// the store.
	Close() error
}

// A Compacter is a queue whose storage keeps the space of deleted events until it is
// compacted.
type Compacter interface {
	// Compact returns free space to the file system while the queue works. If it fails
	// or ctx ends, the remaining free space stays in the storage. A second Compact at
	// the same time returns ErrBusy. p counts bytes and may be nil.
	Compact(ctx context.Context, p Progress) (Compacted, error)
}

// A Backuper is a queue that can be copied while it works.
type Backuper interface {
	// Backup writes a consistent copy of the store to w. The copy, together with its
	// key, is a complete store. A second Backup at the same time returns ErrBusy. p
	// counts bytes and may be nil.
	Backup(ctx context.Context, w io.Writer, p Progress) error
}

// An Adviser is a queue whose storage is copied and compacted with other tools.
type Adviser interface {
	// Advice returns what to use instead of Backup and Compact.
	Advice() string
}

// A Cluster is a queue that several nodes share.
type Cluster interface {
	// Nodes returns the nodes that use the queue, this one included. Two nodes can have the
	// same name.
	Nodes() ([]Node, error)

	// Storage returns the state of the storage when its content was counted last, as by
	// Stats or Nodes. It does not wait for the storage.
	Storage() Storage
}

// A Node is one of the processes that share a queue.
type Node struct {
	Name     string
	LastSeen time.Time // by the clock of the storage
	Leased   int64     // deliveries that no other node claims now
	Self     bool      // whether it is this node
}

// A Storage is the state of the storage that the nodes of a Cluster share.
type Storage struct {
	RoundTrip time.Duration // of the newest request by which this node looks for changes; 0 if there was none
	Standbys  []Standby     // that follow the storage now
}

// A Standby is a copy of the storage that follows it.
type Standby struct {
	Name string

	// Visible reports whether this node may see the following.
	Visible     bool
	Synchronous bool          // whether an event counts as stored only when the standby has it too
	LagBytes    int64         // what the standby has not written yet
	Lag         time.Duration // how late it was with what it has written last; 0 if nothing is missing
}

// A Progress is a callback for long operations: a replay, a purge, a compaction or a
// backup calls it from time to time with the amount done and the total (0 if unknown).
// It runs in the goroutine that requested the operation, and the queue holds no lock
// meanwhile: a slow Progress delays only that operation. An operation that succeeds
// reports the total at its end. An operation that fails has done at least the reported
// amount.
type Progress func(done, total int64)

// Report calls p, unless it is nil.
func (p Progress) Report(done, total int64) {
	if p != nil {
		p(done, total)
	}
}

// Compacted is the result of Compact: the size of the storage in bytes.
type Compacted struct {
	Before, After int64
}

// Settings are the settings that can change while a queue is open.
type Settings struct {
	MaxSize          int64         // bytes of sealed records; 0: no limit
	DedupeWindow     time.Duration // how long an id is remembered after receipt
	DeadRetention    time.Duration // how long dead, quarantined, unrouted and unconfirmed events are kept
	HistoryRetention time.Duration // how long the trace of delivered events is kept
	KeepDelivered    time.Duration // how long payloads stay after the last delivery
}

// DefaultSettings returns the settings of a configuration that sets none.
func DefaultSettings() Settings {
	return Settings{
		MaxSize:          10 << 30,
		DedupeWindow:     24 * time.Hour,
		DeadRetention:    14 * 24 * time.Hour,
		HistoryRetention: 72 * time.Hour,
	}
}
