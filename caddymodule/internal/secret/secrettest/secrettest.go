// Package secrettest has what tests of secrets share: files that hold a secret,
// contents that people write into them by mistake, and a mount whose server is away.
package secrettest

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// PickUp is how long a changed file may take to be in force.
const PickUp = 5 * time.Second

// File writes a file and returns its path and the placeholder for it.
func File(t *testing.T, content string) (path, placeholder string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "secret")
	Put(t, path, content)
	return path, "{file." + path + "}"
}

// Put writes a file.
func Put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A Slip is the content of a file that should hold a secret alone, and a part of the
// error that it causes.
type Slip struct{ Content, Error string }

// Slips returns common mistakes in a file that should hold the value, by their names.
func Slips(value string) map[string]Slip {
	var utf16 strings.Builder
	utf16.WriteString("\xff\xfe")
	for _, c := range []byte(value + "\r\n") {
		utf16.Write([]byte{c, 0})
	}
	return map[string]Slip{
		"a byte order mark":      {"\uFEFF" + value + "\n", "begins with a byte order mark; save it as UTF-8 without one"},
		"UTF-16":                 {utf16.String(), "UTF-16"},
		"a second line":          {value + "\nanother\n", "line break in the middle"},
		"a second line end":      {value + "\n\n", "line break at its beginning or end"},
		"a trailing space":       {value + " \n", "white space"},
		"a leading space":        {" " + value, "white space"},
		"double quotes":          {`"` + value + "\"\n", "enclosed in quotes"},
		"single quotes":          {"'" + value + "'", "enclosed in quotes"},
		"its name in front":      {"SOME_SECRET=" + value + "\n", "name of a variable and an equals sign"},
		"its name and quotes":    {"export SOME_SECRET='" + value + "'\n", "name of a variable and an equals sign"},
		"a control character":    {value[:4] + "\x07" + value[4:], "control character"},
		"an invisible character": {"a\u200b" + value, "invisible"},
		"a bare scheme":          {"Bearer\n", "without a secret behind it; put the whole value of a header in quotes"},
	}
}

// A Mount reads files. While its server is away, reads of files whose path contains
// "hangs" hang.
type Mount struct {
	mu      sync.Mutex
	back    chan struct{} // closed when the server returns; nil while it is there
	hanging map[string]int
	most    int
}

// Read reads a file.
func (m *Mount) Read(path string) ([]byte, error) {
	m.mu.Lock()
	back := m.back
	if !strings.Contains(path, "hangs") {
		back = nil
	}
	if back != nil {
		if m.hanging == nil {
			m.hanging = make(map[string]int)
		}
		m.hanging[path]++
		m.most = max(m.most, m.hanging[path])
	}
	m.mu.Unlock()
	if back != nil {
		<-back
		m.mu.Lock()
		m.hanging[path]--
		m.mu.Unlock()
	}
	return os.ReadFile(path)
}

// Disconnect makes the server go away.
func (m *Mount) Disconnect() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.back = make(chan struct{})
}

// Reconnect makes the server return, and ends the reads that hang.
func (m *Mount) Reconnect() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.back)
	m.back = nil
}

// MostHanging returns the highest number of reads of one file that hung at once.
func (m *Mount) MostHanging() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.most
}
