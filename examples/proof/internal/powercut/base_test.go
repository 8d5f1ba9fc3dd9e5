package powercut

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files before a recording are on stable storage, and the recording may change them.
func TestBase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "made"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"made/queue.db": "before", "made/old": "old", "made/queue.db-shm": "shared"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base, err := ReadBase(dir)
	if err != nil {
		t.Fatal(err)
	}
	log := []string{
		`1  openat(AT_FDCWD, ` + path("made/queue.db") + `, O_RDWR) = 4`,
		`1  openat(AT_FDCWD, ` + path("made/queue.db-shm") + `, O_RDWR) = 5`,
		`1  mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_SHARED, 5, 0) = 0x7f0000001000`,
		`1  pwrite64(4, ` + quoted("AFTER") + `, 5, 0) = 5`,
		`1  openat(AT_FDCWD, ` + path("made/new") + `, O_RDWR|O_CREAT, 0600) = 6`,
		`1  unlink(` + path("made/old") + `) = 0`,
	}
	rec, err := Read(strings.NewReader(strings.Join(log, "\n")+"\n"), root, base)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDisk(rec, nil)
	for _, tt := range []struct {
		at     int
		manner Manner
		want   map[string]string
	}{
		{0, Everything, map[string]string{"made": "/", "made/queue.db": "before", "made/old": "old"}},
		{rec.Length, Nothing, map[string]string{"made": "/", "made/queue.db": "before", "made/old": "old"}},
		{rec.Length, Everything, map[string]string{"made": "/", "made/queue.db": "AFTERe", "made/new": ""}},
	} {
		d.Advance(tt.at)
		got := left(t, d, tt.manner, 1)
		if _, ok := got["made/queue.db-shm"]; !ok {
			t.Errorf("at moment %d, %s: the shared memory is missing", tt.at, tt.manner)
		}
		delete(got, "made/queue.db-shm")
		if !maps.Equal(got, tt.want) {
			t.Errorf("at moment %d, %s: the files are %q, want %q", tt.at, tt.manner, got, tt.want)
		}
	}
	if again := NewDisk(rec, nil); again.files[base.names[base.names[0]["made"]]["queue.db"]].bytes()[0] != 'b' {
		t.Error("a disk has changed the base")
	}
}

// The promise after a power cut does not change while the queue is opened again.
func TestAfter(t *testing.T) {
	t.Parallel()
	p := &Promise{
		Upstreams: map[string][]string{"a": {"ehr"}, "b": {"ehr"}}, Hosts: map[string]string{"ehr": "h"},
		Accepted: map[Delivery]bool{{"ehr", "a"}: true, {"ehr", "b"}: true},
	}
	first := &Recording{Answers: []Answer{{"a", 3}, {"b", 9}}, Requests: []Request{{"h", "a", 4}, {"h", "b", 10}}}
	k := p.After(first, 5).factsAt(&Recording{}, 100)
	if !maps.Equal(k.acknowledged, map[string]bool{"a": true}) || !k.accepted[Delivery{"ehr", "a"}] || k.accepted[Delivery{"ehr", "b"}] {
		t.Errorf("the facts are %v and %v, want those at moment 5", k.acknowledged, k.accepted)
	}
}
