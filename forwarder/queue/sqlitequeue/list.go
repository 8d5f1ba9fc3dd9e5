package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/verifier/event"
)

// Events implements queue.Queue. Each filter that an index can answer becomes one or
// more sources of seqs, newest first, which are merged; what no index answers is
// compared with the records.
func (q *Queue) Events(ctx context.Context, f queue.Filter) (page queue.Page, err error) {
	if err := q.closed(); err != nil {
		return page, err
	}
	if f.Limit < 1 {
		return page, fmt.Errorf("%w: the limit is below 1", queue.ErrInvalid)
	}
	if f.State != "" && !slices.Contains(queue.States, f.State) {
		return page, fmt.Errorf("%w: state %q is unknown", queue.ErrInvalid, f.State)
	}
	before := int64(math.MaxInt64)
	if f.Cursor != "" {
		if before, err = strconv.ParseInt(f.Cursor, 10, 64); err != nil || before < 1 {
			return page, fmt.Errorf("%w: the cursor is not one of a listing", queue.ErrInvalid)
		}
	}
	err = q.readers.With(ctx, func(c *tables.Conn) error {
		l := listing{ctx: ctx, c: c, q: q, f: f, before: before, since: policy.Nanos(f.Since)}
		var err error
		page, err = l.page()
		return err
	})
	q.repairIfDamaged(err)
	return page, err
}

// A listing is one call of Events.
type listing struct {
	ctx    context.Context //nolint:containedctx // of the call
	c      *tables.Conn
	q      *Queue
	f      queue.Filter
	before int64
	since  int64
}

func (l *listing) page() (page queue.Page, err error) {
	unfiled := l.unfiled() // before the tables, to which they may go meanwhile
	sources, err := l.sources()
	if err != nil {
		return page, err
	}
	sources = append(sources, unfiled)
	last := int64(0)
	for {
		seq, err := newest(l, sources)
		if err != nil || seq == 0 {
			return page, err
		}
		r, err := l.q.load(l.ctx, l.c, seq)
		if errors.Is(err, policy.ErrDamaged) {
			l.q.foundUnreadable(seq, fmt.Errorf("listing events: %w", err))
			continue
		}
		if err != nil {
			return page, err
		}
		if r == nil || !l.matches(r) {
			continue
		}
		if len(page.Records) == l.f.Limit {
			page.Next = strconv.FormatInt(last, 10)
			return page, nil
		}
		page.Records = append(page.Records, r.Record())
		last = seq
	}
}

func (l *listing) matches(r *tables.Record) bool {
	f := &l.f
	return r.SetAside != policy.Tombstone && r.Matches(f.State, f.Upstream) && (f.Subject == "" || r.Subject == f.Subject) &&
		(f.Type == "" || r.Type == f.Type) && r.ReceivedAt >= l.since
}

// sources returns where the seqs of all events that may match come from.
func (l *listing) sources() ([]*source, error) {
	switch f := &l.f; {
	case f.Subject != "":
		seqs, err := l.q.named(l.ctx, l.c, tables.HashOfSubject(f.Subject))
		i := slices.IndexFunc(seqs, func(seq int64) bool { return seq < l.before })
		if i < 0 {
			i = len(seqs)
		}
		return []*source{{seqs: seqs[i:], ended: true}}, err
	case f.State.SetAside():
		return []*source{l.setAside(tables.SetAsideCodes[f.State])}, nil
	case f.State != "" || f.Upstream != "":
		return l.deliveries(), nil
	case f.Type != "":
		return []*source{ofType(f.Type)}, nil
	}
	return []*source{{text: `SELECT seq FROM event WHERE seq < ? AND seq >= ? ORDER BY seq DESC LIMIT ?`}}, nil
}

// unfiled is the source of the events that are in no table but payload yet.
func (l *listing) unfiled() *source {
	s := &source{ended: true}
	for _, r := range slices.Backward(l.q.unfiled.all()) {
		if r.Seq < l.before {
			s.seqs = append(s.seqs, r.Seq)
		}
	}
	return s
}

// ofType is the source of the events of a type. Most events are of one of two types, so
// that to go through the events costs little, and an index of those would cost more with
// each event that is stored.
func ofType(name string) *source {
	text := `SELECT seq FROM event WHERE type = ?`
	if name != "note.generated" && name != "transcription.completed" {
		text += ` AND type NOT IN ('note.generated', 'transcription.completed')` // as the index has it
	}
	return &source{text: text + ` AND seq < ? AND seq >= ? ORDER BY seq DESC LIMIT ?`, args: []driver.Value{name}}
}

// setAside is the source of the events in a state without deliveries. The code is part
// of the text, or the partial index could not be used.
func (l *listing) setAside(code int64) *source {
	return &source{text: `SELECT seq FROM event WHERE state = ` + strconv.FormatInt(code, 10) + ` AND seq < ? AND seq >= ? ORDER BY seq DESC LIMIT ?`}
}

// deliveries are the sources of the events that have a delivery in the state, to the
// upstream.
func (l *listing) deliveries() (sources []*source) {
	ids := l.q.upstreams.IDs()
	if l.f.Upstream != "" {
		id, known := l.q.upstreams.ID(l.f.Upstream)
		ids = []int64{id}
		if !known {
			ids = nil
		}
	}
	codes := []int64{tables.DeliveryFirst, tables.DeliveryRetry, tables.DeliveryDone, tables.DeliveryDead}
	switch l.f.State {
	case queue.Pending:
		codes = codes[:2]
	case queue.Delivered:
		codes = codes[2:3]
		if l.f.Upstream == "" {
			sources = append(sources, l.setAside(tables.EventForNoUpstream))
		}
	case queue.Dead:
		codes = codes[3:]
	default:
	}
	for _, id := range ids {
		for _, code := range codes {
			sources = append(sources, &source{
				text: `SELECT seq FROM delivery WHERE upstream = ? AND state = ? AND seq < ? AND seq >= ? ORDER BY seq DESC LIMIT ?`,
				args: []driver.Value{id, code},
			})
		}
	}
	return sources
}

// A source yields seqs, newest first, which it reads a few at a time.
type source struct {
	text  string // its last parameters are the upper bound, the lower bound and the limit
	args  []driver.Value
	seqs  []int64
	read  int64 // the last that was read
	ended bool
}

// newest takes the newest seq of all sources, and returns 0 at the end.
func newest(l *listing, sources []*source) (seq int64, err error) {
	for _, s := range sources {
		if len(s.seqs) == 0 && !s.ended {
			if err := s.more(l); err != nil {
				return 0, err
			}
		}
		if len(s.seqs) > 0 {
			seq = max(seq, s.seqs[0])
		}
	}
	for _, s := range sources {
		if len(s.seqs) > 0 && s.seqs[0] == seq {
			s.seqs = s.seqs[1:]
		}
	}
	return seq, nil
}

func (s *source) more(l *listing) error {
	limit := int64(min(l.f.Limit+1, 1000))
	before := l.before
	if s.read > 0 {
		before = s.read
	}
	err := l.c.Query(l.ctx, s.text, func(row []driver.Value) error {
		seq, _ := row[0].(int64)
		s.seqs = append(s.seqs, seq)
		return nil
	}, append(slices.Clone(s.args), before, l.since/1000, limit)...)
	if n := len(s.seqs); n > 0 {
		s.read = s.seqs[n-1]
	}
	s.ended = int64(len(s.seqs)) < limit
	return err
}

// Event implements queue.Queue.
func (q *Queue) Event(ctx context.Context, id string) (queue.Record, error) {
	r, err := q.find(ctx, id)
	if err != nil {
		return queue.Record{}, err
	}
	return r.Record(), nil
}

// find returns the event with the id, or ErrNotFound.
func (q *Queue) find(ctx context.Context, id string) (r *tables.Record, err error) {
	if err := q.closed(); err != nil {
		return nil, err
	}
	err = q.readers.With(ctx, func(c *tables.Conn) (err error) {
		r, err = q.findID(ctx, c, id)
		return err
	})
	q.repairIfDamaged(err)
	if err == nil && (r == nil || r.SetAside == policy.Tombstone) {
		err = queue.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("looking for event %s: %w", id, err)
	}
	return r, nil
}

// Payload implements queue.Queue.
func (q *Queue) Payload(ctx context.Context, id string) (*event.Event, error) {
	r, err := q.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.Size == 0 {
		return nil, fmt.Errorf("reading event %s: %w", id, queue.ErrNoPayload)
	}
	var sealed []byte
	err = q.readers.With(ctx, func(c *tables.Conn) (err error) {
		sealed, err = tables.LoadPayload(ctx, c, r.Seq)
		return err
	})
	switch {
	case errors.Is(err, policy.ErrDamaged):
		if err := q.survey(); err != nil {
			return nil, fmt.Errorf("reading event %s: %w", id, err)
		}
		q.foundUnreadable(r.Seq, err)
		return nil, fmt.Errorf("reading event %s: %w: %w", id, queue.ErrUnreadable, err)
	case err != nil:
		return nil, fmt.Errorf("reading event %s: %w", id, err)
	case sealed == nil: // deleted meanwhile
		return nil, fmt.Errorf("reading event %s: %w", id, queue.ErrNoPayload)
	}
	return tables.OpenEvent(q.ring.Load(), id, sealed)
}

// Stats implements queue.Queue.
func (q *Queue) Stats() (queue.Stats, error) {
	if err := q.closed(); err != nil {
		return queue.Stats{}, err
	}
	s := q.counts().Stats()
	s.MaxBytes = q.settings.Load().MaxSize
	s.Unreadable = q.unreadable.count()
	unfiled := q.unfiled.all()
	err := q.claims.With(q.ctx, func(c *tables.Conn) error {
		for name, u := range s.Upstreams {
			u.InFlight = int64(min(q.leases.of(name).count(), int(u.Pending)))
			id, _ := q.upstreams.ID(name)
			oldest, err := c.Number(`
				SELECT received_at FROM event WHERE seq = (
					SELECT min(seq) FROM (
						SELECT min(seq) AS seq FROM delivery WHERE upstream = ?1 AND state = 0 UNION ALL
						SELECT min(seq) FROM delivery WHERE upstream = ?1 AND state = 1))`, id)
			if err != nil {
				return err
			}
			for _, r := range unfiled {
				if d := r.Delivery(name); d != nil && d.State == queue.Pending && oldest == 0 {
					oldest = r.ReceivedAt
				}
			}
			u.OldestPending = policy.Time(oldest)
			s.Upstreams[name] = u
		}
		return nil
	})
	if q.ctx.Err() != nil {
		return queue.Stats{}, queue.ErrClosed
	}
	q.repairIfDamaged(err)
	return s, err
}
