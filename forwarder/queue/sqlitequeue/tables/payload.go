package tables

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// PayloadColumns are the columns of ScanPayload.
const PayloadColumns = `seq, id, provider, type, subject, received_at, state, reason, ended_at, upstreams, checksum, sealed`

// PayloadRow returns the columns of IntoPayload for an event that is being stored or has
// just been completed. A completion that has ended is not among its upstreams, so that an
// event whose other rows are lost is not completed again.
func PayloadRow(r *Record, sealed []byte) ([]driver.Value, error) {
	names := make([]string, 0, len(r.Deliveries))
	for i := range r.Deliveries {
		if d := &r.Deliveries[i]; d.State == queue.Pending || !queue.IsCompletion(d.Upstream) {
			names = append(names, d.Upstream)
		}
	}
	upstreams, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		sealed = []byte{}
	}
	state := StateOf(&r.Event)
	return []driver.Value{
		r.Seq, r.ID, r.Provider, r.Type, r.Subject, r.ReceivedAt, state, r.Reason, r.EndedAt, string(upstreams),
		payloadChecksum(r, state, upstreams), sealed,
	}, nil
}

// payloadChecksum returns the checksum of the other columns of a payload's row except
// sealed. It does not depend on the size and the key, since these change when the
// payload is resealed.
func payloadChecksum(r *Record, state int64, upstreams []byte) int64 {
	plain := *r
	plain.Size, plain.Key = 0, seal.Fingerprint{}
	return int64(crc32.Update(uint32(eventChecksum(&plain, state)), castagnoli, upstreams))
}

// ScanPayload returns the event in a row of PayloadColumns, in the state in which it
// was stored, and its sealed payload.
func ScanPayload(row []driver.Value) (*Record, []byte, error) {
	s := Scanner{Row: row}
	r := &Record{Seq: s.Int(), Event: policy.Event{ID: s.Text(), Provider: s.Text(), Type: s.Text(), Subject: s.Text(), ReceivedAt: s.Int()}}
	state := s.Int()
	r.Reason, r.EndedAt = s.Text(), s.Int()
	upstreams := []byte(s.Text())
	sum, sealed := s.Int(), s.Blob()
	r.SetAside = setAsideOf(state)
	var names []string
	err := json.Unmarshal(upstreams, &names)
	wrong := s.failed || err != nil || sum != payloadChecksum(r, state, upstreams)
	r.Size = int64(len(sealed))
	r.Key, _ = seal.KeyOf(sealed)
	if wrong {
		return r, sealed, fmt.Errorf("%w: the payload row of event %q has a wrong checksum", policy.ErrDamaged, r.ID)
	}
	for _, name := range names {
		r.Deliveries = append(r.Deliveries, policy.Delivery{Upstream: name, State: queue.Pending})
	}
	r.Gate()
	return r, sealed, nil
}

// LoadPayloads returns the sealed payloads of the events with the seqs, if they are
// kept and readable.
func LoadPayloads(ctx context.Context, c *Conn, seqs []int64) map[int64][]byte {
	all := make(map[int64][]byte, len(seqs))
	for some := range Chunks(seqs) {
		args := make([]driver.Value, len(some))
		for i, seq := range some {
			args[i] = seq
		}
		_ = c.Query(ctx, `WITH wanted (s) AS (`+Values(len(some), 1)+`) SELECT seq, sealed FROM wanted CROSS JOIN payload ON seq = s`, func(row []driver.Value) error {
			s := Scanner{Row: row}
			seq := s.Int()
			all[seq] = s.Blob()
			return nil
		}, args...) // LoadPayload returns the error again
	}
	return all
}

// LoadPayload returns the sealed payload of the event with the seq, or nil.
func LoadPayload(ctx context.Context, c *Conn, seq int64) (sealed []byte, err error) {
	err = c.Query(ctx, `SELECT sealed FROM payload WHERE seq = ?`, func(row []driver.Value) error {
		s := Scanner{Row: row}
		sealed = s.Blob()
		return nil
	}, seq)
	return sealed, err
}

// EachUnfiled calls each with the events after seq filed, oldest first, in the state in
// which they were stored.
func EachUnfiled(c *Conn, filed int64, each func(*Record)) error {
	return c.Query(context.Background(), `SELECT `+PayloadColumns+` FROM payload WHERE seq > ? ORDER BY seq`, func(row []driver.Value) error {
		r, _, err := ScanPayload(row)
		if err == nil {
			each(r)
		}
		return err
	}, filed)
}
