package boltqueue

import (
	"encoding/binary"
)

// The buckets of the file. seq is an event's place in the order of arrival;
// numbers in keys are 8 bytes, big-endian, so that keys sort as they do.
const (
	bucketMeta   = "meta"   // formatKey -> formatValue
	bucketCounts = "counts" // what is counted -> how many, 8 bytes

	bucketEvents   = "events"   // seq -> record
	bucketPayloads = "payloads" // seq -> sealed event

	// id -> seq and time of receipt. One bucket and not one for each hour of
	// receipt, since an id is a duplicate as long as the event is in the store,
	// however old, and is also how people name events. Seq 0 is an id without
	// event, which is remembered until the dedupe window ends.
	bucketIDs = "ids"

	bucketRecent = "recent" // recentKey of the seq -> time of receipt and id: those that are not in ids yet, or just now

	bucketHusks       = "husks"       // time of receipt and id -> nothing: the ids without event
	bucketQuarantined = "quarantined" // seq -> nothing
	bucketHeld        = "held"        // end and seq -> nothing: delivered events with payload
	bucketApart       = "apart"       // seq -> a record that cannot be read

	// block, 7 bytes -> which of its events were delivered to whom. Its keys are
	// shorter than a seq, so that a Reader that looks through all pages of a
	// damaged file takes none of its elements for an event's.
	bucketDelivered = "delivered"

	prefixEnded = "ended/" // + class: end and seq -> nothing

	prefixFirst   = "first/"   // + upstream: seq -> nothing: never attempted
	prefixRetry   = "retry/"   // + upstream: time it is due and seq -> nothing
	prefixWaiting = "waiting/" // + upstream: seq -> nothing: those in retry
	prefixDead    = "dead/"    // + upstream: seq -> nothing
)

const (
	journalKey  = "journal" // -> what the journal's file says that it belongs to: identitySize random bytes
	formatKey   = "format"
	formatName  = "scribegate queue "
	formatValue = formatName + "1"
)

// What is counted. Counts are kept in the file, in the transaction that changes
// them, so that opening it needs no scan.
const (
	countBytes       = "bytes" // of sealed payloads
	countQuarantined = "quarantined"
	countApart       = "apart"
	countPending     = "pending/" // + upstream
	countDead        = "dead/"    // + upstream
	countSealed      = "sealed/"  // + fingerprint: events by key
	countJournal     = "journal"  // the number of the journal's entry up to which all are in the file
	countTime        = "time"     // the age clock's, in nanoseconds
)

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// blockKey is the key of a block, whose number has blockBits bits less than a
// seq has.
func blockKey(block uint64) []byte { return seqKey(block)[1:] }

func timeKey(nanos int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(max(0, nanos))) // not negative
}

func timeSeqKey(nanos int64, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(timeKey(nanos), seq)
}

// parseSeq reads a key that seqKey made, or 0.
func parseSeq(k []byte) uint64 {
	if len(k) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(k)
}

// parseTimeSeq reads a key that timeSeqKey made, or zeros.
func parseTimeSeq(k []byte) (nanos int64, seq uint64) {
	if len(k) != 16 {
		return 0, 0
	}
	return int64(binary.BigEndian.Uint64(k)), binary.BigEndian.Uint64(k[8:]) // timeKey wrote it
}
