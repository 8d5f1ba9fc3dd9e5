package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A keyring is a ring, with the file of the automatic key if that key seals.
type keyring struct {
	ring *seal.Ring
	file string // of the automatic key if it seals; else ""
}

// resolveKeys returns the ring of the given keys. If an automatic key exists, the ring
// also opens with it. If no key is given, it returns the ring of the automatic key, and
// creates that key if no payload was sealed with another. sealed counts the payloads by
// key. If the ring cannot open all of them, resolveKeys returns an error and writes
// nothing.
func resolveKeys(path string, given []seal.Key, sealed map[seal.Fingerprint]int64, create bool) (*keyring, error) {
	file, auto := path+disk.Key, ""
	own, err := seal.ReadFile(file)
	keys := slices.Clone(given)
	switch {
	case err == nil:
		if len(given) == 0 {
			auto = file
		}
		if !slices.Contains(keys, own) {
			keys = append(keys, own)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case len(given) == 0:
		if n := total(sealed); n > 0 {
			return nil, tables.Refuse(path, "%d events in it are sealed, encryption_key is not given and %s is missing; set the key that sealed them or restore that file", n, file)
		}
		if !create {
			return nil, fmt.Errorf("opening %s: encryption_key is not given and %s is missing", path, file)
		}
		if own, err = seal.CreateFile(file); err != nil {
			return nil, err
		}
		keys, auto = []seal.Key{own}, file
	}
	ring, err := seal.NewRing(keys)
	if err != nil {
		return nil, err
	}
	var missing int64
	for f, n := range sealed {
		if !ring.Opens(f) {
			missing += n
		}
	}
	if missing > 0 {
		return nil, tables.Refuse(path, "%d events in it are sealed with a key that is not among those given; add the older key after the new one in encryption_key", missing)
	}
	return &keyring{ring: ring, file: auto}, nil
}

func total(sealed map[seal.Fingerprint]int64) (n int64) {
	for _, events := range sealed {
		n += events
	}
	return n
}

// CheckKeys returns the error that SetKeys would return now, and changes nothing.
func (q *Queue) CheckKeys(keys []seal.Key) error {
	_, err := resolveKeys(q.path, keys, q.counts().Keys(), false)
	return err
}

// SetKeys replaces the keys, in the same way as Open. If an event in the store could
// not be opened with them, it returns an error and changes nothing. Events that an
// older key sealed are resealed in the background.
//
// SetKeys runs between two batches: a store that was sealed before and is committed
// after it is resealed first.
func (q *Queue) SetKeys(keys []seal.Key) error {
	return q.do(context.Background(), func(t *tx) error {
		k, err := resolveKeys(q.path, keys, q.counts().Keys(), true)
		if err != nil {
			return err
		}
		t.publish(func() {
			q.keys = keys
			q.useKeys(k)
		})
		return nil
	})
}

func (q *Queue) useKeys(k *keyring) {
	q.ring.Store(k.ring)
	q.keyFile.Store(&k.file)
	select {
	case q.resealing <- struct{}{}:
	default:
	}
}
