package power

import (
	"os"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// The environment variables that make this program only open and close a queue: its file and its key.
const (
	openFileEnv = "SCRIBEGATE_CHAOS_OPEN"
	openKeyEnv  = "SCRIBEGATE_CHAOS_KEY"
)

// Opening returns the function that this process must run instead of scenarios, if it has the environment of a process
// that only opens and closes a queue, and nil otherwise.
func Opening() func() error {
	file := os.Getenv(openFileEnv)
	if file == "" {
		return nil
	}
	return func() error { return openOnly(file, os.Getenv(openKeyEnv)) }
}

// openOnly opens and closes a queue.
func openOnly(file, key string) error {
	k, err := seal.ParseKey(key)
	if err != nil {
		return err
	}
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: file, Keys: []seal.Key{k}, Settings: queue.DefaultSettings()})
	if err != nil {
		return err
	}
	return q.Close()
}
