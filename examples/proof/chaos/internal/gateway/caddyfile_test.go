package gateway

import (
	"strings"
	"testing"
)

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	r, _ := newFakeRig(t, &fake{})
	r.Dir, r.Admin = "/queues", "127.0.0.1:2019"
	usual := r.Caddyfile(Options{})
	for _, want := range []string{
		"\tadmin 127.0.0.1:2019\n", "\t\t\tpath /queues/queue.db\n", "http://127.0.0.1:" + r.Port + " {\n",
		"\t\tupstream ehr " + r.Ledger.Backend("ehr").URL() + " {\n\t\t\tretry ", "\t\tdeliver_to ehr audit\n",
	} {
		if !strings.Contains(usual, want) {
			t.Errorf("%q is not in\n%s", want, usual)
		}
	}
	changed := r.Caddyfile(Options{
		Queue: "max_size 1MiB", App: "dedupe_window 10m\nkeep_delivered 1s", Upstream: map[string]string{"ehr": "concurrency 1"},
		Deliver: []string{"audit"}, SOAPNote: "tolerance 5s", Soniox: "max_body 1KiB", Site: "respond 404",
	})
	for _, want := range []string{
		"\t\t\tmax_size 1MiB\n\t\t}\n", "\t\tdedupe_window 10m\n\t\tkeep_delivered 1s\n", " {\n\t\t\tconcurrency 1\n\t\t}\n",
		"\t\tdeliver_to audit\n\t\ttolerance 5s\n", "\t\tdeliver_to audit\n\t\tmax_body 1KiB\n", "\trespond 404\n}\n",
	} {
		if !strings.Contains(changed, want) {
			t.Errorf("%q is not in\n%s", want, changed)
		}
	}
	for _, text := range []string{usual, changed} {
		for _, secret := range []string{r.Secrets.SOAPNote, r.Secrets.Soniox, r.Secrets.Signing} {
			if strings.Contains(text, secret) {
				t.Errorf("the Caddyfile contains a secret:\n%s", text)
			}
		}
	}
}
