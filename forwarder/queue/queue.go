package queue

import (
	"context"
	"errors"
	"fmt"
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

	// ErrInvalid says that a filter or a selection is not valid.
	ErrInvalid = errors.New("invalid selection")

	// ErrUnreadable says that a stored payload cannot be opened.
	ErrUnreadable = errors.New("the event's payload cannot be opened")
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
	// event without payload, and ErrInvalid for a quarantined event.
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
	// fails or ctx ends, the storage is as it was. A second Compact at the same
	// time returns ErrBusy. p is called with bytes, and may be nil.
	Compact(ctx context.Context, p Progress) (Compacted, error)
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
	DeadRetention    time.Duration // how long dead and quarantined events are kept
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
	Event       *event.Event // must not be changed any more, even after it is stored
	Upstreams   []string     // the upstreams that receive the event; may be empty
	Quarantined bool         // genuine bytes that are not an event: kept, never delivered
	Reason      string       // why it is quarantined: a fixed phrase, since it is not sealed
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
	Upstream   string
	Size       int64 // bytes of the sealed record, about those that Load takes
	ReceivedAt time.Time
	Attempts   int // made so far, since the last replay
	Used       int // how many of them count against the budget

	// LastEnded is when the newest of these attempts ended; zero where there
	// was none.
	LastEnded time.Time
}

// A State is the state of a delivery.
type State string

// The states of a delivery. A quarantined event has no deliveries; as a filter
// the state picks such events.
const (
	Pending     State = "pending"
	Delivered   State = "delivered"
	Dead        State = "dead"
	Quarantined State = "quarantined"
)

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
	ID          string
	Provider    string
	Type        string // the short type
	ReceivedAt  time.Time
	Quarantined bool
	Reason      string // of a quarantined one
	HasPayload  bool
	Deliveries  []DeliveryRecord
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

// A Filter picks events for a listing.
type Filter struct {
	State    State  // "" is any
	Upstream string // "" is any; together with State, the delivery must match both
	Limit    int    // at least 1
	Cursor   string // a Page's Next; "" begins with the newest
}

// A Page is a part of a listing.
type Page struct {
	Records []Record
	Next    string // the cursor of the next page; "" after the last
}

// A ReplaySelection picks the deliveries of a replay: those of the events that
// are named, the dead ones, or those of the events received since a time. Exactly
// one of IDs, Dead and Since is set.
type ReplaySelection struct {
	IDs       []string
	Dead      bool
	Since     time.Time // received at or after
	Upstreams []string  // only deliveries to these; nil is to all
	Progress  Progress  // is called with the events that are done; may be nil
}

// Check returns ErrInvalid unless the selection is of exactly one kind.
func (s ReplaySelection) Check() error {
	return exactlyOne(len(s.IDs) > 0, s.Dead, !s.Since.IsZero())
}

// A PurgeSelection picks what a purge deletes: the events that are named, every
// dead delivery, the quarantined events, or the pending and the dead deliveries to
// an upstream. Exactly one of IDs, Dead, Quarantined and Upstream is set.
type PurgeSelection struct {
	IDs         []string
	Force       bool // with IDs: events that still wait for an upstream too
	Dead        bool
	Quarantined bool
	Upstream    string
	Before      time.Time // with Dead or Quarantined: of events received before; zero is all
	DryRun      bool      // nothing is deleted; the answer is what a purge would return now
	Progress    Progress  // is called with the events that are done; may be nil
}

// Check returns ErrInvalid unless the selection is of exactly one kind, without
// fields of another kind.
func (s PurgeSelection) Check() error {
	if s.Force && len(s.IDs) == 0 || !s.Before.IsZero() && !s.Dead && !s.Quarantined {
		return fmt.Errorf("%w: force needs ids, and a time needs dead or quarantined", ErrInvalid)
	}
	return exactlyOne(len(s.IDs) > 0, s.Dead, s.Quarantined, s.Upstream != "")
}

func exactlyOne(kinds ...bool) error {
	n := 0
	for _, set := range kinds {
		if set {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("%w: select in exactly one way", ErrInvalid)
	}
	return nil
}

// Replayed is the answer to Replay.
type Replayed struct {
	Deliveries     int // that are due again
	WithoutPayload int // events that were skipped, since their payload is no longer kept
}

// Stats count what is in the store.
type Stats struct {
	Bytes       int64 // of sealed records
	MaxBytes    int64 // 0 is no limit
	Quarantined int64
	SetApart    int64                    // events that cannot be read any more, a sign of a damaged disk
	Upstreams   map[string]UpstreamStats // every upstream that has events, configured or not
}

// UpstreamStats count an upstream's deliveries.
type UpstreamStats struct {
	Pending       int64 // claimed ones included
	InFlight      int64 // claimed
	Dead          int64
	OldestPending time.Time // receipt of the oldest pending one; zero if none
}
