//go:build postgres

package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/caddymodule/internal/chain"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// auditNode writes n lines of the audit trail as another node of the store, and returns the log.
func auditNode(t *testing.T, schema, name string, n int) (file string, q *postgresqueue.Queue) {
	t.Helper()
	key, err := seal.ParseKey(os.Getenv("KEY"))
	if err != nil {
		t.Fatal(err)
	}
	q, err = postgresqueue.Open(postgresqueue.Options{DSN: server.DSN(), Schema: schema, Keys: []seal.Key{key}, Settings: queue.DefaultSettings(), Node: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	c := chain.New("dev", func() seal.AuditKey { return q.AuditKeys()[0] })
	q.KeepAudit(c)
	file = filepath.Join(t.TempDir(), "other.log")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), f, zapcore.InfoLevel)
	for i := range n {
		c.Append(time.Now(), "purged", []zap.Field{zap.Int("events", i)}, func(at time.Time, message string, fields []zap.Field) bool {
			return core.Write(zapcore.Entry{Time: at, LoggerName: chain.LoggerName, Message: message}, fields) == nil
		})
	}
	return file, q
}

// The trails of the nodes of a store are verified together. Each continues over a restart, and
// the store knows the end of each.
func TestAuditOfSeveralNodes(t *testing.T) {
	schema := fmt.Sprint("audit", schemas.Add(1))
	g := newGateway(t, server.DSN(), schema)
	g.send("a")
	g.wait(1)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	first := g.logFile
	g = newGateway(t, server.DSN(), schema)
	g.send("b")
	g.wait(1)
	other, q := auditNode(t, schema, "other", 5)
	if err := q.Close(); err != nil { // which stores its newest line
		t.Fatal(err)
	}
	verify := func(files ...string) (r chain.Report) {
		t.Helper()
		result := commandtest.Run(t, "", append([]string{"audit", "verify", "--json", "--address", g.adminAddr}, files...)...)
		result.Decode(t, &r)
		if r.Whole != (result.Err == nil) {
			t.Errorf("whole: %t, %v", r.Whole, result.Err)
		}
		return r
	}
	host, _ := os.Hostname()
	if r := verify(first, other, g.logFile); !r.Whole || !r.EndKnown || len(r.Nodes) != 2 || r.Nodes[0].First != 1 || len(r.Notes) > 0 {
		t.Errorf("%+v", r)
	}
	if r := verify(first, g.logFile); r.Whole || len(r.Findings) != 1 || r.Findings[0].Kind != chain.CutOff || r.Findings[0].Node != "other" || r.Findings[0].Through != 6 {
		t.Errorf("without a node's log: %+v", r.Findings)
	}
	text, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.log")
	if err := os.WriteFile(cut, []byte(string(text)[:strings.LastIndex(strings.TrimSpace(string(text)), "\n")+1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verify(first, cut, g.logFile); r.Whole || len(r.Findings) != 1 || r.Findings[0].Kind != chain.CutOff || r.Findings[0].Seq != 6 {
		t.Errorf("with an end cut off: %+v", r.Findings)
	}

	// Another process with the same name takes the trail over; this one goes on under another name.
	second, _ := auditNode(t, schema, host, 1)
	commandtest.WaitUntil(t, "this gateway has another name", func() bool {
		g.send(fmt.Sprint("c", time.Now().UnixNano()))
		return strings.Contains(g.log(), `"node":"`+host+"~")
	})
	commandtest.WaitUntil(t, "all trails are whole", func() bool {
		r := verify(first, other, g.logFile, second)
		return r.Whole && len(r.Nodes) == 3
	})
}
