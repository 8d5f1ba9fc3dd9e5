package recovery

import (
	"net/url"
	"strings"
	"time"

	"github.com/scribegate/scribegate/forwarder/result/soniox"
)

// An address is that of a handler, as the provider was given it, without its query.
type address struct{ scheme, host, path string }

// addressOf returns the address and the query of a URL. It returns false for what is not
// an absolute URL.
func addressOf(s string) (a address, query string, ok bool) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return a, "", false
	}
	a = address{scheme: strings.ToLower(u.Scheme), host: strings.ToLower(u.Host), path: u.EscapedPath()}
	switch a.scheme {
	case "https":
		a.host = strings.TrimSuffix(a.host, ":443")
	case "http":
		a.host = strings.TrimSuffix(a.host, ":80")
	}
	if a.path == "" {
		a.path = "/"
	}
	return a, u.RawQuery, true
}

// missed reports whether the webhook of a transcription did not arrive at an address, and
// returns the query of its URL. since bounds how long ago it was created; one whose
// creation is not known may be as well.
func missed(t soniox.Transcription, at address, since time.Time) (query string, ok bool) {
	sentTo, query, ok := addressOf(t.WebhookURL)
	switch {
	case !ok || sentTo != at,
		!t.Finished(),
		t.WebhookStatus >= 200 && t.WebhookStatus <= 299,
		t.CreatedAt.Before(since) && !t.CreatedAt.IsZero():
		return "", false
	}
	return query, true
}
