package caddymodule

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

func init() { caddy.RegisterModule(foreignProvider{}) }

// foreignProvider is a provider of another module: it has the methods of a Provider only.
type foreignProvider struct{ inner verifier.Soniox }

// CaddyModule returns the Caddy module information.
func (foreignProvider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "scribegate.providers.test_foreign", New: func() caddy.Module { return new(foreignProvider) }}
}

func (p *foreignProvider) Provision(caddy.Context) error {
	p.inner = verifier.Soniox{Header: sonioxHeader, Values: func() []string { return []string{testSoniox} }}
	return nil
}

func (*foreignProvider) Name() string { return "test_foreign" }

func (*foreignProvider) Defaults() verifier.Defaults {
	return verifier.Defaults{Source: "urn:foreign", MaxBody: 1 << 10}
}

func (p *foreignProvider) CheckHeader(h http.Header, now time.Time) (verifier.Proof, error) {
	return p.inner.CheckHeader(h, now)
}

func (p *foreignProvider) Event(r verifier.Request) (*event.Event, error) {
	e, err := p.inner.Event(r)
	if e != nil {
		e.Provider, e.Type = "test_foreign", event.TypePrefix("test_foreign")+"spoken"
	}
	return e, err
}

func (*foreignProvider) Quarantine(verifier.Request) *event.Event { return nil }

func (*foreignProvider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

const (
	warnsUnknownType = "a type in `"
	warnsNothing     = "a handler delivers nothing"
	warnsShared      = "two handlers have the same provider and source but different deliver_to"
	warnsIdle        = "an upstream takes no type of event that the providers of its handlers send"
	warnsUnused      = "no handler delivers to an upstream"
	warnsCheckpoint  = "a handler without deliver_to is a checkpoint: nothing is stored"
)

func TestNearestType(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"note.genrated":                  "note.generated",
		"note_generated":                 "note.generated",
		"note-generated":                 "note.generated",
		"Note.Generated":                 "note.generated",
		"NOTE_FAILED":                    "note.failed",
		"notes.generated":                "note.generated",
		"note.generate":                  "note.generated",
		"generated":                      "note.generated",
		"completed":                      "transcription.completed",
		"transcription.complete":         "transcription.completed",
		"transcription.errors":           "transcription.error",
		"com.soapnoteapi.note.failed":    "note.failed",
		"com.soniox.transcription.error": "transcription.error",
		"com.soapnoteapi.test":           "test",
		"tests":                          "test",
		"note.amended":                   "",
		"note":                           "",
		"x":                              "",
		"next":                           "",
		"transcription.canceled":         "",
	} {
		if got := nearestType(word, build.EventTypes()); got != want {
			t.Errorf("the nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func TestKnownTypes(t *testing.T) {
	t.Parallel()
	got := build.EventTypes()
	slices.Sort(got)
	if want := "[note.failed note.generated test transcription.completed transcription.error]"; fmt.Sprint(got) != want {
		t.Errorf("known are %v, want %v", got, want)
	}
	for _, known := range got {
		if metrics.TypeLabel(known) != known {
			t.Errorf("the metric's label of %s is %s", known, metrics.TypeLabel(known))
		}
	}
}

func TestWarnsOfUnknownTypes(t *testing.T) {
	events := func(words string) string { return "upstream ehr http://127.0.0.1:9000 {\nevents " + words + "\n}" }
	const ehr = "upstream ehr http://127.0.0.1:9000"
	drop := func(words string) string {
		return "scribegate soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\ndeliver_to ehr\ndrop " + words + "\n}"
	}
	for name, c := range map[string]struct {
		app, site string
		want      []string // option, type and nearest of each line
	}{
		"all that are known":  {events("note.generated note.failed test transcription.completed transcription.error"), "", nil},
		"other":               {events("other"), "", []string{"events other"}},
		"all":                 {events("*"), "", nil},
		"by default":          {ehr, "", nil},
		"a letter missing":    {events("note.genrated"), "", []string{"events note.genrated note.generated"}},
		"underscore":          {events("note_generated"), "", []string{"events note_generated note.generated"}},
		"upper case":          {events("note.failed Note.Generated"), "", []string{"events Note.Generated note.generated"}},
		"the whole type":      {events("com.soapnoteapi.note.generated"), "", []string{"events com.soapnoteapi.note.generated note.generated"}},
		"one added later":     {events("note.amended"), "", []string{"events note.amended"}},
		"two":                 {events("note.amended note.fail"), "", []string{"events note.amended", "events note.fail note.failed"}},
		"in drop":             {ehr, drop("test note.faild"), []string{"drop note.faild note.failed"}},
		"in drop, all known":  {ehr, drop("note.failed transcription.error"), nil},
		"in drop, everything": {ehr, drop("*"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, line := range warned(t, c.app, c.site, warnsUnknownType) {
				option, _, _ := strings.Cut(strings.TrimPrefix(line["msg"].(string), warnsUnknownType), "`")
				warning := option + " " + line["type"].(string)
				if nearest, ok := line["nearest"].(string); ok {
					warning += " " + nearest
				}
				if option == "events" && line["upstream"] != "ehr" {
					t.Errorf("the line names no upstream: %v", line)
				}
				if long := strings.HasPrefix(line["type"].(string), "com."); long != strings.Contains(line["msg"].(string), "write the short type") {
					t.Errorf("line %v", line)
				}
				got = append(got, warning)
				logRow(t, "warning", name, line["msg"].(string))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("warned of %q, want %q", got, c.want)
			}
		})
	}
}

// Handlers and upstreams between which no event goes, or that share a source, are reported.
func TestWarnsOfHandlersAndUpstreams(t *testing.T) {
	const (
		notes  = "upstream notes http://127.0.0.1:9000 {\nevents note.generated\n}\n"
		speech = "upstream speech http://127.0.0.1:9001 {\nevents transcription.completed transcription.error\n}\n"
		tests  = "upstream tests http://127.0.0.1:9002 {\nevents test\n}\n"
		typo   = "upstream typo http://127.0.0.1:9003 {\nevents note.genrated\n}\n"
		rest   = "upstream rest http://127.0.0.1:9004\n"
	)
	soapnote := func(path, options string) string {
		return "scribegate " + path + " soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\n" + options + "\n}\n"
	}
	soniox := func(path, options string) string {
		return "scribegate " + path + " soniox {\nheader X-Webhook-Secret {env.SONIOX_SECRET}\n" + options + "\n}\n"
	}
	for name, c := range map[string]struct {
		app, site string
		want      map[string][]string // message -> what each line is about
	}{
		"nothing to warn of": {notes + speech, soapnote("/a", "deliver_to notes") + soniox("/b", "deliver_to speech"), nil},
		"an upstream of another provider's types": {notes + speech, soapnote("/a", "deliver_to speech") + soniox("/b", "deliver_to notes"), map[string][]string{
			warnsNothing: {"soapnoteapi https://soapnoteapi.com [speech]", "soniox https://soniox.com [notes]"},
		}},
		"one of two takes something": {notes + speech, soapnote("/a", "deliver_to speech notes") + soniox("/b", "deliver_to speech"), nil},
		"one of two takes nothing of anybody": {notes + speech, soapnote("/a", "deliver_to speech notes"), map[string][]string{
			warnsIdle: {"speech"},
		}},
		"one of two takes only what is dropped": {notes + rest, soapnote("/a", "drop note.generated\ndeliver_to rest notes"), map[string][]string{
			warnsIdle: {"notes"},
		}},
		"only tests": {tests, soapnote("/a", "deliver_to tests"), nil},
		"tests of a provider that has none": {tests, soniox("/a", "deliver_to tests"), map[string][]string{
			warnsNothing: {"soniox https://soniox.com [tests]"},
		}},
		"a type with a slip": {typo, soapnote("/a", "deliver_to typo"), map[string][]string{
			warnsNothing: {"soapnoteapi https://soapnoteapi.com [typo]"}, warnsUnknownType: {""},
		}},
		"all is dropped": {notes, soapnote("/a", "deliver_to notes\ndrop note.generated"), map[string][]string{
			warnsNothing: {"soapnoteapi https://soapnoteapi.com [notes]"},
		}},
		"a provider that does not name its types": {typo, "scribegate test_foreign {\ndeliver_to typo\n}", map[string][]string{warnsUnknownType: {""}}},

		"an upstream of no handler":            {notes + rest, soapnote("/a", "deliver_to notes"), map[string][]string{warnsUnused: {"rest"}}},
		"no handler at all":                    {notes + rest, "", map[string][]string{warnsUnused: {"notes", "rest"}}},
		"an upstream of a handler deep inside": {notes, "handle /x* {\nroute {\n" + soapnote("/x/y", "deliver_to notes") + "}\n}", nil},

		"two handlers to one upstream":      {rest, soapnote("/a", "deliver_to rest") + soapnote("/b", "deliver_to rest"), nil},
		"two handlers to the same, swapped": {rest + notes, soapnote("/a", "deliver_to rest notes") + soapnote("/b", "deliver_to notes rest"), nil},
		"two handlers to different ones": {rest + notes, soapnote("/a", "deliver_to rest") + soapnote("/b", "deliver_to notes"), map[string][]string{
			warnsShared: {"soapnoteapi https://soapnoteapi.com [notes] [rest]"},
		}},
		"two handlers, one to more": {rest + notes, soapnote("/a", "source urn:a\ndeliver_to rest") + soapnote("/b", "source urn:a\ndeliver_to rest notes"), map[string][]string{
			warnsShared: {"soapnoteapi urn:a [rest notes] [rest]"},
		}},
		"two handlers of different sources":   {rest + notes, soapnote("/a", "deliver_to rest") + soapnote("/b", "source urn:b\ndeliver_to notes"), nil},
		"two handlers of different providers": {rest + notes, soapnote("/a", "source urn:a\ndeliver_to notes") + soniox("/b", "source urn:a\ndeliver_to rest"), nil},
		"a handler and a checkpoint": {rest, soapnote("/a", "deliver_to rest") + soapnote("/b", "source urn:b"), map[string][]string{
			warnsCheckpoint: {"soapnoteapi urn:b"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			captured.reset()
			s.load(captureInfo+"scribegate {\nQUEUE\n"+c.app+"\n}", c.site+"\nrespond 404")
			for _, message := range []string{warnsUnknownType, warnsNothing, warnsShared, warnsUnused, warnsIdle, warnsCheckpoint} {
				var got []string
				for _, line := range captured.with(t, message) {
					if line["level"] != "warn" {
						t.Errorf("not a warning: %v", line)
					}
					logRow(t, "warning", name, line["msg"].(string))
					switch message {
					case warnsUnused, warnsIdle:
						got = append(got, line["upstream"].(string))
					case warnsCheckpoint:
						got = append(got, fmt.Sprint(line["provider"], " ", line["source"]))
					case warnsNothing:
						got = append(got, fmt.Sprint(line["provider"], " ", line["source"], " ", line["deliver_to"]))
					case warnsShared:
						got = append(got, fmt.Sprint(line["provider"], " ", line["source"], " ", line["deliver_to"], " ", line["other_deliver_to"]))
					default:
						got = append(got, "")
					}
				}
				if !slices.Equal(got, c.want[message]) {
					t.Errorf("%s: %q, want %q", message, got, c.want[message])
				}
			}
		})
	}
}

// A checkpoint is warned about without an app too, and validate logs all warnings for which
// nothing needs to be started.
func TestValidateWarns(t *testing.T) {
	captured.reset()
	cfg, err := adapt("{\n" + captureInfo + "}\nhttp://localhost:8080 {\nscribegate soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\n}\nrespond 204\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(cfg); err != nil {
		t.Fatal(err)
	}
	if lines := captured.with(t, warnsCheckpoint); len(lines) != 1 {
		t.Errorf("warnings %v, want one", lines)
	}
	const two = "upstream a http://127.0.0.1:9000\nupstream b http://127.0.0.1:9001 {\nevents test\n}"
	const site = "scribegate /a soniox {\nheader X-A {env.SONIOX_SECRET}\ndeliver_to a\n}\nscribegate /b soniox {\nheader X-B {env.SONIOX_SECRET}\ndeliver_to b\n}"
	for _, message := range []string{warnsNothing, warnsShared} {
		if lines := warned(t, two, site, message); len(lines) != 1 {
			t.Errorf("%s: %v, want one", message, lines)
		}
	}
}

// The events of a provider that does not name its types are routed and dropped like others.
func TestForeignProvider(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	captured.reset()
	s.load(strings.Replace(upstreams("ehr", b.URL), "retry", "events spoken\n\t\t\tretry", 1), "scribegate test_foreign {\ndeliver_to ehr\n}")
	id := do(t, s.soniox("/", transcription("foreign"))).id(t)
	if got := b.wait(t, 1)[0].header.Get("Webhook-Id"); got != id {
		t.Errorf("delivered %s, want %s", got, id)
	}
}
