package boltqueue

import (
	"errors"
	"fmt"
	"io/fs"
)

// CheckKeys says whether SetKeys could take the keys now, and changes nothing.
func (q *Queue) CheckKeys(keys []Key) error {
	own, err := readKeyFile(keyFile(q.file.path))
	switch {
	case err == nil:
		keys = withKey(keys, own)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	ring := &keyring{}
	if len(keys) > 0 {
		if ring, err = newKeyring(keys); err != nil {
			return err
		}
	}
	sealed := q.snapshot().sealed()
	q.journal.sealed(sealed)
	if n := ring.missing(sealed); n > 0 {
		return fmt.Errorf("taking on the keys for the queue file %s: %d events in it are sealed with a key that is not among them; add the older key behind the new one in encryption_key (nothing has been changed)", q.file.path, n)
	}
	return nil
}
