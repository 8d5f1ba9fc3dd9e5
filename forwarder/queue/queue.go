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
	// delivery. A claim exists in memory only and ends with the process. A new event
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
	// 1 again. It skips claimed deliveries. With IDs, it replays either all events or
	// none: it returns ErrNotFound for an unknown id or an event without a delivery to
	// any of the upstreams, ErrNoPayload for an event without payload, ErrInvalid for a
	// quarantined event, and ErrUnrouted for an unrouted or unconfirmed event for which
	// Route returns no upstream.
	//
	// To replay an unrouted or unconfirmed event, Replay opens its payload, calls
	// Route, and adds a delivery to each returned upstream that is also in the
	// selection, and the returned stages. An event that waits for its completion still
	// waits, and the completion becomes due at once. If there is a Route and it does not
	// return the completion any more, Replay drops the completion and the cleanup.
	Replay(ctx context.Context, s ReplaySelection) (Replayed, error)

	// Purge deletes the selected deliveries permanently, and returns the number of
	// their events. It deletes claimed deliveries too: an attempt in flight may still
	// reach the upstream, and its outcome changes nothing. If no delivery of an event
	// to an upstream remains, Purge deletes the event and its id, so that the same event
	// is new if it is received again. Otherwise it deletes the event's cleanup. If all remaining deliveries of an event have ended, the event
	// ends now.
	//
	// With IDs, Purge deletes either all events or none: it returns ErrNotFound for an
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

// An Item is one event to store.
type Item struct {
	Event     *event.Event // must not change any more, even after it is stored
	Upstreams []string     // the upstreams that receive the event, and its stages; may be empty

	// Recovered marks an event that was not received but found at its provider: any trace
	// of it in the store, however old, makes it a duplicate.
	Recovered bool

	// State is Quarantined, Unrouted or Unconfirmed for an event that is kept with its
	// payload and without deliveries, else "".
	State  State
	Reason string // of an event that is set aside: a fixed phrase, since it is not sealed
}

// A Receipt is the result of Store.
type Receipt struct {
	Duplicate bool
}

// Want is the number of deliveries of each class that a caller of Claim accepts.
type Want struct {
	First int // deliveries that were never attempted, in order of arrival
	Retry int // deliveries that were attempted before, longest due first
}

// Claimed is the result of Claim.
type Claimed struct {
	Deliveries []Delivery
	// Next is when the first retry that is not due yet becomes due; zero if there is
	// none.
	Next time.Time
}

// A Delivery is one event to be delivered to one upstream.
type Delivery struct {
	Seq        uint64 // the engine's key of the event
	EventID    string
	Provider   string
	Type       string // the short type
	Subject    string // may be ""
	Upstream   string
	Size       int64 // bytes of the sealed record, about as much memory as Load uses
	ReceivedAt time.Time
	Attempts   int // number of attempts since the last replay
	Used       int // how many of them count against the budget

	// LastEnded is when the newest of these attempts ended; zero if there were none.
	LastEnded time.Time

	History []Attempt // of a stage, oldest first; nil for an upstream
}

// A State is the state of a delivery, or of an event as a whole.
type State string

// The states of a delivery.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Dead      State = "dead"
)

// The states of an event that is kept with its payload and without deliveries.
const (
	Quarantined State = "quarantined" // genuine bytes that are not an event
	Unrouted    State = "unrouted"    // no upstream accepts it
	Unconfirmed State = "unconfirmed" // its provider has no record of it
)

// States lists all states.
var States = []State{Pending, Delivered, Dead, Quarantined, Unrouted, Unconfirmed}

// SetAside reports whether an event in the state is set aside: it has no deliveries and
// is kept with its payload for DeadRetention.
func (s State) SetAside() bool { return s == Quarantined || s == Unrouted || s == Unconfirmed }

// A Result is how an attempt ended. The set is closed and is also the metric's label.
type Result string

// The results of an attempt.
const (
	Success      Result = "success"
	Failure      Result = "failure"
	Timeout      Result = "timeout"
	ConnectError Result = "connect_error"
	Gone         Result = "gone"
)

// Results lists all results.
var Results = []Result{Success, Failure, Timeout, ConnectError, Gone}

// An Outcome is the outcome of one attempt.
type Outcome struct {
	Delivery Delivery
	At       time.Time // when the attempt began
	Duration time.Duration
	Status   int // of the upstream's answer; 0 if there was none
	Result   Result
	Used     bool      // whether it counts against the budget
	State    State     // Pending, Delivered or Dead; of a completion Pending, Delivered or Unconfirmed; otherwise Settle is a Release
	Next     time.Time // if Pending: the next attempt starts no earlier

	// Of a completion that is Delivered: Event replaces the stored event, and has the same
	// id; nil leaves the stored one. Retain drops the event's cleanup.
	Event  *event.Event
	Retain bool

	Reason string // of a completion that is Unconfirmed: a fixed phrase

	// Note is what a stage needs to know at its next attempt: it is returned in the
	// history. It is not sealed, and has at most 128 bytes.
	Note string
}

// An Attempt is an outcome in the history of a delivery.
type Attempt struct {
	Number   int // from 1; a replay starts again at 1
	At       time.Time
	Duration time.Duration
	Result   Result
	Status   int
	Used     bool   // whether it counts against the budget
	Note     string // of a stage: see Outcome
}

// MaxHistory is the number of attempts that are kept for a delivery: the newest ones. A
// delivery can be attempted without end while its upstream is down, and its history
// must not fill the disk.
const MaxHistory = 50

// A Record is what the store returns about an event without opening its payload.
type Record struct {
	ID         string
	Provider   string
	Type       string // the short type
	Subject    string // may be ""
	ReceivedAt time.Time

	// State is Quarantined, Unrouted or Unconfirmed for an event that is set aside,
	// else the worst state of its deliveries: dead, then pending, then delivered. An
	// event without upstreams is delivered.
	State      State
	Reason     string // of a quarantined or unconfirmed event
	HasPayload bool
	Deliveries []DeliveryRecord
	Stages     []DeliveryRecord
}

// A DeliveryRecord is the state of one delivery of an event.
type DeliveryRecord struct {
	Upstream    string
	State       State
	Attempts    int
	Used        int
	NextAttempt time.Time // if Pending and attempted before
	History     []Attempt
}

// Replayed is the result of Replay.
type Replayed struct {
	Deliveries     int // to upstreams, due again
	WithoutPayload int // events that were skipped because their payload is no longer kept
	Unrouted       int // unrouted or unconfirmed events that were skipped because Route returned no upstream
}

// Stats are counts of the store's content.
type Stats struct {
	Bytes       int64 // of sealed records
	MaxBytes    int64 // 0: no limit
	Quarantined int64
	Unrouted    int64
	Unconfirmed int64
	Unreadable  int64                    // events known to be damaged in whole or in part
	Upstreams   map[string]UpstreamStats // every upstream that has events, configured or not
	Stages      map[string]UpstreamStats // every stage that can be claimed or is dead for an event
}

// UpstreamStats are counts of an upstream's deliveries.
type UpstreamStats struct {
	Pending       int64 // including claimed ones and, of an upstream, those that wait for a completion
	InFlight      int64 // claimed
	Dead          int64
	OldestPending time.Time // when the oldest pending event was received; zero if there is none
}
