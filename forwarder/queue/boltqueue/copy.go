package boltqueue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
)

// The bounds of one slice of a copy: what is copied in one transaction while
// whoever wants something stored waits.
const (
	copyBytes = 1 << 20
	copyTime  = 10 * time.Millisecond
)

// A write is one change of a transaction, as it is made again in a copy.
type write struct {
	bucket string
	key    []byte
	value  []byte
	delete bool
}

// A copying is a second file that is being filled with what is in the queue
// file, in the order of buckets and keys. Behind the point that it has reached
// it is kept level by making every write twice; what lies before is still to be
// copied.
type copying struct {
	to       *file
	bucket   []byte // the one it has come to; all before it are copied
	key      []byte // the last one copied of that bucket; nil is none
	whole    bool   // there is nothing more to copy
	step     int    // bytes of a slice
	alloc    int    // what bbolt enlarges a file by, to be set again at the end
	unsynced int    // bytes written since the last sync began
	size     int64  // bytes of the copy before the last slice was written
}

// copyPath is where the copy of a queue file is made.
func copyPath(path string) string { return path + ".compact" }

// removeCopy removes a copy that was left behind. Its queue file must be locked.
func removeCopy(path string) error {
	if runtime.GOOS != "windows" { // where what is open cannot be removed
		if f, err := os.Open(copyPath(path)); err == nil {
			// As long as it is open it only loses its name. To give back the
			// room of a large file takes a while, which nothing waits for.
			defer func() { go f.Close() }()
		}
	}
	if err := os.Remove(copyPath(path)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing an unfinished copy of the queue file: %w", err)
	}
	return nil
}

// removeLeftovers removes what a process that was killed left beside the queue
// file, which must be locked.
func removeLeftovers(path string) error {
	unfinished, _ := filepath.Glob(path + newSuffix + "*") // an odd path matches nothing, and little is lost
	for _, name := range unfinished {
		_ = os.Remove(name) // it is small
	}
	return removeCopy(path)
}

// newCopy makes an empty copy of the queue file at path, which must be locked.
func newCopy(path string) (*copying, error) {
	if err := removeCopy(path); err != nil {
		return nil, err
	}
	f := &file{path: copyPath(path)}
	if err := f.openQueue(); err != nil {
		return nil, errors.Join(fmt.Errorf("making a copy of the queue file: %w", err), removeCopy(path))
	}
	// Nothing depends on the copy before it is synced whole.
	f.db.NoSync, f.db.NoGrowSync, f.db.NoFreelistSync = true, true, false
	c := &copying{to: f, step: copyBytes, alloc: f.db.AllocSize}
	f.db.AllocSize = 0 // it is to become no larger than it must
	return c, nil
}

// discard closes and removes the copy.
func (c *copying) discard() {
	_ = c.to.db.Close() // nothing in it is wanted
	_ = os.Remove(c.to.path)
}

// slice copies some of what is still to be copied.
func (c *copying) slice(from *bbolt.Tx) (err error) {
	to, err := c.to.db.Begin(true)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = to.Rollback() // it may have ended
		}
	}()
	c.size = to.Size()
	left, until := c.step, time.Now().Add(copyTime)
	names := from.Cursor()
	for name, _ := names.Seek(c.bucket); name != nil; name, _ = names.Next() {
		b, err := to.CreateBucketIfNotExists(name)
		if err != nil {
			return err
		}
		b.FillPercent = fillPercent
		if !bytes.Equal(name, c.bucket) {
			c.bucket, c.key = bytes.Clone(name), nil
		}
		cur := from.Bucket(name).Cursor()
		k, v := cur.Seek(c.key)
		if c.key != nil && bytes.Equal(k, c.key) {
			k, v = cur.Next()
		}
		for ; k != nil; k, v = cur.Next() {
			if left <= 0 || time.Now().After(until) {
				return to.Commit()
			}
			if err := b.Put(k, v); err != nil {
				return err
			}
			c.key = append(c.key[:0], k...)
			left -= len(k) + len(v)
			c.unsynced += len(k) + len(v)
		}
	}
	c.whole = true
	return to.Commit()
}

// covers reports whether a key lies behind the point that the copy has reached.
func (c *copying) covers(bucket string, key []byte) bool {
	switch {
	case c.whole || bucket < string(c.bucket):
		return true
	case bucket > string(c.bucket):
		return false
	}
	return c.key != nil && bytes.Compare(key, c.key) <= 0
}

// follow makes writes in the copy that have become durable in the queue file.
func (c *copying) follow(writes []write) (err error) {
	to, err := c.to.db.Begin(true)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = to.Rollback() // it may have ended
		}
	}()
	buckets := make(map[string]*bbolt.Bucket)
	for _, w := range writes {
		if !c.covers(w.bucket, w.key) {
			continue
		}
		b := buckets[w.bucket]
		if b == nil {
			if b, err = to.CreateBucketIfNotExists([]byte(w.bucket)); err != nil {
				return err
			}
			b.FillPercent = fillPercent
			buckets[w.bucket] = b
		}
		if w.delete {
			err = b.Delete(w.key)
		} else {
			err = b.Put(w.key, w.value)
		}
		if err != nil {
			return err
		}
		c.unsynced += len(w.key) + len(w.value)
	}
	return to.Commit()
}

// finish makes the whole copy durable. After that it may take the queue file's
// place.
func (c *copying) finish(from *bbolt.Tx) error {
	var size int64
	err := c.to.db.Update(func(to *bbolt.Tx) error {
		return from.ForEach(func(name []byte, b *bbolt.Bucket) error {
			copied, err := to.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			return copied.SetSequence(b.Sequence())
		})
	})
	if err != nil {
		return err
	}
	if err := c.to.db.View(func(tx *bbolt.Tx) error { size = tx.Size(); return nil }); err != nil {
		return err
	}
	if n, err := c.to.size(); err != nil || n < size { // a last page that is free was never written
		if err := errors.Join(err, c.to.os.Truncate(size)); err != nil {
			return err
		}
	}
	c.to.db.NoSync, c.to.db.NoGrowSync, c.to.db.AllocSize = false, false, c.alloc
	return c.to.os.Sync()
}
