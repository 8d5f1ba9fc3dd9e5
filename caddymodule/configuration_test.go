package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/console"
)

// newContext makes the context that a module is provisioned with.
func newContext(t *testing.T) caddy.Context {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return ctx
}

// inJSON is a whole configuration; app may be empty.
func inJSON(app, handler string) []byte {
	if app != "" {
		app = `"scribegate":` + app + ","
	}
	return fmt.Appendf(nil, `{"admin":{"disabled":true},"apps":{%s"http":{"servers":{"srv":{"listen":["127.0.0.1:0"],"routes":[{"handle":[%s]}]}}}}}`, app, handler)
}

const (
	jsonApp     = `{"upstreams":[{"name":"ehr","url":"http://127.0.0.1:9000"}]}`
	jsonHandler = `{"handler":"scribegate","provider":{"name":"soapnoteapi","secrets":["{env.SOAPNOTE_SECRET}"]},"deliver_to":["ehr"]}`
)

// fullApp and fullHandlers have every field.
const fullApp = `{
	"queue": {"engine": "sqlite", "path": "/var/lib/scribegate/queue.db", "max_size": 1073741824,
		"encryption_keys": ["{env.SCRIBEGATE_KEY}", "{env.NOT_SET}"]},
	"dedupe_window": "48h", "dead_retention": "30d", "history_retention": "1h", "keep_delivered": 3600000000000,
	"signing_secrets": ["{env.SIGNING_SECRET}"],
	"admin_payloads": true,
	"upstreams": [
		{"name": "ehr", "url": "http://127.0.0.1:9000/events", "events": ["*"], "format": "binary", "timeout": "10s",
			"concurrency": 4, "retry": ["1s", "2m"], "rate_limit": 0.5, "signing_secrets": ["{env.SIGNING_SECRET}"]},
		{"name": "warehouse", "routes": [{"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:9001"}]}]}]}
	]}`

var fullHandlers = []string{
	`{"handler": "scribegate", "provider": {"name": "soapnoteapi", "secrets": ["{env.SOAPNOTE_SECRET}"], "tolerance": "90s"},
		"deliver_to": ["ehr", "warehouse"], "drop": ["note.failed"], "max_body": 1048576, "metadata": ["clinic"], "source": "urn:clinic:2"}`,
	`{"handler": "scribegate", "provider": {"name": "soniox", "header": "Authorization", "values": ["Bearer {env.SONIOX_SECRET}"]},
		"format": "raw"}`,
}

const fullConsole = `{"handler": "scribegate_console", "allow_loopback": true, "allow_unauthenticated": true, "user": "{http.vars.user}", "read_only": true}`

func TestEveryFieldInJSON(t *testing.T) {
	t.Setenv("SCRIBEGATE_KEY", testKey)
	cfg := inJSON(fullApp, strings.Join(append(fullHandlers, fullConsole), ","))
	if err := validate(cfg); err != nil {
		t.Fatalf("the full configuration is not valid: %v", err)
	}

	var app App
	if err := caddy.StrictUnmarshalJSON([]byte(fullApp), &app); err != nil {
		t.Fatal(err)
	}
	var seen Upstream // what either of the two upstreams sets
	for _, u := range app.Upstreams {
		merge(&seen, u)
	}
	var handler Handler
	var soapnoteapi SOAPNoteAPI
	var soniox Soniox
	for i, provider := range []any{&soapnoteapi, &soniox} {
		var h Handler
		strictly(t, []byte(fullHandlers[i]), "handler", &h)
		strictly(t, h.ProviderRaw, "name", provider)
		merge(&handler, &h)
	}
	var sqlite SQLite
	strictly(t, app.QueueRaw, "engine", &sqlite)
	var page console.Console
	strictly(t, []byte(fullConsole), "handler", &page)
	for _, module := range []any{app, seen, sqlite, handler, soapnoteapi, soniox, page} {
		v := reflect.ValueOf(module)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || field.Anonymous {
				continue
			}
			if v.Field(i).IsZero() {
				t.Errorf("%s.%s is not set by its JSON, or the test's configuration does not set it", v.Type().Name(), field.Name)
			}
		}
	}
}

// merge sets the fields of a that b has.
func merge[T any](a, b *T) {
	from, to := reflect.ValueOf(b).Elem(), reflect.ValueOf(a).Elem()
	for i := range to.NumField() {
		if to.Type().Field(i).IsExported() && !from.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// strictly reads JSON without its inline key, as Caddy does.
func strictly(t *testing.T, raw []byte, inlineKey string, module any) {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	delete(object, inlineKey)
	stripped, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.StrictUnmarshalJSON(stripped, module); err != nil {
		t.Fatalf("%T: %v", module, err)
	}
}

func TestMistakesInJSON(t *testing.T) {
	t.Setenv("SHORT_KEY", "c2VjcmV0")
	t.Setenv("TWO_WORDS", "two words")
	t.Setenv("BARE", "bearer")
	t.Setenv("BEARER", "Bearer SECRETsecret")
	app := func(fields string) [2]string {
		return [2]string{strings.Replace(jsonApp, "{", "{"+fields+",", 1), jsonHandler}
	}
	sqlite := func(fields string) [2]string { return app(`"queue":{"engine":"sqlite",` + fields + `}`) }
	upstreams := func(list string) [2]string { return [2]string{`{"upstreams":[` + list + `]}`, jsonHandler} }
	upstream := func(fields string) [2]string {
		return upstreams(`{"name":"ehr","url":"http://127.0.0.1:9000",` + fields + `}`)
	}
	handler := func(fields string) [2]string {
		return [2]string{jsonApp, strings.Replace(jsonHandler, "{", "{"+fields+",", 1)}
	}
	soapnote := func(fields string) [2]string {
		return [2]string{jsonApp, `{"handler":"scribegate","provider":{"name":"soapnoteapi",` + fields + `},"deliver_to":["ehr"]}`}
	}
	soniox := func(fields string) [2]string {
		return [2]string{jsonApp, `{"handler":"scribegate","provider":{"name":"soniox",` + fields + `},"deliver_to":["ehr"]}`}
	}
	const set = `"secrets":["{env.SOAPNOTE_SECRET}"]`
	mistakes := map[string]struct {
		config [2]string
		says   string
	}{
		"unknown field of the app":                    {app(`"no_such":1`), `unknown field "no_such"`},
		"unknown field of the queue":                  {sqlite(`"no_such":1`), `unknown field "no_such"`},
		"unknown field of an upstream":                {upstream(`"no_such":1`), `unknown field "no_such"`},
		"unknown field of the handler":                {handler(`"no_such":1`), `unknown field "no_such"`},
		"unknown field of soapnoteapi":                {soapnote(set + `,"no_such":1`), `unknown field "no_such"`},
		"unknown field of soniox":                     {soniox(`"no_such":1`), `unknown field "no_such"`},
		"the engine of before":                        {app(`"queue":{"engine":"bolt","path":"/var/lib/queue.db"}`), "queue: the engine is `sqlite` now and no longer `bolt`; write `sqlite`"},
		"unknown engine":                              {app(`"queue":{"engine":"memory"}`), "scribegate.queues.memory"},
		"unknown provider":                            {[2]string{jsonApp, `{"handler":"scribegate","provider":{"name":"deepgram"}}`}, "scribegate.providers.deepgram"},
		"no provider":                                 {[2]string{jsonApp, `{"handler":"scribegate"}`}, "provider is missing"},
		"negative dedupe_window":                      {app(`"dedupe_window":-1`), "dedupe_window: the duration -1ns is negative"},
		"bad dedupe_window":                           {app(`"dedupe_window":"soon"`), "soon"},
		"negative dead_retention":                     {app(`"dead_retention":"-1h"`), "dead_retention: the duration -1h0m0s is negative"},
		"negative history_retention":                  {app(`"history_retention":"-1h"`), "history_retention: the duration"},
		"negative keep_delivered":                     {app(`"keep_delivered":"-1h"`), "keep_delivered: the duration"},
		"dedupe_window under the tolerance":           {app(`"dedupe_window":"9m59s"`), "dedupe_window is 9m59s and must be at least 10m0s"},
		"tolerance over the dedupe_window":            {soapnote(set + `,"tolerance":"13h"`), "must be at least 26h0m0s"},
		"negative max_size":                           {sqlite(`"max_size":-1`), "max_size must not be negative"},
		"a key that is too short":                     {sqlite(`"encryption_keys":["{env.SHORT_KEY}"]`), "it has 6 bytes and must have 32"},
		"a key that is unset":                         {sqlite(`"encryption_keys":["{env.NOT_SET}"]`), "every entry is unset or empty"},
		"a key by a request's placeholder":            {sqlite(`"encryption_keys":["{http.request.header.x}"]`), "{http.request.header.x} is not allowed here"},
		"a signing secret by a request's placeholder": {app(`"signing_secrets":["{http.request.uri.query.x}"]`), "{http.request.uri.query.x} is not allowed here"},
		"a signing secret that is none":               {app(`"signing_secrets":["SECRETsecret"]`), "signing_secret, entry 1"},
		"an upstream's signing secret that is unset":  {upstream(`"signing_secrets":["{env.NOT_SET}"]`), "signing_secret of upstream ehr: every entry is unset or empty"},
		"an upstream's signing secret by a request's": {upstream(`"signing_secrets":["{http.vars.x}"]`), "{http.vars.x} is not allowed here"},
		"an upstream without a name":                  {upstreams(`{"url":"http://127.0.0.1:9000"}`), "a name has 1 to 64 letters"},
		"an upstream with a path as name":             {upstreams(`{"name":"a/b","url":"http://127.0.0.1:9000"}`), "a name has 1 to 64 letters"},
		"an upstream of nothing":                      {upstreams(`{"name":"ehr"}`), "neither a URL nor a route"},
		"a null upstream":                             {upstreams(`null`), "one of them is null"},
		"an upstream twice":                           {upstreams(`{"name":"ehr","url":"http://127.0.0.1:9000"},{"name":"ehr","url":"http://127.0.0.1:9001"}`), "upstream ehr is defined twice"},
		"URL and routes":                              {upstream(`"routes":[{"handle":[{"handler":"static_response"}]}]`), "both a URL and a route"},
		"a bad URL":                                   {upstreams(`{"name":"ehr","url":"127.0.0.1:9000"}`), "upstream ehr: its URL"},
		"a URL that is unset":                         {upstreams(`{"name":"ehr","url":"{env.NOT_SET}"}`), "upstream ehr: its URL: {env.NOT_SET} is unset or empty"},
		"a URL of which a part is unset":              {upstreams(`{"name":"ehr","url":"https://{env.NOT_SET}/events"}`), "upstream ehr: its URL: {env.NOT_SET} is unset or empty"},
		"a URL by a request's placeholder":            {upstreams(`{"name":"ehr","url":"https://{http.request.host}/events"}`), "upstream ehr: its URL: the placeholder {http.request.host} cannot be resolved"},
		"a URL by a file that is not there":           {upstreams(`{"name":"ehr","url":"https://{file./no/such}/events"}`), "/no/such"},
		"a path that is unset":                        {sqlite(`"path":"/var/lib/{env.NOT_SET}"`), "path: {env.NOT_SET} is unset or empty"},
		"a path by a request's placeholder":           {sqlite(`"path":"/var/lib/{http.request.host}"`), "path: the placeholder {http.request.host} cannot be resolved"},
		"a path in somebody's home":                   {sqlite(`"path":"~/queue.db"`), "path: ~ is not replaced by a home directory here"},
		"a source that is unset":                      {handler(`"source":"{env.NOT_SET}"`), "source: {env.NOT_SET} is unset or empty"},
		"a source of which a part is unset":           {handler(`"source":"urn:clinic:{env.NOT_SET}"`), "source: {env.NOT_SET} is unset or empty"},
		"a source by a request's placeholder":         {handler(`"source":"https://x/{http.request.host}"`), "source: the placeholder {http.request.host} cannot be resolved"},
		"a source that comes to none":                 {handler(`"source":"{env.TWO_WORDS}"`), "source must be a URI"},
		"metadata by a placeholder":                   {handler(`"metadata":["{env.SHORT_KEY}"]`), "metadata: placeholders are not resolved here"},
		"metadata without a name":                     {handler(`"metadata":[""]`), "metadata: a name is empty"},
		"empty routes":                                {upstreams(`{"name":"ehr","routes":[{}]}`), "its route is empty"},
		"an unknown handler in routes":                {upstreams(`{"name":"ehr","routes":[{"handle":[{"handler":"no_such"}]}]}`), "http.handlers.no_such"},
		"a console in routes":                         {upstreams(`{"name":"ehr","routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"scribegate_console"}]}]}]}]}`), "a scribegate_console handler, which is for the requests of people"},
		"a console's user from the query":             {[2]string{jsonApp, `{"handler":"scribegate_console","user":"{http.request.uri.query.user}"}`}, "user: it takes one placeholder that clients cannot set"},
		"a scribegate in routes":                      {upstreams(`{"name":"ehr","routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[` + jsonHandler + `]}]}]}]}`), "send events in a loop"},
		"negative timeout":                            {upstream(`"timeout":-1`), "upstream ehr: timeout: the duration -1ns is negative"},
		"negative concurrency":                        {upstream(`"concurrency":-1`), "concurrency must not be negative"},
		"negative rate_limit":                         {upstream(`"rate_limit":-1`), "rate_limit must be a number of deliveries per second above zero"},
		"negative wait":                               {upstream(`"retry":["5s",-1]`), "upstream ehr: retry: the duration -1ns is negative"},
		"unknown format":                              {upstream(`"format":"json"`), `format "json" is unknown; it is structured, binary or raw`},
		"unknown format of the handler":               {[2]string{jsonApp, strings.Replace(jsonHandler, `"deliver_to":["ehr"]`, `"format":"json"`, 1)}, `format "json" is unknown`},
		"a type with a star":                          {upstream(`"events":["note.*"]`), `upstream ehr: events: "note.*" cannot be an event type`},
		"types in one string":                         {upstream(`"events":["note.generated,note.failed"]`), "upstream ehr: events: "},
		"a type by placeholder":                       {upstream(`"events":["{env.EVT}"]`), "placeholders are not replaced here"},
		"an empty type":                               {upstream(`"events":["*",""]`), "upstream ehr: events: a type is empty"},
		"a type that is too long":                     {upstream(`"events":["` + strings.Repeat("a", 65) + `"]`), "upstream ehr: events: "},
		"a type to drop with a star":                  {handler(`"drop":["note.*"]`), `drop: "note.*" cannot be an event type`},
		"drop without deliver_to":                     {[2]string{jsonApp, strings.Replace(jsonHandler, `"deliver_to":["ehr"]`, `"drop":["test"]`, 1)}, "drop needs deliver_to"},
		"format beside deliver_to":                    {handler(`"format":"raw"`), "format cannot be used with deliver_to"},
		"max_body beyond the budget":                  {handler(`"max_body":268435457`), "max_body: "},
		"negative max_body":                           {handler(`"max_body":-1`), "max_body: "},
		"a source that is no URI":                     {handler(`"source":"two words"`), "source must be a URI"},
		"deliver_to of an unknown":                    {[2]string{jsonApp, strings.Replace(jsonHandler, `["ehr"]`, `["warehouse"]`, 1)}, "deliver_to: the upstream warehouse is not defined; define it in the scribegate app"},
		"deliver_to twice":                            {[2]string{jsonApp, strings.Replace(jsonHandler, `["ehr"]`, `["ehr","ehr"]`, 1)}, "deliver_to: it names the upstream ehr twice"},
		"deliver_to without an app":                   {[2]string{"", jsonHandler}, "deliver_to: the upstream ehr is not defined"},
		"no secrets":                                  {soapnote(`"secrets":[]`), "none is configured"},
		"unset secret":                                {soapnote(`"secrets":["{env.NOT_SET}"]`), "every entry is unset or empty"},
		"a secret by a request's placeholder":         {soapnote(`"secrets":["{http.request.header.x}"]`), "{http.request.header.x} is not allowed here"},
		"a secret by a bare file":                     {soapnote(`"secrets":["{file.soapnote}"]`), "{file./run/secrets/soapnote}"},
		"negative tolerance":                          {soapnote(set + `,"tolerance":-1`), "tolerance: -1ns is less than a second"},
		"tolerance of a millisecond":                  {soapnote(set + `,"tolerance":"5ms"`), "tolerance: 5ms is less than a second"},
		"no header":                                   {soniox(`"values":["{env.SONIOX_SECRET}"]`), "the name is missing"},
		"no values":                                   {soniox(`"header":"Authorization"`), "none is configured"},
		"half unset value":                            {soniox(`"header":"Authorization","values":["Bearer {env.NOT_SET}"]`), "{env.NOT_SET} is unset or empty"},
		"a bare scheme":                               {soniox(`"header":"Authorization","values":["{env.SONIOX_SECRET}","Bearer"]`), `header Authorization of soniox, entry 2: it is an authentication scheme without a secret behind it; put the whole value of a header in quotes, as in: header Authorization "Bearer {env.TOKEN}"`},
		"a bare scheme by placeholder":                {soniox(`"header":"Authorization","values":["{env.BARE}"]`), "header Authorization of soniox, entry 1: {env.BARE}: it is an authentication scheme without"},
		"a scheme twice":                              {soniox(`"header":"Authorization","values":["Bearer {env.BEARER}"]`), "scheme twice"},
		"a scheme without a space":                    {soniox(`"header":"Authorization","values":["Bearer{env.SONIOX_SECRET}"]`), "entry 1: a space is missing"},
		"a line that was copied whole":                {soniox(`"header":"Authorization","values":["authorization: Bearer SECRETsecret"]`), "begins with the header's name and a colon"},
		"an empty value":                              {soniox(`"header":"Authorization","values":[""]`), "header Authorization of soniox: every entry is unset or empty"},
		"a value by {query.x}":                        {soniox(`"header":"Authorization","values":["{query.x}"]`), "could choose its value"},
		"a value by {header.X}":                       {soniox(`"header":"Authorization","values":["Bearer {header.X}"]`), "could choose its value"},
		"a value by {vars.x}":                         {soniox(`"header":"Authorization","values":["{vars.x}"]`), "could choose its value"},
		"a value by {http.vars.x}":                    {soniox(`"header":"Authorization","values":["{http.vars.x}"]`), "could choose its value"},
		"a secret by {time.now}":                      {soapnote(`"secrets":["{time.now}"]`), "use {env.NAME} or {file./absolute/path}"},
		"a secret by {system.hostname}":               {soapnote(`"secrets":["{system.hostname}"]`), "use {env.NAME} or {file./absolute/path}"},
		"a header that Caddy drops":                   {soniox(`"header":"X_Secret","values":["{env.SONIOX_SECRET}"]`), "underscore or a dot"},
		"a header that is hop-by-hop":                 {soniox(`"header":"upgrade","values":["{env.SONIOX_SECRET}"]`), "is hop-by-hop"},
		"a header that is none":                       {soniox(`"header":"X Secret","values":["{env.SONIOX_SECRET}"]`), "not a valid header name"},
	}
	for _, name := range slices.Sorted(maps.Keys(mistakes)) {
		c := mistakes[name]
		t.Run(name, func(t *testing.T) {
			err := validate(inJSON(c.config[0], c.config[1]))
			if err == nil {
				t.Fatal("no error")
			}
			logRow(t, "error", "JSON: "+name, err.Error())
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q does not say %q", err, c.says)
			}
			if strings.Contains(err.Error(), "SECRETsecret") || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("error %q quotes a secret", err)
			}
		})
	}
	if err := validate(inJSON(jsonApp, jsonHandler)); err != nil {
		t.Errorf("without a mistake: %v", err)
	}
}

// TestFieldsAreDocumented sees that every field of the configuration has a name
// in snake_case and a comment, which are Caddy's documentation of it.
func TestFieldsAreDocumented(t *testing.T) {
	want := map[string]bool{"App": true, "Handler": true, "Upstream": true, "SQLite": true, "SOAPNoteAPI": true, "Soniox": true, "API": true, "SonioxAPI": true, "Encoder": true, "Console": true}
	parts := []string{"API", "SonioxAPI"} // of other configurations, whose fields are theirs in the JSON
	snake := regexp.MustCompile("^`json:\"[a-z]+(_[a-z]+)*,omitempty\"( caddy:\"[^\"]+\")?`$")
	fields := 0
	for _, file := range []string{"app.go", "handler.go", "upstream.go", "queue_sqlite.go", "provider_soapnoteapi.go", "provider_soniox.go", "provider_api.go", "provider_soniox_api.go", "internal/caddylog/encoder.go", "console/console.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok || !want[spec.Name.Name] {
				return true
			}
			delete(want, spec.Name.Name)
			for _, field := range spec.Type.(*ast.StructType).Fields.List {
				switch {
				case len(field.Names) == 0:
					part, _ := field.Type.(*ast.Ident)
					if (part == nil || !slices.Contains(parts, part.Name)) && (field.Tag == nil || field.Tag.Value != "`json:\"-\"`") {
						t.Errorf("%s embeds a type that is not kept out of the JSON", spec.Name)
					}
					continue
				case !field.Names[0].IsExported():
					continue
				}
				fields++
				name := spec.Name.Name + "." + field.Names[0].Name
				if field.Tag == nil || !snake.MatchString(field.Tag.Value) {
					t.Errorf("%s has no JSON name in snake_case", name)
				}
				comment := strings.TrimSpace(field.Doc.Text())
				if len(strings.Fields(comment)) < 4 || !strings.HasSuffix(comment, ".") {
					t.Errorf("%s has no comment in prose: %q", name, comment)
				}
			}
			return true
		})
	}
	if len(want) > 0 || fields < 25 {
		t.Errorf("%d fields; not found: %v", fields, want)
	}
}
