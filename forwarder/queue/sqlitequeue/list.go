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
)

// Events implements queue.Queue. Each filter that an index can answer becomes one or
// more sources of seqs, newest first, which are merged. The other filters are compared
// with the records.
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
			return page, fmt.Errorf("%w: the cursor is not valid", queue.ErrInvalid)
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
	unfiled := l.unfiled() // before the tables, since events may move there meanwhile
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

// sources returns the sources of the seqs of all events that may match.
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

// unfiled returns the source of the unfiled events.
func (l *listing) unfiled() *source {
	s := &source{ended: true}
	for _, r := range slices.Backward(l.q.unfiled.All()) {
		if r.Seq < l.before {
			s.seqs = append(s.seqs, r.Seq)
		}
	}
	return s
}

// ofType returns the source of the events of a type. Most events have one of two types,
// for which scanning all events is cheap. An index of these would cost more with each
// stored event.
func ofType(name string) *source {
	text := `SELECT seq FROM event WHERE type = ?`
	if name != "note.generated" && name != "transcription.completed" {
		text += ` AND type NOT IN ('note.generated', 'transcription.completed')` // as in the definition of the index
	}
	return &source{text: text + ` AND seq < ? AND seq >= ? ORDER BY seq DESC LIMIT ?`, args: []driver.Value{name}}
}

// setAside returns the source of the events in a state without deliveries.
func (l *listing) setAside(code int64) *source {
	return &source{text: `SELECT seq FROM event WHERE ` + isSetAside + ` AND seq < ? AND seq >= ? ORDER BY seq DESC LIMIT ?`, args: []driver.Value{code}}
}

// deliveries returns the sources of the events that have a delivery to the upstream in
// the state.
func (l *listing) deliveries() (sources []*source) {
	ids := l.q.upstreamIDs()
	if l.f.Upstream != "" {
		id, known := l.q.upstreams.ID(l.f.Upstream)
		ids = []int64{id}
		if !known {
			ids = nil
		}
	}
	codes := slices.Concat(tables.DeliveryPending, []int64{tables.DeliveryDone, tables.DeliveryDead})
	switch l.f.State {
	case queue.Pending:
		codes = tables.DeliveryPending
	case queue.Delivered:
		codes = []int64{tables.DeliveryDone}
		if l.f.Upstream == "" {
			sources = append(sources, l.setAside(tables.EventForNoUpstream))
		}
	case queue.Dead:
		codes = []int64{tables.DeliveryDead}
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

// A source yields seqs, newest first, and reads a few at a time.
type source struct {
	text  string // its last parameters are the upper bound, the lower bound and the limit
	args  []driver.Value
	seqs  []int64
	read  int64 // the last seq that was read
	ended bool
}

// newest removes and returns the newest seq of all sources, or returns 0 at the end.
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

func (s *source) more(l *listing) (err error) {
	limit := int64(min(l.f.Limit+1, 1000))
	before := l.before
	if s.read > 0 {
		before = s.read
	}
	s.seqs, err = l.c.Numbers(l.ctx, s.text, append(slices.Clone(s.args), before, l.since/1000, limit)...)
	if n := len(s.seqs); n > 0 {
		s.read = s.seqs[n-1]
	}
	s.ended = int64(len(s.seqs)) < limit
	return err
}
