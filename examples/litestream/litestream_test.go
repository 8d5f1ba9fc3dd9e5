//go:build examples

package litestream_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestReplicateAndRestore replicates a queue under load, with a restart of the gateway
// in between, kills both processes, and restores the replica for another gateway.
func TestReplicateAndRestore(t *testing.T) {
	ctx := bounded(t)
	dir := t.TempDir()
	g := newGateway(ctx, t, filepath.Join(dir, "live"), false)
	g.start(ctx, t)
	l := newLitestream(t, g.queue, dir)
	l.start(ctx, t)

	ids := g.send(ctx, t, "/both", "before", 2000)
	g.noErrors(t)
	must(t, g.Stop())
	g.start(ctx, t)
	ids = append(ids, g.send(ctx, t, "/both", "after", 2000)...)
	eventually(ctx, t, "the deliveries to ehr", func() bool { return g.ehr.count() == len(ids) && g.waiting(t, "ehr") == 0 })
	if n := g.waiting(t, "warehouse"); n != len(ids) {
		t.Fatalf("%d of %d events wait for warehouse", n, len(ids))
	}
	_, err := l.WaitLine(ctx, "a checkpoint", func(line string) bool { return strings.Contains(line, "msg=checkpoint") })
	must(t, err)
	l.run(ctx, t, "sync", "-wait", "-socket", l.socket, g.queue)
	g.send(ctx, t, "/both", "perhaps lost", 100)
	g.noErrors(t)
	for _, pid := range []int{g.PID(), l.PID()} {
		must(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	<-g.Ended()
	<-l.Ended()

	other := newGateway(ctx, t, filepath.Join(dir, "other"), true)
	l.run(ctx, t, "restore", "-config", l.config, "-integrity-check", "full", "-o", other.queue, g.queue)
	key, err := os.ReadFile(g.queue + ".key")
	must(t, err)
	must(t, os.WriteFile(other.queue+".key", key, 0o600))
	other.start(ctx, t)
	must(t, other.WaitIdle(ctx))
	if lines := other.errors(); len(lines) != 1 || !strings.Contains(lines[0], "queue.db-wal) is missing: events that were stored last may be missing") {
		t.Errorf("the other gateway logged %q, want the one error that the documentation names", lines)
	}

	other.warehouse.mu.Lock()
	defer other.warehouse.mu.Unlock()
	for _, id := range ids {
		if n := other.warehouse.received[id]; n != 1 {
			t.Errorf("event %s is delivered to warehouse %d times", id, n)
		}
		if other.ehr.received[id] > 0 {
			t.Errorf("event %s is delivered to ehr again", id)
		}
	}
}

// TestDeletedPayloadsWhileItReplicates checks that the WAL, and with it deleted payloads,
// is kept while Litestream runs, and is truncated afterwards.
func TestDeletedPayloadsWhileItReplicates(t *testing.T) {
	ctx := bounded(t)
	dir := t.TempDir()
	g := newGateway(ctx, t, filepath.Join(dir, "live"), false)
	g.start(ctx, t)
	l := newLitestream(t, g.queue, dir)
	l.start(ctx, t)
	ids := g.send(ctx, t, "/ehr", "note", 200)
	eventually(ctx, t, "the deliveries to ehr", func() bool { return g.ehr.count() == len(ids) && g.waiting(t, "ehr") == 0 })
	log, err := os.Stat(g.queue + "-wal")
	must(t, err)
	if log.Size() == 0 {
		t.Error("the WAL is empty although Litestream reads it")
	}
	must(t, l.Stop())
	eventually(ctx, t, "an empty WAL", func() bool {
		log, err := os.Stat(g.queue + "-wal")
		return err == nil && log.Size() == 0
	})
	g.noErrors(t)
}

// waiting returns how many events wait for an upstream, from the metrics.
func (g *gateway) waiting(t *testing.T, upstream string) (n int) {
	t.Helper()
	resp, err := http.Get(g.Admin + "/metrics")
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	for _, state := range []string{"pending", "in_flight"} {
		found := regexp.MustCompile(`(?m)^scribegate_queue_events\{.*state="` + state + `".*upstream="` + upstream + `".*\} (\d+)`).FindSubmatch(text)
		if found == nil {
			t.Fatalf("there is no metric scribegate_queue_events for %s and %s", state, upstream)
		}
		value, err := strconv.Atoi(string(found[1]))
		must(t, err)
		n += value
	}
	return n
}
