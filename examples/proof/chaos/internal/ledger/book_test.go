package ledger

import (
	"strings"
	"testing"
)

// only reports an unexpected outcome.
func TestOnly(t *testing.T) {
	t.Parallel()
	b := NewBook()
	b.Acknowledge("one", nil, false, 0)
	b.Record(Cut)
	if err := b.Only("200", Cut); err != nil {
		t.Error(err)
	}
	if err := b.Only("200"); err == nil || !strings.Contains(err.Error(), Cut) {
		t.Errorf("error %v, want one with %q", err, Cut)
	}
}
