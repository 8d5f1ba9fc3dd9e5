package caddymodule

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestCompletion(t *testing.T) {
	a := newAdminSite(t)
	dead := a.settledNote("note-1")
	a.lab.respond(nil)
	fine := a.settledNote("note-2")
	bad := "\xff\xfe"
	if r := do(t, a.soapnote("/soapnote", bad)); r.status != http.StatusBadRequest {
		t.Fatalf("answer %d to an invalid payload", r.status)
	}
	quarantined, unrouted := soapnoteID(bad), storeSetAside(t, queue.Unrouted, "note-3")
	states := []string{"pending", "delivered", "dead", "quarantined", "unrouted", "unconfirmed"}

	const files, nothing = cobra.ShellCompDirectiveDefault, cobra.ShellCompDirectiveNoFileComp
	const inOrder = nothing | cobra.ShellCompDirectiveKeepOrder
	commands := []string{"audit", "backup", "compact", "events", "export", "health", "keygen", "purge", "recover", "replay", "send", "show", "status", "verify", "version"}
	at := " --address " + a.admin
	for _, tt := range []struct {
		args      string // but for the last, which is empty
		want      []string
		directive cobra.ShellCompDirective
	}{
		{"", commands, nothing},
		{"events --state", states, inOrder},
		{"export --state", states, inOrder},
		{"events --type", []string{"note.generated", "note.failed", "test", "transcription.completed", "transcription.error", "other"}, nothing},
		{"events --since", []string{"5m", "1h", "24h", "7d"}, inOrder},
		{"events" + at + " --subject", []string{"note-3", "note-2", "note-1"}, inOrder},
		{"backup", nil, files},
		{"audit", []string{"verify"}, nothing},
		{"audit verify", nil, files},
		{"audit verify --path", nil, files},
		{"audit verify --node", nil, nothing},
		{"events" + at + " --upstream", []string{"ehr", "lab"}, nothing},
		{"replay" + at + " --dead --upstream", []string{"ehr", "lab"}, nothing},
		{"show" + at, []string{unrouted, quarantined, fine, dead, "note-3", "note-2", "note-1"}, inOrder},
		{"show " + dead + at, nil, inOrder},
		{"replay" + at, []string{dead, unrouted}, inOrder},
		{"replay " + dead + " " + unrouted + at, nil, inOrder},
		{"replay --unrouted" + at, nil, inOrder},
		{"replay --unconfirmed" + at, nil, inOrder},
		{"replay --dead" + at, nil, inOrder},
		{"replay --since 1h" + at, nil, inOrder},
		{"purge" + at, []string{dead, quarantined, unrouted}, inOrder},
		{"purge " + dead + at, []string{quarantined, unrouted}, inOrder},
		{"purge --force" + at, []string{dead, quarantined, unrouted}, inOrder},
		{"purge --unrouted" + at, nil, inOrder},
		{"purge --unrouted --before", []string{"5m", "1h", "24h", "7d"}, inOrder},
		{"purge --quarantined" + at, nil, inOrder},
		{"purge --upstream lab" + at, nil, inOrder},
		{"replay --upstream lab" + at, []string{dead, unrouted}, inOrder},
		{"purge" + at + " --upstream", []string{"ehr", "lab"}, nothing},
		{"purge --quarantined --before", []string{"5m", "1h", "24h", "7d"}, inOrder},
		{"replay --since", []string{"5m", "1h", "24h", "7d"}, inOrder},
		{"purge --dead --before", []string{"5m", "1h", "24h", "7d"}, inOrder},
		{"health", []string{"live", "ready"}, nothing},
		{"send", []string{"soapnoteapi", "soniox"}, nothing},
		{"send soapnoteapi --event", []string{"note.generated", "note.failed", "test"}, nothing},
		{"send soniox --event", []string{"transcription.completed", "transcription.error"}, nothing},
		{"send --event", []string{"note.generated", "note.failed", "test", "transcription.completed", "transcription.error"}, nothing},
		{"send soapnoteapi --file", nil, files},
		{"send soapnoteapi --count", nil, nothing},
		{"send soapnoteapi --secret", nil, nothing},
		{"verify", []string{"--secret", "soapnoteapi", "soniox"}, nothing},
		{"verify soapnoteapi --file", nil, files},
		{"verify soapnoteapi --tolerance", []string{"5m", "1h", "24h", "7d"}, inOrder},
		{"export --path", nil, files},
		{"export --encryption-key", nil, nothing},
		{"status --config", nil, files},
		{"status --address", nil, nothing},
		{"status", nil, nothing},
		{"events", nil, nothing},
		{"events --limit", nil, nothing},
		{"compact", nil, nothing},
		{"export", nil, nothing},
		{"keygen", nil, nothing},
	} {
		t.Run(tt.args, func(t *testing.T) {
			values, directive := commandtest.Complete(t, append(strings.Fields(tt.args), "")...)
			var got []string
			for _, v := range values {
				choice, _, _ := strings.Cut(v, "\t")
				got = append(got, choice)
			}
			got = slices.DeleteFunc(got, func(name string) bool { return name == "completion" || name == "help" }) // of a root, which this is here
			if strings.Join(got, " ") != strings.Join(tt.want, " ") || directive != tt.directive {
				t.Errorf("completes to %v and %d, want %v and %d", got, directive, tt.want, tt.directive)
			}
		})
	}

	values, _ := commandtest.Complete(t, strings.Fields("purge"+at+" soap")...)
	if len(values) != 3 || !strings.Contains(values[0], "\tnote.generated, ") || !strings.HasSuffix(values[0], " ago, ehr delivered, lab dead") || !strings.HasSuffix(values[1], ", quarantined") || !strings.HasSuffix(values[2], ", unrouted") {
		t.Errorf("ids are described as %q", values)
	}
	for _, args := range []string{"purge" + at + " soni", "show" + at + " soni", "events" + at + " --subject soap"} {
		if values, _ := commandtest.Complete(t, strings.Fields(args)...); len(values) != 0 {
			t.Errorf("%s offers what begins otherwise: %q", args, values)
		}
	}
	flags, _ := commandtest.Complete(t, "events", "--")
	for _, want := range []string{"--address", "--adapter", "--config", "--json", "--limit", "--since", "--state", "--subject", "--type", "--upstream"} {
		if !strings.Contains("\n"+strings.Join(flags, "\n"), "\n"+want+"\t") {
			t.Errorf("%s is not among the flags %q", want, flags)
		}
	}
}
