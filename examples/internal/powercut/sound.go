package powercut

import (
	"errors"
	"fmt"
	"io/fs"

	"go.etcd.io/bbolt"
)

// errNoDatabase says that there is nothing to look at, or nothing that has been
// made whole. Whether that may be is for the queue to say.
var errNoDatabase = errors.New("there is no database")

// sound returns an error unless the database in a file agrees with itself. It
// changes nothing.
func sound(path string) (err error) {
	if err := walkPages(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return errNoDatabase
		}
		return fmt.Errorf("the database is not sound: %w", err) // maybe errNoDatabase
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("the database is not sound: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bbolt.Tx) error {
		var first error
		for err := range tx.Check() { // to its end, or it never ends
			if first == nil {
				first = fmt.Errorf("the database is not sound: %w", err)
			}
		}
		return first
	})
}
