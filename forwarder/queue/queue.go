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
	// ErrFull says that the stored events have reached the configured size.
	ErrFull = errors.New("queue is full")

	// ErrClosed says that the queue has been closed.
	ErrClosed = errors.New("queue is closed")

	// ErrNotFound says that no event with the id is in the store.
	ErrNotFound = errors.New("no such event")

	// ErrNoPayload says that the event's payload has been deleted, as it is
	// after the last delivery.
	ErrNoPayload = errors.New("the event's payload is no longer kept")

	// ErrPending says that the event still waits for an upstream.
	ErrPending = errors.New("the event still waits for an upstream")

	// ErrBusy says that the same work is already running.
	ErrBusy = errors.New("it is already running")

	// ErrUnavailable says that the store cannot be used now: its file was removed or
	// replaced, or is being repaired. It may pass by itself.
	ErrUnavailable = errors.New("the store cannot be used")

	// ErrInvalid says that a filter or a selection is not valid.
	ErrInvalid = errors.New("invalid selection")

	// ErrUnreadable says that a stored payload cannot be opened.
	ErrUnreadable = errors.New("the event's payload cannot be opened")

	// ErrUnrouted says that no upstream accepts the event.
	ErrUnrouted = errors.New("no upstream accepts the event")
)

// A Queue stores events durably until every upstream has accepted them.
//
// All methods may be called from many goroutines at once. A queue that has been
// closed returns ErrClosed.
type Queue interface {
	// Store stores the item, its deliveries and its dedupe entry in one durable
	// transaction, and returns when that is on stable storage. If the id is
	// already in the store, nothing changes and the receipt is a duplicate.
	//
	// Store retries until ctx ends, and does not return a temporary error of
	// the storage before. After an error nothing of the item is stored, unless
	// ctx ended during the commit.
	Store(ctx context.Context, it Item) (Receipt, error)

	// Claim returns deliveries that are due for an upstream, and leases them to
	// the caller until they are settled or released. No other call returns a
	// leased delivery. A claim exists in memory only and ends with the process.
	// A new event may become due a moment after Store returns; wake is called
	// then. All other methods see the event at once.
	Claim(upstream string, now time.Time, want Want) (Claimed, error)

	// Load returns the event of a claimed delivery. The caller must not change
	// it, since other callers may share it. ErrNotFound: the event, or its
	// delivery to this upstream, has been purged. ErrUnreadable: its payload
	// cannot be opened, now or later.
	Load(d Delivery) (*event.Event, error)

	// Settle records the outcome of an attempt at a claimed delivery, and
	// returns before that is durable: losing an outcome costs a duplicate,
	// never an event. The claim ends when the outcome is durable. The outcome
	// of a delivery that has been purged changes nothing.
	Settle(o Outcome)

	// Release ends a claim, as if the delivery had not been claimed.
	Release(d Delivery)

	// Notify sets the function that is called whenever an upstream may have a
	// delivery due earlier than Claim returned: one was stored, replayed or
	// released. There is one wake function; it must not block.
	Notify(wake func(upstream string))

	// Events lists records, newest first.
	Events(ctx context.Context, f Filter) (Page, error)

	// Event returns the record of one event, or ErrNotFound.
	Event(ctx context.Context, id string) (Record, error)

	// Payload returns a stored event, or ErrNotFound, ErrNoPayload or
	// ErrUnreadable.
	Payload(ctx context.Context, id string) (*event.Event, error)

	// Replay makes the selected deliveries due at once, and counts their
	// attempts from 1 again. It skips claimed deliveries. With IDs, either all
	// events are replayed or none: it returns ErrNotFound for an unknown id or
	// an event without a delivery to any of the upstreams, ErrNoPayload for an
	// event without payload, ErrInvalid for a quarantined event, and ErrUnrouted
	// for an unrouted or unconfirmed event that Route finds no upstream for.
	//
	// A replay of an unrouted or unconfirmed event opens its payload, asks Route,
	// and adds a delivery to each of those upstreams that the selection has.
	Replay(ctx context.Context, s ReplaySelection) (Replayed, error)

	// Purge deletes the selected deliveries permanently, and returns the number
	// of events that they belong to. Claimed deliveries are deleted too: an
	// attempt in flight may still reach the upstream, and its outcome changes
	// nothing. When the last delivery of an event is deleted, the event and its
	// id are deleted: the same event, received again, is new. An event whose
	// remaining deliveries have all ended has ended now.
	//
	// With IDs, either all events are deleted or none: Purge returns ErrNotFound
	// for an unknown id and, without Force, ErrPending for an event with a
	// pending delivery.
	Purge(ctx context.Context, s PurgeSelection) (int, error)

	// Stats counts what is in the store. It is cheap.
	Stats() (Stats, error)

	// Configure changes the settings of a queue that is open.
	Configure(s Settings)

	// Close commits what was accepted and ends the queue's work. Claimed
	// deliveries stay in the store.
	Close() error
}

// A Compacter is a queue whose storage keeps the space of deleted events until it
// is compacted.
type Compacter interface {
	// Compact returns free space to the file system while the queue works. If it
	// fails or ctx ends, the rest of the free space stays in the storage. A second
	// Compact at the same time returns ErrBusy. p is called with bytes, and may be
	// nil.
	Compact(ctx context.Context, p Progress) (Compacted, error)
}

// A Backuper is a queue that can be copied while it works.
type Backuper interface {
	// Backup writes a consistent copy of the store to w. The copy, with its key,
	// is a complete store. A second Backup at the same time returns ErrBusy. p is
	// called with bytes, and may be nil.
	Backup(ctx context.Context, w io.Writer, p Progress) error
}

// A Progress is called now and then during a replay, a purge or a compaction, with
// how much is done and the total, or 0 where the total is not known. It is called
// by the goroutine that requested the work, and no lock of the queue is held: a slow
// Progress delays only that work. Work that succeeds reports at the end that
// everything is done. Work that fails has done at least what it reported.
type Progress func(done, total int64)

// Report calls p, unless it is nil.
func (p Progress) Report(done, total int64) {
	if p != nil {
		p(done, total)
	}
}

// Compacted is the answer to Compact: the size of the storage in bytes.
type Compacted struct {
	Before, After int64
}

// Settings are the settings that can change while a queue is open.
type Settings struct {
	MaxSize          int64         // bytes of sealed records; 0 is no limit
	DedupeWindow     time.Duration // how long an id is remembered after receipt
	DeadRetention    time.Duration // how long dead, quarantined, unrouted and unconfirmed events are kept
	HistoryRetention time.Duration // how long the trace of delivered events is kept
	KeepDelivered    time.Duration // how long payloads stay after the last delivery
}

// DefaultSettings are those of a configuration that names none.
func DefaultSettings() Settings {
	return Settings{
		MaxSize:          10 << 30,
		DedupeWindow:     24 * time.Hour,
		DeadRetention:    14 * 24 * time.Hour,
		HistoryRetention: 72 * time.Hour,
	}
}

// An Item is what is stored for one request.
type Item struct {
	Event     *event.Event // must not be changed any more, even after it is stored
	Upstreams []string     // the upstreams that receive the event; may be empty

	// State is Quarantined, Unrouted or Unconfirmed for an event that is kept with
	// its payload and has no deliveries; "" for any other.
	State  State
	Reason string // of a quarantined event: a fixed phrase, since it is not sealed
}

// A Receipt is the answer to Store.
type Receipt struct {
	Duplicate bool
}

// Want says how many deliveries of each class a caller can take.
type Want struct {
	First int // deliveries that were never attempted, in order of arrival
	Retry int // deliveries that were, those longest due first
}

// Claimed is the answer to Claim.
type Claimed struct {
	Deliveries []Delivery
	// Next is when the first retry that is not due yet will be; zero if
	// there is none.
	Next time.Time
}

// A Delivery is one event on its way to one upstream.
type Delivery struct {
	Seq        uint64 // the engine's key of the event
	EventID    string
	Provider   string
	Type       string // the short type
	Subject    string // may be ""
	Upstream   string
	Size       int64 // bytes of the sealed record, about those that Load takes
	ReceivedAt time.Time
	Attempts   int // made so far, since the last replay
	Used       int // how many of them count against the budget

	// LastEnded is when the newest of these attempts ended; zero where there
	// was none.
	LastEnded time.Time
}

// A State is the state of a delivery, or of an event as a whole.
type State string

// The states of a delivery.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Dead      State = "dead"
)

// The states of an event without deliveries that is kept with its payload.
const (
	Quarantined State = "quarantined" // genuine bytes that are not an event
	Unrouted    State = "unrouted"    // no upstream accepts it
	Unconfirmed State = "unconfirmed" // its provider does not know it
)

// States lists all of them.
var States = []State{Pending, Delivered, Dead, Quarantined, Unrouted, Unconfirmed}

// SetAside reports whether an event in the state has no deliveries and is kept with
// its payload for DeadRetention.
func (s State) SetAside() bool { return s == Quarantined || s == Unrouted || s == Unconfirmed }

// A Result is how an attempt ended. The set is closed and is also the label of
// the metric.
type Result string

// The results of an attempt.
const (
	Success      Result = "success"
	Failure      Result = "failure"
	Timeout      Result = "timeout"
	ConnectError Result = "connect_error"
	Gone         Result = "gone"
)

// Results lists all of them.
var Results = []Result{Success, Failure, Timeout, ConnectError, Gone}

// An Outcome is the outcome of one attempt.
type Outcome struct {
	Delivery Delivery
	At       time.Time // when the attempt began
	Duration time.Duration
	Status   int // of the upstream's answer; 0 if there was none
	Result   Result
	Used     bool      // whether it counts against the budget
	State    State     // Pending, Delivered or Dead
	Next     time.Time // when Pending: not before
}

// An Attempt is an outcome in the history of a delivery.
type Attempt struct {
	Number   int // from 1; a replay starts again at 1
	At       time.Time
	Duration time.Duration
	Result   Result
	Status   int
	Used     bool // whether it counts against the budget
}

// MaxHistory is how many attempts are remembered for a delivery: the newest. A
// delivery can be tried without end while its upstream is away, and its history
// must not fill the disk.
const MaxHistory = 50

// A Record is what the store returns of an event without opening its payload.
type Record struct {
	ID         string
	Provider   string
	Type       string // the short type
	Subject    string // may be ""
	ReceivedAt time.Time

	// State is Quarantined, Unrouted or Unconfirmed, else the worst of the
	// deliveries': dead, then pending, then delivered. An event that was stored
	// for no upstream is delivered.
	State      State
	Reason     string // of a quarantined event
	HasPayload bool
	Deliveries []DeliveryRecord
}

// A DeliveryRecord is the state of one delivery of an event.
type DeliveryRecord struct {
	Upstream    string
	State       State
	Attempts    int
	Used        int
	NextAttempt time.Time // when Pending and tried before
	History     []Attempt
}

// Replayed is the answer to Replay.
type Replayed struct {
	Deliveries     int // that are due again
	WithoutPayload int // events that were skipped, since their payload is no longer kept
	Unrouted       int // unrouted or unconfirmed events that were skipped, since Route found no upstream
}

// Stats count what is in the store.
type Stats struct {
	Bytes       int64 // of sealed records
	MaxBytes    int64 // 0 is no limit
	Quarantined int64
	Unrouted    int64
	Unconfirmed int64
	Unreadable  int64                    // events that are damaged in whole or in part, as far as is known
	Upstreams   map[string]UpstreamStats // every upstream that has events, configured or not
}

// UpstreamStats count an upstream's deliveries.
type UpstreamStats struct {
	Pending       int64 // claimed ones included
	InFlight      int64 // claimed
	Dead          int64
	OldestPending time.Time // receipt of the oldest pending one; zero if none
}
