package gateway

import (
	"os"
	"strings"
	"testing"
)

func TestOnlyStore(t *testing.T) {
	t.Parallel()
	r := &Rig{Dir: t.TempDir()}
	for _, file := range []string{r.QueueFile(), r.WALFile(), r.KeyFile()} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.OnlyStore(); err != nil {
		t.Errorf("onlyStore() = %v", err)
	}
	if err := os.WriteFile(r.QueueFile()+".compact", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.OnlyStore(); err == nil || !strings.Contains(err.Error(), "queue.db.compact") {
		t.Errorf("onlyStore() = %v, want an error that names the file", err)
	}
}
