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

// A keyring is a ring and where the key that seals is kept.
type keyring struct {
	ring *seal.Ring
	file string // of the automatic key, where that seals; else ""
}

// resolveKeys returns the ring of the keys given, with the automatic key as a further
// one that opens, where there is one; or, where none is given, the ring of the automatic
// key, which is made where nothing is sealed with another. Sealed counts the payloads by
// their keys. A ring that cannot open all of them is an error, and then nothing is
// written.
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
			return nil, tables.Refuse(path, "%d events in it are sealed, encryption_key is not given and %s is missing; give the key that sealed them or put that file back", n, file)
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
		return nil, tables.Refuse(path, "%d events in it are sealed with a key that is not among those given; add the older key behind the new one in encryption_key", missing)
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

// SetKeys replaces the keys, as Open would resolve them. Where an event in the store
// could not be opened then, it returns an error and changes nothing. What an older key
// has sealed is sealed anew in the background.
//
// It waits for its turn among the changes: a store that is committed after it, and was
// sealed before, is sealed anew first.
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
