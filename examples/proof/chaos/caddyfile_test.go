package main

import (
	"strings"
	"testing"
)

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	r, _ := newFakeRig(t, &fake{})
	r.dir, r.admin = "/queues", "127.0.0.1:2019"
	usual := r.caddyfile(options{})
	for _, want := range []string{
		"\tadmin 127.0.0.1:2019\n", "\t\t\tpath /queues/queue.db\n", "http://127.0.0.1:" + r.port + " {\n",
		"\t\tupstream ehr " + r.ledger.backend("ehr").url() + " {\n\t\t\tretry ", "\t\tdeliver_to ehr audit\n",
	} {
		if !strings.Contains(usual, want) {
			t.Errorf("%q is not in\n%s", want, usual)
		}
	}
	changed := r.caddyfile(options{
		queue: "max_size 1MiB", app: "dedupe_window 10m\nkeep_delivered 1s", upstream: map[string]string{"ehr": "concurrency 1"},
		deliver: []string{"audit"}, soapnote: "tolerance 5s", soniox: "max_body 1KiB", site: "respond 404",
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
		for _, secret := range []string{r.secrets.soapnote, r.secrets.soniox, r.secrets.signing} {
			if strings.Contains(text, secret) {
				t.Errorf("the Caddyfile contains a secret:\n%s", text)
			}
		}
	}
}
