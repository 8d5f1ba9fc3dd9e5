package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/postgres"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue"
	"github.com/scribegate/scribegate/forwarder/seal"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// storeAlone measures the engine in this process, without HTTP: as many callers as there are
// usually connections store events, each one after the other.
func (b *bench) storeAlone(ctx context.Context) (s figures.Sample, err error) {
	d, err := b.server.NewDatabase()
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, d.Drop()) }()
	q, err := postgresqueue.Open(postgresqueue.Options{DSN: d.DSN(), Keys: []seal.Key{seal.NewKey()}, Settings: queue.DefaultSettings()})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	c := &callers{queue: q}
	if c.event, err = noteEvent(); err != nil {
		return s, err
	}
	if _, err := c.store(ctx, warmUp(b.slice)); err != nil {
		return s, err
	}
	s, err = b.sampleOf(ctx, d, func() (figures.Sample, int, error) {
		all, err := c.store(ctx, b.slice)
		s := figures.LatencySample(all)
		s.Rate = load.PerSecond(float64(len(all)), b.slice)
		return s, len(all), err
	})
	if err != nil {
		return s, err
	}
	s.CPU, s.Own = s.Own, 0 // the engine is in this process
	return s, sameRow(ctx, d)
}

// sampleOf adds what the server and this process need for an event to the sample of a trial
// without a gateway. run returns the sample and the number of events.
func (b *bench) sampleOf(ctx context.Context, d *postgres.Database, run func() (figures.Sample, int, error)) (s figures.Sample, err error) {
	u := &runningTrial{trial: trial{database: d}}
	from, err := u.look(ctx, true)
	if err != nil {
		return s, err
	}
	s, n, err := run()
	if err != nil {
		return s, err
	}
	to, err := u.look(ctx, false)
	if err != nil {
		return s, err
	}
	u.perEvent(&s, from, to, float64(n))
	return s, nil
}

// callers store events. Each event is a copy of one with another id.
type callers struct {
	queue queue.Queue
	event *event.Event
	last  atomic.Uint64
}

// noteEvent returns the event of a note with the usual body.
func noteEvent() (*event.Event, error) {
	p := verifier.SOAPNoteAPI{}
	header := http.Header{
		"Content-Type": {"application/json"}, "X-Soapnoteapi-Timestamp": {"1796056449"},
		"X-Soapnoteapi-Signature": {hex.EncodeToString(make([]byte, sha256.Size))},
	}
	return p.Event(verifier.Request{Source: p.Defaults().Source, Header: header, Body: load.NoteBody(usualBody).Sample(), ReceivedAt: time.Now()})
}

// next returns an event with a new id.
func (c *callers) next() *event.Event {
	e := *c.event
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], c.last.Add(1))
	sum := sha256.Sum256(number[:])
	e.ID = e.Provider + "-" + hex.EncodeToString(sum[:16])
	e.Subject = fmt.Sprintf("%016d", binary.BigEndian.Uint64(number[:]))
	e.ReceivedAt = time.Now()
	return &e
}

// store stores events for some time, and returns how long each took, sorted.
func (c *callers) store(ctx context.Context, lasts time.Duration) ([]time.Duration, error) {
	var parts [usualConnections][]time.Duration
	var errs [usualConnections]error
	var work sync.WaitGroup
	end := time.Now().Add(lasts)
	for i := range parts {
		work.Go(func() {
			for now := time.Now(); now.Before(end) && errs[i] == nil; {
				receipt, err := c.queue.Store(ctx, queue.Item{Event: c.next(), Upstreams: []string{"ehr"}})
				if receipt.Duplicate {
					err = errors.New("a new event counts as a duplicate")
				}
				began := now
				now = time.Now()
				parts[i], errs[i] = append(parts[i], now.Sub(began)), err
			}
		})
	}
	work.Wait()
	all := slices.Concat(parts[:]...)
	slices.Sort(all)
	return all, errors.Join(errs[:]...)
}
