// Package eventtest checks the events that tests produce: against the JSON
// Schema that the project publishes, and with the CloudEvents SDK for Go. It is
// for tests only, and imports nothing else of this module.
package eventtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaFile is where the schema stands, from the top of the module.
const schemaFile = "examples/event.schema.json"

// Validate fails the test unless doc is a structured event as the schema and
// CloudEvents 1.0 want it.
func Validate(t testing.TB, doc []byte) {
	t.Helper()
	if err := Check(doc); err != nil {
		t.Errorf("the event is invalid: %v\n%s", err, doc)
	}
}

// Check returns what is wrong with a structured event, if anything is.
func Check(doc []byte) error {
	schema, err := compiled()
	if err != nil {
		return err
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return fmt.Errorf("reading the event: %w", err)
	}
	if err := schema.Validate(instance); err != nil {
		return err
	}
	var e cloudevents.Event
	if err := e.UnmarshalJSON(doc); err != nil {
		return fmt.Errorf("reading the event with the CloudEvents SDK: %w", err)
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("judging the event with the CloudEvents SDK: %w", err)
	}
	return nil
}

var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	path, err := findSchema()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path) // a file of this module
	if err != nil {
		return nil, fmt.Errorf("opening the event's schema: %w", err)
	}
	defer file.Close() // only read
	doc, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		return nil, fmt.Errorf("reading the event's schema %s: %w", path, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(schemaFile, doc); err != nil {
		return nil, fmt.Errorf("reading the event's schema %s: %w", path, err)
	}
	return c.Compile(schemaFile)
})

// findSchema looks upwards from this file, or, where the build has trimmed its
// path, from the directory that the test runs in.
func findSchema() (string, error) {
	_, self, _, _ := runtime.Caller(0)
	dir := filepath.Dir(self)
	if !filepath.IsAbs(dir) {
		var err error
		if dir, err = os.Getwd(); err != nil {
			return "", fmt.Errorf("looking for the event's schema: %w", err)
		}
	}
	for {
		path := filepath.Join(dir, filepath.FromSlash(schemaFile))
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("looking for the event's schema: run the tests inside the module, which has it as " + schemaFile)
		}
		dir = parent
	}
}
