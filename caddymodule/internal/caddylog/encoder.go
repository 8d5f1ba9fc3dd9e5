package caddylog

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

func init() { caddy.RegisterModule(Encoder{}) }

// Encoder removes from Caddy's own log lines, access logs included, what can be a secret or a
// part of a webhook. Another encoder writes the rest. It removes
//
//   - the headers of requests and responses, and the protocols of `Upgrade` headers
//   - the query strings of URIs
//   - text in quotation marks in errors: net/http quotes an answer that is not HTTP
//   - FastCGI's environment, and what a backend writes to standard error
//
// To remove more, write a filter around it, with `wrap scribegate`.
type Encoder struct {
	// The encoder that writes the lines. The default is `json`, or `console` if the
	// log goes to a terminal.
	WrappedRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	logging.FilterEncoder `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (Encoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders.scribegate", New: func() caddy.Module { return new(Encoder) }}
}

// Provision implements caddy.Provisioner.
func (e *Encoder) Provision(ctx caddy.Context) error {
	e.FilterEncoder = logging.FilterEncoder{WrappedRaw: e.WrappedRaw, Fields: logFilters}
	return e.FilterEncoder.Provision(ctx)
}

// logFilters are the filters by the names of fields. A filter around this encoder passes on the
// fields of a request one by one, with their own names, so these are in the map as well.
var logFilters = map[string]logging.LogFieldFilter{
	"request>headers":   logging.DeleteFilter{},
	"headers":           logging.DeleteFilter{},
	"resp_headers":      logging.DeleteFilter{},
	"push_headers":      logging.DeleteFilter{},
	"backend_upgrade":   logging.DeleteFilter{},
	"requested_upgrade": logging.DeleteFilter{},
	"request>uri":       textFilter(withoutQuery),
	"uri":               textFilter(withoutQuery),
	"error":             textFilter(withoutQuotes),
	"errorVerbose":      logging.DeleteFilter{},
	"errorCauses":       logging.DeleteFilter{},
	"msg":               textFilter(withoutQuotes), // of the error of a handler of errors
	"env":               logging.DeleteFilter{},
	"body":              logging.DeleteFilter{},
}

// EncodeEntry implements zapcore.Encoder.
func (e Encoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	if slices.ContainsFunc(errorLoggers, func(name string) bool { return strings.HasPrefix(entry.LoggerName+".", name+".") }) {
		entry.Message = withoutQuotes(entry.Message)
	}
	return e.FilterEncoder.EncodeEntry(entry, fields)
}

// errorLoggers are the loggers whose messages are the texts of errors.
var errorLoggers = []string{"http.log.error", "http.stdlib"}

// Clone implements zapcore.Encoder.
func (e Encoder) Clone() zapcore.Encoder {
	e.FilterEncoder = e.FilterEncoder.Clone().(logging.FilterEncoder)
	return e
}

// A textFilter changes the text of a field. A field that is not text is removed.
type textFilter func(string) string

// Filter implements logging.LogFieldFilter.
func (f textFilter) Filter(field zapcore.Field) zapcore.Field {
	if field.Type != zapcore.StringType {
		return zap.Skip()
	}
	field.String = f(field.String)
	return field
}

// filtered replaces text that was removed from a line.
const filtered = "?filtered"

func withoutQuery(uri string) string {
	path, _, found := strings.Cut(uri, "?")
	if !found {
		return uri
	}
	return path + filtered
}

// quoted matches the text that net/http and net/textproto quote in errors.
var quoted = regexp.MustCompile(`(?s)".*"|malformed MIME.*`)

func withoutQuotes(text string) string { return quoted.ReplaceAllLiteralString(text, filtered) }

// Interface guards
var (
	_ zapcore.Encoder                  = Encoder{}
	_ caddy.Provisioner                = (*Encoder)(nil)
	_ caddy.ConfiguresFormatterDefault = (*Encoder)(nil)
)
