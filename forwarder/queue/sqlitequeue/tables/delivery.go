package tables

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// The codes of a delivery's state.
const (
	DeliveryFirst int64 = iota
	DeliveryRetry
	DeliveryDone
	DeliveryDead
	DeliveryBlocked
)

// DeliveryPending are the codes of pending deliveries.
var DeliveryPending = []int64{DeliveryFirst, DeliveryRetry, DeliveryBlocked}

// DeliveryStates maps a code to its state.
var DeliveryStates = [...]queue.State{queue.Pending, queue.Pending, queue.Delivered, queue.Dead, queue.Pending}

func deliveryState(d *policy.Delivery) int64 {
	switch {
	case d.Blocked:
		return DeliveryBlocked
	case d.First():
		return DeliveryFirst
	case d.State == queue.Pending:
		return DeliveryRetry
	case d.State == queue.Delivered:
		return DeliveryDone
	}
	return DeliveryDead
}

// ScanDelivery returns the delivery in a row with the columns upstream, state, due,
// attempts, used, history and checksum.
func ScanDelivery(seq int64, row []driver.Value, names *Upstreams) (policy.Delivery, error) {
	s := Scanner{Row: row}
	upstream, state := s.Int(), s.Int()
	d := policy.Delivery{Due: s.Int(), Attempts: int(s.Int()), Used: int(s.Int())}
	coded, sum := s.Blob(), s.Int()
	name, known := names.Name(upstream)
	if s.failed || !known || state < 0 || state >= int64(len(DeliveryStates)) || sum != deliveryChecksum(seq, upstream, state, &d, coded) {
		return d, fmt.Errorf("%w: the row of a delivery has a wrong checksum", policy.ErrDamaged)
	}
	d.Upstream, d.State, d.Blocked = name, DeliveryStates[state], state == DeliveryBlocked
	var err error
	if d.History, err = policy.DecodeHistory(coded); err != nil {
		return d, fmt.Errorf("%w: %w", policy.ErrDamaged, err)
	}
	return d, nil
}

// UpdateDelivery is an UPDATE with the columns of DeliveryRow.
const UpdateDelivery = `UPDATE delivery SET state = ?, due = ?, attempts = ?, used = ?, history = ?, checksum = ? WHERE seq = ? AND upstream = ?`

// DeliveryRow returns the columns of IntoDelivery, the key last.
func DeliveryRow(seq, upstream int64, d *policy.Delivery) []driver.Value {
	state, history := deliveryState(d), policy.AppendHistory([]byte{}, d.History)
	return []driver.Value{state, d.Due, int64(d.Attempts), int64(d.Used), history, deliveryChecksum(seq, upstream, state, d, history), seq, upstream}
}

// deliveryChecksum returns the checksum of all other columns of a delivery's row.
func deliveryChecksum(seq, upstream, state int64, d *policy.Delivery, history []byte) int64 {
	b := make([]byte, 0, 256)
	for _, n := range [...]int64{seq, upstream, state, d.Due, int64(d.Attempts), int64(d.Used)} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return int64(crc32.Checksum(append(b, history...), castagnoli))
}

// ByUpstream compares deliveries by the names of their upstreams.
func ByUpstream(a, b policy.Delivery) int { return strings.Compare(a.Upstream, b.Upstream) }
